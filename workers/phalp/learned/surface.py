"""How far away the surface of a body is in each pixel of its crop: the depth buffer of PHALP's renderer.

Whether a texel was seen hangs on the last bits of this depth, so it is computed in float32 and in the
order of the original (Neural 3D Mesh Renderer, Kato et al. 2018, without its bound on faces). Which
pixels come into question the shared rasteriser says.

Coordinates are the renderer's: the crop is -1 to 1 across, y up, and its rows are counted from the bottom.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from body.rasteriser import Fragments, fragments
from wire.camera import CROP_PX, FOCAL_256

Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.integer]

#: Where no surface is, and where it begins to be too near to be one, metres.
FAR_M: Final = np.float32(100.0)
_NEAR_M: Final = np.float32(0.1)

_CROP: Final = int(CROP_PX)

#: What float32 may put into a face that is outside it, in pixels; it errs by a hundredth of that.
_RIM_PX: Final = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class _Facing:
    """Faces with their corners in the order in which they face the camera."""

    corner: Floats  # (3, 2, F)
    side: Floats  # (3, 2, F) from each corner to the next
    shares: Floats  # (3, 3, F) a, b, c: a column + b row + c is what the corner counts for in a pixel
    depth: Floats  # (3, F)


def surface(vertices: Floats, faces: Index) -> Floats:
    """How far away the surface is in each pixel (256, 256), metres; `FAR_M` where none is.

    vertices (V, 3) in the crop's camera, metres; faces (F, 3).
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        places, pixels = _projected(vertices)
        facing = _facing(places, pixels, vertices[:, 2], faces.T)
        nearest = np.full(_CROP * _CROP, FAR_M)
        for some in fragments(pixels.T, vertices[:, 2], faces, width=_CROP, height=_CROP, rim_px=_RIM_PX):
            depth = np.where(_inside(facing, some), _depth(facing, some), FAR_M)
            kept = np.flatnonzero((depth > _NEAR_M) & (depth < FAR_M))
            np.minimum.at(nearest, some.row[kept] * _CROP + some.column[kept], depth[kept])
    return nearest.reshape(_CROP, _CROP)[::-1]


def _projected(vertices: Floats) -> tuple[Floats, Floats]:
    """Where vertices are seen in the crop, and in pixels whose centres are at integers, (2, V) each."""
    middle = np.float32(CROP_PX / 2)
    across = vertices[:, :2].T / vertices[:, 2] * np.float32(FOCAL_256) + middle
    across[1] = np.float32(CROP_PX) - across[1]
    places = 2 * (across - middle) / np.float32(CROP_PX)
    return places, (places * np.float32(CROP_PX) + np.float32(CROP_PX) - 1) / 2


def _facing(places: Floats, pixels: Floats, depth: Floats, faces: Index) -> _Facing:
    """The faces (3, F), turned to the camera."""
    x, y = places.take(faces, axis=1)  # (3, F) each
    away = (y[2] - y[0]) * (x[1] - x[0]) < (y[1] - y[0]) * (x[2] - x[0])
    faces = np.where(away, faces[::-1], faces)
    x, y = pixels.take(faces, axis=1)
    whole = x[2] * (y[0] - y[1]) + x[0] * (y[1] - y[2]) + x[1] * (y[2] - y[0])
    shares = [(y[i] - y[j], x[j] - x[i], x[i] * y[j] - x[j] * y[i]) for i, j in ((1, 2), (2, 0), (0, 1))]
    corner = places.take(faces, axis=1).swapaxes(0, 1).copy()
    return _Facing(corner, corner[[1, 2, 0]] - corner, np.array(shares) / whole, depth[faces])


def _inside(facing: _Facing, some: Fragments) -> npt.NDArray[np.bool_]:
    """Which of the fragments are inside their faces (N,); edges are."""
    pixel = np.stack([some.column, some.row]).astype(np.float32)
    off = (2 * pixel + 1 - _CROP) / _CROP - facing.corner.take(some.face, axis=2)  # (3, 2, N)
    side = facing.side.take(some.face, axis=2)
    return ~(off[:, 1] * side[:, 0] < off[:, 0] * side[:, 1]).any(axis=0)


def _depth(facing: _Facing, some: Fragments) -> Floats:
    """How far away the fragments are (N,), metres: what is linear in the picture is one over it."""
    a, b, c = facing.shares.take(some.face, axis=2).swapaxes(0, 1)  # (3, N) each
    shares = (a * some.column.astype(np.float32) + b * some.row.astype(np.float32) + c).clip(0, 1)
    return 1 / (shares / shares.sum(axis=0) / facing.depth.take(some.face, axis=1)).sum(axis=0)
