"""Which face of a mesh covers each pixel, and how far away it is: a z-buffer in numpy.

Triangles become rows, rows become pixels, and the nearest fragment of each pixel stays. No OpenGL, no
display. What is drawn with it, and what else it is good for, is its callers' business.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from body.model import Array

Index = npt.NDArray[np.integer]

Number = TypeVar("Number", bound=np.generic)

#: Rows and fragments worked on at a time: bounds the memory, whatever the mesh and picture.
_AT_A_TIME = 1 << 20

#: Of the three corners of a face, the one after each and the one before it.
_AFTER, _BEFORE = [1, 2, 0], [2, 0, 1]

_NOTHING = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, slots=True, eq=False)
class FaceBuffer:
    """What each pixel shows: face_id (H, W) int32, -1 for nothing; depth (H, W), infinite there."""

    face_id: npt.NDArray[np.int32]
    depth: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Triangles:
    """Faces ready to scan; float64.

    edges (3, 3, F): a, b, c of the three lines each, a x + b y + c >= 0 inside. nearness (3, F):
    1/depth = a x + b y + c, which is what perspective leaves linear in the picture.
    """

    face: Index
    edges: npt.NDArray[np.float64]
    nearness: npt.NDArray[np.float64]
    top: Index  # first and last row, inside the picture
    bottom: Index


@dataclass(frozen=True, slots=True, eq=False)
class Fragments:
    """Pixels that faces cover, one by one: face, row and column (N,)."""

    face: Index
    row: Index
    column: Index


class _Spans(NamedTuple):
    """Stretches of pixels inside triangles, (S,) each."""

    triangle: Index
    row: Index
    first: Index  # column
    length: Index  # pixels

    def each(self, numbers: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """A number of each stretch (S,) for every pixel (N,)."""
        return np.repeat(numbers, self.length)

    def columns(self) -> Index:
        """(N,)."""
        return _ramp(self.length) + self.each(self.first)


def rasterise(points_px: Array, depth: Array, faces: Index, *, width: int, height: int) -> FaceBuffer:
    """The nearest face at every pixel centre; edges belong to both their faces.

    points_px (V, 2), depth (V,) along the camera axis, faces (F, 3). Faces with a corner
    that is not finite or not in front of the camera are left out. At equal depth the face
    with the smaller number is kept.
    """
    nearest = np.full(height * width, _NOTHING)
    triangles = _prepared(points_px, depth, faces, height=height)
    for spans in _spans(triangles, width=width):
        column = spans.columns()
        slope, by_row, constant = triangles.nearness.take(spans.triangle, axis=1)
        nearness = column * spans.each(slope) + spans.each(by_row * spans.row + constant)
        # Positive floats sort like the integers with the same bits.
        order = (1 / nearness).astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)
        face = spans.each(triangles.face[spans.triangle].astype(np.uint64))
        np.minimum.at(nearest, column + spans.each(spans.row * width), order | face)
    empty = nearest == _NOTHING
    face_id = np.where(empty, -1, nearest & np.uint64(0xFFFF_FFFF)).astype(np.int32)
    depths = np.where(empty, np.inf, (nearest >> np.uint64(32)).astype(np.uint32).view(np.float32))
    return FaceBuffer(face_id.reshape(height, width), depths.astype(np.float32).reshape(height, width))


def fragments(
    points_px: Array, depth: Array, faces: Index, *, width: int, height: int, rim_px: float
) -> Iterator[Fragments]:
    """All faces at every pixel centre, for who has a buffer of his own; a portion at a time.

    Arguments are those of `rasterise`, and the same faces are left out. With them come pixels that miss
    the lines of a face by up to `rim_px`.
    """
    triangles = _prepared(points_px, depth, faces, height=height, rim_px=rim_px)
    for spans in _spans(triangles, width=width):
        yield Fragments(spans.each(triangles.face[spans.triangle]), spans.each(spans.row), spans.columns())


def _prepared(
    points_px: Array, depth: Array, faces: Index, *, height: int, rim_px: float = 0.0
) -> _Triangles:
    """The faces that can be seen at all, with their lines moved out by `rim_px`, and their planes."""
    x, y, z = (
        np.concatenate([points_px.T, depth[None]]).astype(np.float64).take(faces.T, axis=1)
    )  # (3, F) each
    with np.errstate(invalid="ignore"):
        # Line i: through the two corners after corner i, scaled to 1 at corner i.
        a = y[_AFTER] - y[_BEFORE]
        b = x[_BEFORE] - x[_AFTER]
        c = x[_AFTER] * y[_BEFORE] - x[_BEFORE] * y[_AFTER]
        area = c.sum(axis=0)
        visible = (np.isfinite(x) & np.isfinite(y) & np.isfinite(z) & (z > 0)).all(axis=0) & (area != 0)
        top = np.maximum(np.ceil(y.min(axis=0) - rim_px), 0)
        bottom = np.minimum(np.floor(y.max(axis=0) + rim_px), height - 1)
    kept = np.flatnonzero(visible & (bottom >= top))
    edges = np.stack([a, b, c]).take(kept, axis=2) / area[kept]
    # With lines scaled like that, they are the barycentric coordinates.
    nearness = (edges / z[:, kept]).sum(axis=1)
    edges[2] += rim_px * np.hypot(edges[0], edges[1])
    return _Triangles(kept, edges, nearness, top[kept].astype(np.int64), bottom[kept].astype(np.int64))


def _spans(triangles: _Triangles, *, width: int) -> Iterator[_Spans]:
    """All stretches of pixels inside the triangles, in portions."""
    for part in _portions(triangles.bottom - triangles.top + 1):
        row_counts = triangles.bottom[part] - triangles.top[part] + 1
        triangle = np.repeat(np.arange(part.start, part.stop), row_counts)
        row = _ramp(row_counts) + triangles.top[triangle]
        first, last = _row_limits(triangles.edges.take(triangle, axis=2), row, width=width)
        some = np.flatnonzero(last >= first)
        spans = _Spans(triangle[some], row[some], first[some], (last - first + 1)[some])
        for few in _portions(spans.length):
            yield _Spans(*(each[few] for each in spans))


def _row_limits(edges: npt.NDArray[np.float64], row: Index, *, width: int) -> tuple[Index, Index]:
    """First and last column (R,) of each row that is inside its triangle; empty where last < first."""
    a, b, c = edges  # (3, R) each
    rest = b * row + c
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -rest / a
    # A level line has no crossing: it either lets the whole row in or nothing.
    level = np.where(rest >= 0, -np.inf, np.inf)
    first = np.where(a > 0, crossing, np.where(a == 0, level, -np.inf)).max(axis=0)
    last = np.where(a < 0, crossing, np.inf).min(axis=0)
    return (
        np.ceil(np.clip(first, 0, width)).astype(np.int64),
        np.floor(np.clip(last, -1, width - 1)).astype(np.int64),
    )


def _ramp(counts: Index) -> Index:
    """0 1 .. n-1 for each n in `counts`, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _portions(counts: Index) -> Iterator[slice]:
    """Consecutive slices whose counts sum to no more than `_AT_A_TIME`, or hold one item."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _AT_A_TIME, side="right")))
        yield slice(start, stop)
        start = stop
