"""The cameras of an answer: pure functions, for whoever projects or describes a body.

Pixels have their origin at the image's top left corner, x right, y down. Camera axes are
x right, y down, z away, metres. The full-image camera is 4D-Humans': focal length
5000/256 of the longer side, principal point at the centre.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

#: Focal length of the 4D-Humans camera, in units of a 256 px crop.
FOCAL_256 = 5000.0
CROP_PX = 256.0

#: Width over height of the part of a crop that HMR2's backbone sees (192 of 256 columns).
CROP_ASPECT = 192 / 256


def focal_length_px(width: int, height: int) -> float:
    """Focal length of the full-image camera (4D-Humans: 5000/256 of the longer side)."""
    return FOCAL_256 / CROP_PX * max(width, height)


def project(points: Array, translation: Array, width: int, height: int) -> Array:
    """Pixels (..., N, 2) of body-centred points (..., N, 3) moved by `translation` (..., 3)."""
    moved = points + translation[..., None, :]
    centre = np.array([width / 2, height / 2], dtype=moved.dtype)
    return focal_length_px(width, height) * moved[..., :2] / moved[..., 2:] + centre


def crop_square(box: Array) -> tuple[tuple[float, float], float]:
    """Centre and side, pixels, of the square that 4D-Humans crops around `box` (4,): x0 y0 x1 y1."""
    x0, y0, x1, y1 = box.tolist()
    width, height = x1 - x0, y1 - y0
    return ((x0 + x1) / 2, (y0 + y1) / 2), max(width / CROP_ASPECT, height)


def crop_camera(
    translation: Array, *, box_center: tuple[float, float], box_size: float, width: int, height: int
) -> tuple[float, float, float]:
    """Weak-perspective camera (s, tx, ty) of a square crop: the inverse of 4D-Humans' cam_crop_to_full."""
    tx, ty, tz = translation.tolist()
    scaled = 2 * focal_length_px(width, height) / tz  # = box_size * s
    cx, cy = box_center
    return scaled / box_size, tx - 2 * (cx - width / 2) / scaled, ty - 2 * (cy - height / 2) / scaled
