"""Bodies in PHALP's picture: the frame padded to a square, shrunk to 256 pixels; pure functions on arrays.

PHALP's tracker follows people by what they are there: 45 points between 0 and 1, and a translation for
a camera of focal length 5000 px whose principal point is the square's centre.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wire.camera import CROP_PX, FOCAL_256
from workers.hmr2.camera import full_translation, project

Array = npt.NDArray[np.floating]

#: PHALP divides a translation's z by this before it compares poses.
_DEPTH_UNIT_M = 200.0


@dataclass(frozen=True, slots=True)
class PaddedPicture:
    """The square that a picture of `width` x `height` pixels is padded to."""

    width: int
    height: int

    @property
    def scale(self) -> float:
        """Pixels of the square per pixel of the picture."""
        return CROP_PX / max(self.width, self.height)

    @property
    def margin(self) -> Array:
        """(2,): pixels of the picture added at its left and at its top; whole ones."""
        longer = max(self.width, self.height)
        return np.array([(longer - self.width) // 2, (longer - self.height) // 2])

    def translation(self, camera: Array, *, center: Array, side: Array) -> Array:
        """Translations (..., 3) of bodies in the square's camera.

        camera (..., 3): s, tx, ty of the crops. center (..., 2) and side (...): of the crops, pixels of
        the picture.
        """
        return full_translation(
            camera,
            center=(center + self.margin) * self.scale,
            side=side * self.scale,
            size=np.array([CROP_PX, CROP_PX]),
            focal_px=FOCAL_256,
        )


def joints_and_origin(joints: Array) -> Array:
    """PHALP's 45 joints (..., 45, 3): HMR2's 44 and the body's origin, whose picture is "the location"."""
    return np.concatenate([joints, np.zeros_like(joints[..., :1, :])], axis=-2)


def square_points(points: Array, translation: Array) -> Array:
    """Where points (..., N, 3) are seen in the square, (..., N, 2): 0 to 1 from its top left corner."""
    return project(points, translation, focal=FOCAL_256 / CROP_PX) + 0.5


def location_vector(points: Array, translation: Array) -> Array:
    """What PHALP compares people's places by, (..., 99).

    points (..., 45, 2): of `square_points`; then three times the translation (..., 3): where a person
    is, how sure that is, and a third that nothing reads.
    """
    return np.concatenate([points.reshape(*points.shape[:-2], -1), *[translation] * 3], axis=-1)


def pose_vector(rotations: Array, betas: Array, translation: Array) -> Array:
    """What PHALP compares people's bodies by, (..., 229).

    Rotations (..., 24, 3, 3) row by row, shape (..., 10), translation (..., 3) with z in units of 200 m.
    """
    place = translation / np.array([1.0, 1.0, _DEPTH_UNIT_M], dtype=translation.dtype)
    return np.concatenate([rotations.reshape(*rotations.shape[:-3], -1), betas, place], axis=-1)
