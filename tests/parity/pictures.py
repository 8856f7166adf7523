"""Where 4D-Humans and PHALP say that points of a body are seen, as far as only their recordings tell it.

HMR2 sees a body in its crop; PHALP in the frame padded to a square and shrunk to 256 pixels, by a camera of
focal length 5000 px whose principal point is the square's centre. The service sees people in the picture.
"""

import numpy as np
import numpy.typing as npt

from wire.camera import CROP_PX, FOCAL_256
from workers.hmr2.camera import crop_translation, full_translation
from workers.phalp.learned.sighting import padding_px

Array = npt.NDArray[np.floating]


def project(points: Array, translation: Array, *, focal: Array | float, center: Array | float = 0.0) -> Array:
    """Where points (..., N, 3) moved by `translation` (..., 3) are seen: (..., N, 2), in units of `focal`.

    focal and center: one number, or (..., 2).
    """
    moved = points + translation[..., None, :]
    across = np.broadcast_to(focal, (*translation.shape[:-1], 2))[..., None, :]
    middle = np.broadcast_to(center, (*translation.shape[:-1], 2))[..., None, :]
    return across * (moved[..., :2] / moved[..., 2:]) + middle


def crop_points(points: Array, camera: Array) -> Array:
    """Where points (..., N, 3) are seen in their crops, of `camera` (..., 3): (..., N, 2), in crop widths.

    (0, 0) is the crop's centre; pixels of the crop are (value + 0.5) * 256.
    """
    return project(points, crop_translation(camera), focal=FOCAL_256 / CROP_PX)


def square_translation(camera: Array, *, center: Array, side: Array, width: int, height: int) -> Array:
    """Translations (..., 3) in the square's camera, of the cameras (..., 3) of crops: s, tx, ty.

    center (..., 2) and side (...): of the crops, pixels of a picture of `width` x `height` pixels.
    """
    scale = CROP_PX / max(width, height)
    return full_translation(
        camera,
        center=(center + padding_px(width, height)) * scale,
        side=side * scale,
        size=np.array([CROP_PX, CROP_PX]),
        focal_px=FOCAL_256,
    )


def square_points(points: Array, translation: Array) -> Array:
    """Where points (..., N, 3) are seen in the square, (..., N, 2): 0 to 1 from its top left corner."""
    return project(points, translation, focal=FOCAL_256 / CROP_PX) + 0.5


def joints_and_origin(joints: Array) -> Array:
    """PHALP's 45 joints (..., 45, 3): HMR2's 44 and the body's origin, whose picture is "the location"."""
    return np.concatenate([joints, np.zeros_like(joints[..., :1, :])], axis=-2)


def location_vector(points: Array, translation: Array) -> Array:
    """What PHALP compares people's places by, (..., 99).

    points (..., 45, 2): of `square_points`; then three times the translation (..., 3): where a person
    is, how sure that is, and a third that nothing reads.
    """
    return np.concatenate([points.reshape(*points.shape[:-2], -1), *[translation] * 3], axis=-1)
