"""From the camera of a crop to those of its picture: pure functions on arrays.

HMR2 answers (s, tx, ty): a weak-perspective camera of the square crop. A translation (..., 3) puts the
body in front of a perspective camera instead: metres, x right, y down, z away. Sources: 4D-Humans' and
PHALP's conventions, which all parts of the service share (see `wire/camera.py`).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from wire.camera import CROP_PX, FOCAL_256

Array = npt.NDArray[np.floating]

#: Keeps a camera of scale 0 finite.
_TINY: Final = 1e-9


def crop_translation(camera: Array) -> Array:
    """Translations (..., 3) in the crops' own cameras, focal length 5000 at 256 px, of `camera` (..., 3)."""
    s, tx, ty = np.moveaxis(camera, -1, 0)
    return np.stack([tx, ty, 2 * FOCAL_256 / (CROP_PX * s + _TINY)], axis=-1)


def full_translation(camera: Array, *, center: Array, side: Array, size: Array, focal_px: float) -> Array:
    """Translations (..., 3) of bodies in the camera of the whole picture, of `camera` (..., 3).

    center (..., 2) and side (...): of the square crop, pixels. size (..., 2): width and height of the
    picture, pixels. The principal point is the picture's centre.
    """
    s, tx, ty = np.moveaxis(camera, -1, 0)
    scaled = side * s + _TINY
    x, y = np.moveaxis(center - size / 2, -1, 0)
    return np.stack([tx + 2 * x / scaled, ty + 2 * y / scaled, 2 * focal_px / scaled], axis=-1)
