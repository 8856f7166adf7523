"""Where a body is in the picture, in numbers that mean the same for every picture size and every shape.

A place (3,) is (u, v, log distance): the pelvis, u right and v down from the picture's centre in units
of its longer side, and its depth in lengths of the body itself, at the 4D-Humans camera, whose focal
length is a fixed multiple of that side. So a place tells how large the body looks, and it stays what it
is when the stream changes its size or the body its shape.
"""

from typing import Final

import numpy as np

from wire.camera import CROP_PX, FOCAL_256
from workers.phalp.state import Floats

#: Focal length in units of the picture's longer side.
FOCAL: Final = FOCAL_256 / CROP_PX

#: What moves a box (4,) as it moves a point of the picture.
_TWICE: Final = [0, 1, 0, 1]


def place_of(pelvis: Floats, length: Floats) -> Floats:
    """The places (..., 3) of pelvises (..., 3), camera axes, metres, of bodies `length` (...) metres long."""
    depth = np.maximum(pelvis[..., 2], 1e-3)
    across = FOCAL * pelvis[..., :2] / depth[..., None]
    return np.concatenate([across, np.log(depth / length)[..., None]], axis=-1)


def pelvis_at(place: Floats, length: Floats) -> Floats:
    """The pelvises (..., 3), camera axes, metres, at places (..., 3)."""
    depth = np.exp(place[..., 2:]) * length[..., None]
    return np.concatenate([place[..., :2] * depth / FOCAL, depth], axis=-1)


def size_at(place: Floats) -> Floats:
    """How long bodies at places (..., 3) are in the picture, in units of its longer side: (...)."""
    return FOCAL * np.exp(-place[..., 2])


def picture_of(joints: Floats, translation: Floats) -> Floats:
    """Joints (..., N, 3), moved by `translation` (..., 3), in the picture (..., N, 2), unit as in places."""
    moved = joints + translation[..., None, :]
    return FOCAL * moved[..., :2] / moved[..., 2:]


def translation_onto(joints: Floats, picture: Floats, weights: Floats) -> Floats:
    """The translations (..., 3) that bring joints (..., N, 3) nearest to `picture` (..., N, 2).

    Joints count by `weights` (..., N). FOCAL (X + t_xy) = picture (Z + t_z) is linear in t: a small
    least-squares problem, solved by its normal equations with t_xy eliminated.
    """
    share = weights / weights.sum(axis=-1, keepdims=True)
    slope = picture / FOCAL  # (..., N, 2)
    offset = slope * joints[..., 2:] - joints[..., :2]  # (..., N, 2) t_xy - slope t_z = offset
    mean_slope = (share[..., None] * slope).sum(axis=-2, keepdims=True)
    mean_offset = (share[..., None] * offset).sum(axis=-2, keepdims=True)
    spread = (share[..., None] * np.square(slope - mean_slope)).sum(axis=(-1, -2))
    product = (share[..., None] * (slope - mean_slope) * (offset - mean_offset)).sum(axis=(-1, -2))
    depth = -product / np.maximum(spread, 1e-12)
    across = mean_offset[..., 0, :] + mean_slope[..., 0, :] * depth[..., None]
    return np.concatenate([across, depth[..., None]], axis=-1)


def normalised_box(box: Floats, width: int, height: int) -> Floats:
    """A box (4,) in pixels as one around the picture's centre, in units of its longer side."""
    return (np.asarray(box, dtype=np.float64) - _centre(width, height)) / max(width, height)


def pixel_box(box: Floats, width: int, height: int) -> Floats:
    """The box (4,) in pixels that `normalised_box` came from."""
    return box * max(width, height) + _centre(width, height)


def moved_box(box: Floats, *, seen: Floats, now: Floats) -> Floats:
    """The box (4,) of a body that was at place `seen` and is at place `now`."""
    return (box - seen[_TWICE]) * np.exp(seen[2] - now[2]) + now[_TWICE]


def union_share(box: Floats, others: Floats) -> Floats:
    """Intersection over union of a box (4,) with boxes (N, 4): (N,)."""
    shared = _intersections(box, others)
    return shared / np.maximum(_areas(others) + _areas(box) - shared, 1e-12)


def inner_share(box: Floats, others: Floats) -> Floats:
    """How much of a box (4,) lies in each of the boxes (N, 4): (N,), 0..1."""
    return _intersections(box, others) / np.maximum(_areas(box), 1e-12)


def _intersections(box: Floats, others: Floats) -> Floats:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    return _product(np.maximum(high - low, 0))


def _areas(boxes: Floats) -> Floats:
    return _product(boxes[..., 2:] - boxes[..., :2])


def _product(sides: Floats) -> Floats:
    """(...) of (..., 2)."""
    product: Floats = sides[..., 0] * sides[..., 1]
    return product


def _centre(width: int, height: int) -> Floats:
    return np.array([width / 2, height / 2, width / 2, height / 2])
