"""A person seen in a frame, in the terms of PHALP: texture, place and pose.

PHALP looks at the frame padded to a square and shrunk to 256 pixels, by a camera of focal length 5000 px
whose principal point is the square's centre.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wire.camera import focal_length_px
from workers.phalp.learned.location import NEAREST_M, place_of
from workers.phalp.learned.pose import pose_vector
from workers.phalp.location import normalised_box
from workers.phalp.sighting import order
from workers.texture import Texture
from workers.types import Observation

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One person seen in this frame; float32.

    pose (229,): as in `pose`. translation (3,): in the square's camera, metres. place (3,): as in
    `location`. box (4,): as `workers.phalp.location.normalised_box`.
    """

    pose: Floats
    place: Floats
    translation: Floats
    texture: Texture
    score: float
    box: Floats
    visibility: Floats  # (24,)
    detected: bool
    box_index: int | None = None  # as the observation has it


def lift(observations: Sequence[Observation], *, width: int, height: int) -> list[Sighting]:
    """The sightings of a frame of `width` x `height` pixels, in an order that depends on them alone.

    An observation with a number that is not finite, behind the camera, or without a texture, shows nobody.
    """
    usable = sorted(filter(_is_usable, observations), key=order)
    return [_sighting(seen, seen.texture, width, height) for seen in usable if seen.texture is not None]


def in_square(translation: Floats, width: int, height: int) -> Floats:
    """A translation (3,) in the padded square's camera, of one in the picture's."""
    return translation + _offset_px(width, height) * translation[2] / focal_length_px(width, height)


def in_picture(translation: Floats, width: int, height: int) -> Floats:
    """A translation (3,) in the picture's camera, of one in the padded square's."""
    return translation - _offset_px(width, height) * translation[2] / focal_length_px(width, height)


def padding_px(width: int, height: int) -> npt.NDArray[np.int_]:
    """(2,): pixels that are added to a picture at its left and at its top to make it square; whole ones."""
    longer = max(width, height)
    return np.array([(longer - width) // 2, (longer - height) // 2])


def _offset_px(width: int, height: int) -> Floats:
    """From the picture's middle to the square's (3,): paddings are whole pixels, so it may be half a one."""
    longer, (left, top) = max(width, height), padding_px(width, height)
    return np.array([width / 2 + left - longer / 2, height / 2 + top - longer / 2, 0], np.float32)


def _sighting(seen: Observation, texture: Texture, width: int, height: int) -> Sighting:
    pose = seen.pose
    translation = in_square(pose.translation, width, height)
    return Sighting(
        pose=pose_vector(pose.rotations, pose.betas, translation).astype(np.float32),
        place=place_of(translation),
        translation=translation,
        texture=texture,
        score=float(np.clip(seen.score, 0, 1)),
        box=normalised_box(seen.box, width, height).astype(np.float32),
        visibility=np.clip(seen.joint_visibility, 0, 1).astype(np.float32),
        detected=seen.detected,
        box_index=seen.box_index,
    )


def _is_usable(seen: Observation) -> bool:
    pose = seen.pose
    numbers = (pose.rotations, pose.betas, pose.translation, seen.box, seen.joint_visibility, seen.score)
    return all(bool(np.isfinite(number).all()) for number in numbers) and pose.translation[2] > NEAREST_M
