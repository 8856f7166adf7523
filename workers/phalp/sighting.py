"""An observation lifted into the terms of the tracker: appearance, location and pose, in float64."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.phalp.location import normalised_box, picture_of, place_of
from workers.phalp.skeleton import Skeleton
from workers.phalp.state import Floats
from workers.phalp.turns import turns_of
from workers.types import Observation

#: A body nearer to the camera than this, metres, is not in front of it.
_NEAREST_M = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One person seen in this frame. Places and boxes as in `location`."""

    turns: Floats  # (24, 3, 3) joint axes to camera axes
    measured_betas: Floats  # (10,) the shape that this frame alone suggests
    joints: Floats  # (24, 3) metres, camera axes, from the pelvis
    picture: Floats  # (24, 2) where the joints are in the picture
    place: Floats  # (3,)
    box: Floats  # (4,)
    score: float
    visibility: Floats  # (24,)
    appearance: Floats  # (P, 3)
    patch_weight: Floats  # (P,)
    detected: bool
    proposal: int | None
    sides_swapped: bool
    box_index: int | None = None  # as the observation has it


def lift(
    observations: Sequence[Observation], *, skeleton: Skeleton, width: int, height: int
) -> list[Sighting]:
    """The sightings of a frame of `width` x `height` pixels, in an order that depends on them alone.

    An observation with a number that is not finite, or behind the camera, shows nobody.
    """
    usable = sorted(filter(_is_usable, observations), key=order)
    if not usable:
        return []
    rotations = np.array([seen.pose.rotations for seen in usable]).astype(np.float64)
    betas = np.array([seen.pose.betas for seen in usable]).astype(np.float64)
    measured = [seen.pose.betas if seen.betas_measured is None else seen.betas_measured for seen in usable]
    translations = np.array([seen.pose.translation for seen in usable]).astype(np.float64)
    turns = turns_of(rotations)
    joints = skeleton.joints(turns, betas)
    pelvis = skeleton.pelvis(betas) + translations
    places = place_of(pelvis, skeleton.length(betas))
    pictures = picture_of(joints, pelvis)
    return [
        Sighting(
            turns=turns[index],
            measured_betas=measured[index].astype(np.float64),
            joints=joints[index],
            picture=pictures[index],
            place=places[index],
            box=normalised_box(seen.box, width, height),
            score=float(np.clip(seen.score, 0, 1)),
            visibility=np.clip(np.asarray(seen.joint_visibility, dtype=np.float64), 0, 1),
            appearance=np.asarray(seen.appearance, dtype=np.float64),
            patch_weight=np.clip(np.asarray(seen.patch_weight, dtype=np.float64), 0, 1),
            detected=seen.detected,
            proposal=seen.proposal,
            sides_swapped=seen.sides_swapped,
            box_index=seen.box_index,
        )
        for index, seen in enumerate(usable)
        if joints[index, :, 2].min() + pelvis[index, 2] > _NEAREST_M
    ]


def _is_usable(seen: Observation) -> bool:
    pose = seen.pose
    numbers = [pose.rotations.ravel(), pose.betas, pose.translation, seen.box, seen.joint_visibility]
    if seen.betas_measured is not None:
        numbers.append(seen.betas_measured)
    numbers.append(seen.appearance[seen.patch_weight > 0].ravel())
    return math.isfinite(seen.score) and bool(np.isfinite(np.concatenate(numbers)).all())


def order(seen: Observation) -> tuple[float, ...]:
    """By what observations are sorted: left to right, then whatever could tell two in one place apart."""
    return (
        *seen.box.tolist(),
        seen.score,
        *seen.pose.translation.tolist(),
        *seen.pose.rotations.ravel().tolist(),
    )
