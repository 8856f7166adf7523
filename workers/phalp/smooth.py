"""Smoothing without lag: a constant-velocity filter whose gain follows the evidence.

Each number is predicted with its velocity and then moved toward its measurement by a share, the gain.
Noise surprises in alternating directions, a change of motion in one: so the gain rises with the
running mean of the surprises, signs kept (after Trigg and Leach's tracking signal, 1967). A person
who stands still is held still, one who moves is followed at once.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from wire.skeleton import SMPL_JOINTS
from workers.geometry import rotation_from_vector, vector_from_rotation
from workers.phalp.state import Floats


@dataclass(frozen=True, slots=True)
class Response:
    """How a filter answers surprises: `noise` is the surprise at which the gain is half way up."""

    noise: float | Floats  # for each of N vectors (N, 1) where they differ
    low: float  # gain when nothing but noise is seen
    high: float  # gain in a change of motion
    velocity_share: float  # of the gain squared, that goes into the velocity


#: Radians. How trunk and head are turned is seen worse than where limbs point; what noise there is in the
#: head moves the five keypoints of the face at once.
_LIMB_NOISE: Final = 0.17
_TRUNK_NOISE: Final = 0.4
_HEAD_NOISE: Final = 1.0
_NOISE_OF: Final = {
    **dict.fromkeys(("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar"), _TRUNK_NOISE),
    **dict.fromkeys(("neck", "head"), _HEAD_NOISE),
}
TURNS: Final = Response(
    noise=np.array([[_NOISE_OF.get(joint, _LIMB_NOISE)] for joint in SMPL_JOINTS]),
    low=0.25,
    high=0.98,
    velocity_share=0.5,
)
#: Body lengths in the picture, for the pelvis' place in it.
PLACE: Final = Response(noise=0.01, low=0.25, high=0.98, velocity_share=0.4)
#: Log distance: the picture hardly shows it, so it moves slowly.
DISTANCE: Final = Response(noise=0.05, low=0.25, high=0.98, velocity_share=0.3)

#: Size in the picture, in its longer sides, from which people are smoothed in full; and the least share.
FULL_SIZE: Final = 0.45
MIN_STRENGTH: Final = 0.2

#: Share of the running mean of surprises that is kept from frame to frame.
SURPRISE_KEPT: Final = 0.5
#: Share of a velocity that is kept from one observation to the next.
VELOCITY_KEPT: Final = 0.97


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """Values after a measurement, their velocities per frame, and their running mean surprises."""

    value: Floats
    velocity: Floats
    surprise: Floats


def rotations(
    expected: Filtered, measured: Floats, *, size: Floats, frames: Floats, weight: Floats
) -> Filtered:
    """Rotations (T, 24, 3, 3) of T tracks after measurements (T, 24, 3, 3).

    `size` (T,) of the people in the picture, `location.size_at`; `frames` (T,) since the measurement
    before; `weight` (T, 24) 0..1 scales what each measurement may change. Velocities and surprises are
    rotation vectors (T, 24, 3) in each joint's own axes.
    """
    innovation = vector_from_rotation(np.swapaxes(expected.value, -1, -2) @ measured)
    moved = _answer(
        expected,
        innovation,
        strength=_column(_strength(size), 3),
        unit=1.0,
        frames=_column(frames, 3),
        weight=weight[..., None],
        response=TURNS,
    )
    return replace(moved, value=orthonormal(expected.value @ rotation_from_vector(moved.value)))


def vectors(
    expected: Filtered,
    measured: Floats,
    *,
    unit: Floats,
    size: Floats,
    frames: Floats,
    weight: Floats,
    response: Response,
) -> Filtered:
    """Vectors (T, N) of T tracks after measurements (T, N); `response.noise` is in units of `unit` (T,)."""
    moved = _answer(
        expected,
        measured - expected.value,
        strength=_column(_strength(size), 2),
        unit=_column(unit, 2),
        frames=_column(frames, 2),
        weight=_column(weight, 2),
        response=response,
    )
    return replace(moved, value=expected.value + moved.value)


def orthonormal(matrix: Floats) -> Floats:
    """Rotations (..., 3, 3) from matrices that rounding alone has moved off them (one Newton step)."""
    return 1.5 * matrix - 0.5 * matrix @ (np.swapaxes(matrix, -1, -2) @ matrix)


def _answer(
    expected: Filtered,
    innovation: Floats,
    *,
    strength: Floats,
    unit: Floats | float,
    frames: Floats,
    weight: Floats,
    response: Response,
) -> Filtered:
    """What to change for a measurement that shows `innovation` beyond what was expected, as `value`."""
    surprise = SURPRISE_KEPT * expected.surprise + (1 - SURPRISE_KEPT) * weight * innovation
    ratio = np.square(surprise).sum(axis=-1, keepdims=True) / (response.noise * unit * strength) ** 2
    low = response.low**strength
    gain = weight * (low + (response.high - low) * ratio / (1 + ratio))
    velocity = VELOCITY_KEPT * expected.velocity + response.velocity_share * gain**2 * innovation / frames
    return Filtered(gain * innovation, velocity, surprise)


def _strength(size: Floats) -> Floats:
    """How strongly people of `size` (T,) are smoothed, 0..1: a small one shows less of the noise."""
    return np.clip(size / FULL_SIZE, MIN_STRENGTH, 1.0)


def _column(numbers: Floats, axes: int) -> Floats:
    """Numbers (T,) shaped to multiply arrays of `axes` axes."""
    return numbers.reshape(-1, *(1,) * (axes - 1))
