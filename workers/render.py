"""Bodies drawn over their frame on the CPU: which face covers each pixel, then mesh, then skeleton.

`rasterise` is a z-buffer in numpy: triangles become rows, rows become pixels, and the
nearest fragment of each pixel stays. No OpenGL, no display. Images are HWC, uint8, RGB.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from wire.camera import project
from wire.skeleton import SMPL_JOINTS, SMPL_PARENTS
from workers import png
from workers.types import Array, Image

log = logging.getLogger(__name__)

Index = npt.NDArray[np.integer]

MESH_COLOUR = (173, 216, 230)  # light blue
MESH_OPACITY = 0.6
LEFT_COLOUR, RIGHT_COLOUR, MIDDLE_COLOUR = (255, 128, 0), (0, 200, 80), (255, 255, 255)

#: Shade of a surface seen edge-on; one that faces the camera has 1.
AMBIENT = 0.35

#: Rows and fragments worked on at a time: bounds the memory, whatever the mesh and picture.
_AT_A_TIME = 1 << 20

_NOTHING = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, slots=True, eq=False)
class FaceBuffer:
    """What each pixel shows: face_id (H, W) int32, -1 for nothing; depth (H, W), infinite there."""

    face_id: npt.NDArray[np.int32]
    depth: Array


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A posed body to draw; metres, camera axes.

    vertices (V, 3) and joints (24, 3), body-centred; translation (3,).
    """

    vertices: Array
    joints: Array
    translation: Array


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


def overlay(image: Image, figures: Sequence[Figure], faces: Index) -> Image:
    """A copy of `image` with the meshes, the nearer ones in front, and their skeletons over them."""
    drawn = image.copy()
    _draw_meshes(drawn, figures, faces)
    _draw_skeletons(drawn, figures)
    return drawn


def visualization_png(image: Image, figures: Sequence[Figure], faces: Index) -> bytes:
    """PNG of the frame with mesh and skeleton; with less, and a line in the log, where drawing fails."""
    try:
        drawn = overlay(image, figures, faces)
    except Exception:
        log.exception("mesh not drawn, falling back to the skeleton")
        drawn = _skeletons_or_plain(image, figures)
    return png.encoded(drawn)


def _skeletons_or_plain(image: Image, figures: Sequence[Figure]) -> Image:
    drawn = image.copy()
    try:
        _draw_skeletons(drawn, figures)
    except Exception:
        log.exception("skeleton not drawn, falling back to the plain frame")
        return image
    return drawn


# ------------------------------------------------------------------------- rasteriser


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


# ---------------------------------------------------------------------------- drawing


def _draw_meshes(image: Image, figures: Sequence[Figure], faces: Index) -> None:
    """Blend all meshes into `image`, within the rectangle that they cover."""
    if not figures:
        return
    height, width = image.shape[:2]
    points = np.concatenate([figure.vertices + figure.translation for figure in figures])  # (P * V, 3)
    pixels = project(points, np.zeros(3, points.dtype), width, height)
    if not np.isfinite(pixels).all():
        raise ValueError("a mesh has no place in the picture")
    count = len(figures[0].vertices)
    all_faces = (faces + np.arange(len(figures))[:, None, None] * count).reshape(-1, 3)
    left, top = np.clip(np.floor(pixels.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(pixels.max(axis=0)) + 1, 0, (width, height)).astype(int)
    if left >= right or top >= bottom:
        return
    shown, shade = _lit_faces(points, all_faces)
    corner = np.array([left, top])
    buffer = rasterise(pixels - corner, points[:, 2], shown, width=right - left, height=bottom - top)
    covered = buffer.face_id >= 0
    region = image[top:bottom, left:right]
    paint = np.rint(MESH_OPACITY * np.outer(shade, MESH_COLOUR)).astype(np.uint8)  # (F, 3)
    dimmed = np.rint((1 - MESH_OPACITY) * np.arange(256)).astype(np.uint8)
    region[covered] = dimmed[region[covered]] + paint[buffer.face_id[covered]]


def _lit_faces(points: Array, faces: Index) -> tuple[Index, Array]:
    """The faces turned to the camera, and their brightness under a lamp at the camera."""
    a, b, c = np.moveaxis(points[faces], 1, 0)
    normals = np.cross(b - a, c - a)
    facing = np.sum(normals * a, axis=1) < 0
    # Normals averaged at the vertices hide the seams between the faces.
    smooth = np.stack(
        [np.bincount(faces.ravel(), np.repeat(normals[:, axis], 3), len(points)) for axis in range(3)], axis=1
    )
    mean = smooth[faces[facing]].sum(axis=1)
    towards = -points[faces[facing, 0]]
    cosine = np.sum(mean * towards, axis=1) / np.maximum(
        np.linalg.norm(mean, axis=1) * np.linalg.norm(towards, axis=1), 1e-12
    )
    return faces[facing], AMBIENT + (1 - AMBIENT) * np.clip(cosine, 0, 1)


def _draw_skeletons(image: Image, figures: Sequence[Figure]) -> None:
    """Draw bones and joints of every figure, the farthest first."""
    height, width = image.shape[:2]
    thickness = max(1, round(max(width, height) / 640))
    for figure in sorted(figures, key=lambda figure: -float(figure.translation[2])):
        pixels = project(figure.joints, figure.translation, width, height)
        if not np.isfinite(pixels).all():
            raise ValueError("a skeleton has no place in the picture")
        # Far outside the picture only the direction matters; OpenCV's integers end at 2^31.
        points = np.rint(np.clip(pixels, -(1 << 20), 1 << 20)).astype(int).tolist()
        for joint, parent in enumerate(SMPL_PARENTS):
            if parent >= 0:
                colour = _colour(SMPL_JOINTS[joint])
                cv2.line(image, points[parent], points[joint], colour, thickness, cv2.LINE_AA)
        for joint, point in enumerate(points):
            cv2.circle(image, point, thickness + 1, _colour(SMPL_JOINTS[joint]), -1, cv2.LINE_AA)


def _colour(joint: str) -> tuple[int, int, int]:
    side = joint.partition("_")[0]
    return {"left": LEFT_COLOUR, "right": RIGHT_COLOUR}.get(side, MIDDLE_COLOUR)
