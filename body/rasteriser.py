"""Which face of a mesh covers each pixel, and how far away it is: a z-buffer in numpy.

Triangles become rows, rows become pixels, and the nearest fragment of each pixel stays. No OpenGL, no
display. What is drawn with it, and what else it is good for, is its callers' business.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from body.model import Array

Index = npt.NDArray[np.integer]

#: Rows and fragments worked on at a time: bounds the memory, whatever the mesh and picture.
_AT_A_TIME = 1 << 20

_NOTHING = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, slots=True, eq=False)
class FaceBuffer:
    """What each pixel shows: face_id (H, W) int32, -1 for nothing; depth (H, W), infinite there."""

    face_id: npt.NDArray[np.int32]
    depth: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Triangles:
    """Faces ready to scan; float64.

    edges (F, 3, 3): a, b, c of the three lines, a x + b y + c >= 0 inside. nearness (F, 3):
    1/depth = a x + b y + c, which is what perspective leaves linear in the picture.
    """

    face: Index
    edges: npt.NDArray[np.float64]
    nearness: npt.NDArray[np.float64]
    top: Index  # first and last row, inside the picture
    bottom: Index


def rasterise(points_px: Array, depth: Array, faces: Index, *, width: int, height: int) -> FaceBuffer:
    """The nearest face at every pixel centre; edges belong to both their faces.

    points_px (V, 2), depth (V,) along the camera axis, faces (F, 3). Faces with a corner
    that is not finite or not in front of the camera are left out. At equal depth the face
    with the smaller number is kept.
    """
    nearest = np.full(height * width, _NOTHING)
    triangles = _prepared(points_px, depth, faces, height=height)
    for part in _portions(triangles.bottom - triangles.top + 1):
        for pixels, keys in _fragments(triangles, part, width=width):
            np.minimum.at(nearest, pixels, keys)
    empty = nearest == _NOTHING
    face_id = np.where(empty, -1, nearest & np.uint64(0xFFFF_FFFF)).astype(np.int32)
    depths = np.where(empty, np.inf, (nearest >> np.uint64(32)).astype(np.uint32).view(np.float32))
    return FaceBuffer(face_id.reshape(height, width), depths.astype(np.float32).reshape(height, width))


def _prepared(points_px: Array, depth: Array, faces: Index, *, height: int) -> _Triangles:
    """The faces that can be seen at all, with their lines and planes."""
    corners = np.concatenate([points_px, depth[:, None]], axis=1).astype(np.float64)[faces]  # (F, 3, xyz)
    x, y, z = np.moveaxis(corners, 2, 0)
    with np.errstate(invalid="ignore"):
        # Row i: the line through the two corners after corner i, scaled to 1 at corner i.
        a = np.roll(y, -1, axis=1) - np.roll(y, -2, axis=1)
        b = np.roll(x, -2, axis=1) - np.roll(x, -1, axis=1)
        c = np.roll(x, -1, axis=1) * np.roll(y, -2, axis=1) - np.roll(x, -2, axis=1) * np.roll(y, -1, axis=1)
        area = c.sum(axis=1)
        visible = np.isfinite(corners).all(axis=(1, 2)) & (z > 0).all(axis=1) & (area != 0)
        top = np.maximum(np.ceil(y.min(axis=1)), 0)
        bottom = np.minimum(np.floor(y.max(axis=1)), height - 1)
    kept = np.flatnonzero(visible & (bottom >= top))
    edges = np.stack([a, b, c], axis=-1)[kept] / area[kept, None, None]
    # With lines scaled like that, they are the barycentric coordinates.
    nearness = np.einsum("fc,fck->fk", 1 / z[kept], edges)
    return _Triangles(kept, edges, nearness, top[kept].astype(np.int64), bottom[kept].astype(np.int64))


def _fragments(
    triangles: _Triangles, part: slice, *, width: int
) -> Iterator[tuple[Index, npt.NDArray[np.uint64]]]:
    """Pixel numbers, and (depth, face) packed into one ordered number, of some faces."""
    row_counts = triangles.bottom[part] - triangles.top[part] + 1
    owner = np.repeat(np.arange(part.start, part.stop), row_counts)  # (R,) the triangle of each row
    row = _ramp(row_counts) + triangles.top[owner]
    first, last = _row_limits(triangles.edges[owner], row, width=width)
    some = np.flatnonzero(last >= first)
    owner, row, first, last = owner[some], row[some], first[some], last[some]
    slope, by_row, constant = triangles.nearness[owner].T
    start = by_row * row + constant
    for spans in _portions(last - first + 1):
        counts = last[spans] - first[spans] + 1
        column = _ramp(counts) + np.repeat(first[spans], counts)
        nearness = column * np.repeat(slope[spans], counts) + np.repeat(start[spans], counts)
        # Positive floats sort like the integers with the same bits.
        order = (1 / nearness).astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)
        faces = np.repeat(triangles.face[owner[spans]].astype(np.uint64), counts)
        yield column + np.repeat(row[spans] * width, counts), order | faces


def _row_limits(edges: npt.NDArray[np.float64], row: Index, *, width: int) -> tuple[Index, Index]:
    """First and last column (R,) of each row that is inside its triangle; empty where last < first."""
    a, b, c = np.moveaxis(edges, 2, 0)  # (R, 3) each
    rest = b * row[:, None] + c
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -rest / a
    # A level line has no crossing: it either lets the whole row in or nothing.
    level = np.where(rest >= 0, -np.inf, np.inf)
    first = np.where(a > 0, crossing, np.where(a == 0, level, -np.inf)).max(axis=1)
    last = np.where(a < 0, crossing, np.inf).min(axis=1)
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
