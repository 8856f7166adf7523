"""Smoothing without lag: a constant-velocity filter whose gain follows the evidence.

Each number is predicted with its velocity and then moved toward its measurement by a share, the gain.
Noise surprises in alternating directions, a change of motion in one: so the gain rises with the
running mean of the surprises, signs kept (after Trigg and Leach's tracking signal, 1967). A person
who stands still is held still, one who moves is followed at once.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.geometry import rotation_from_vector, vector_from_rotation
from workers.phalp.state import Floats


@dataclass(frozen=True, slots=True)
class Response:
    """How a filter answers surprises: `noise` is the surprise at which the gain is half way up."""

    noise: float
    low: float  # gain when nothing but noise is seen
    high: float  # gain in a change of motion
    velocity_share: float  # of the gain squared, that goes into the velocity


#: Radians. Hands, feet and head are measured worse than the trunk, but move less of the picture.
JOINTS: Final = Response(noise=0.13, low=0.30, high=0.98, velocity_share=0.5)
#: Body lengths in the picture, for the pelvis' place in it.
PLACE: Final = Response(noise=0.0115, low=0.40, high=0.98, velocity_share=0.35)
#: Log distance: the picture hardly shows it, so it moves slowly.
DISTANCE: Final = Response(noise=0.027, low=0.25, high=0.98, velocity_share=0.3)

#: Share of the running mean of surprises that is kept from frame to frame.
SURPRISE_KEPT: Final = 0.5
#: Share of the running mean of their squares that is kept, and how much of it counts as noise.
SPREAD_KEPT: Final = 0.98
SPREAD_SHARE: Final = 0.35
#: Share of a velocity that is kept from one observation to the next.
VELOCITY_KEPT: Final = 0.97


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """Values after a measurement, their velocities per frame, and the running means of their surprises.

    surprise: of the surprises, signs kept, shaped as the velocity; spread (...): of their squared length.
    """

    value: Floats
    velocity: Floats
    surprise: Floats
    spread: Floats


def rotations(expected: Filtered, measured: Floats, *, frames: Floats, weight: Floats) -> Filtered:
    """Joint rotations (T, 24, 3, 3) of T tracks after measurements (T, 24, 3, 3).

    `frames` (T,) since the measurement before; `weight` (T,) 0..1 scales what a measurement may change.
    Velocities and surprises are rotation vectors (T, 24, 3) in each joint's own axes.
    """
    innovation = vector_from_rotation(np.swapaxes(expected.value, -1, -2) @ measured)
    noise = np.full((len(weight), 1, 1), JOINTS.noise)
    change, velocity, surprise, spread = _answer(
        expected,
        innovation,
        noise=noise,
        frames=_column(frames, 3),
        weight=_column(weight, 3),
        response=JOINTS,
    )
    return Filtered(orthonormal(expected.value @ rotation_from_vector(change)), velocity, surprise, spread)


def vectors(
    expected: Filtered, measured: Floats, *, noise: Floats, frames: Floats, weight: Floats, response: Response
) -> Filtered:
    """Vectors (T, N) of T tracks after measurements (T, N); `noise` (T,) stands for `response.noise`."""
    change, velocity, surprise, spread = _answer(
        expected,
        measured - expected.value,
        noise=_column(noise, 2),
        frames=_column(frames, 2),
        weight=_column(weight, 2),
        response=response,
    )
    return Filtered(expected.value + change, velocity, surprise, spread)


def orthonormal(matrix: Floats) -> Floats:
    """Rotations (..., 3, 3) from matrices that rounding alone has moved off them (one Newton step)."""
    return 1.5 * matrix - 0.5 * matrix @ (np.swapaxes(matrix, -1, -2) @ matrix)


def _answer(
    expected: Filtered,
    innovation: Floats,
    *,
    noise: Floats,
    frames: Floats,
    weight: Floats,
    response: Response,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Change, velocity and the means of surprises, of what a measurement shows beyond what was expected."""
    believed = weight * innovation
    surprise = SURPRISE_KEPT * expected.surprise + (1 - SURPRISE_KEPT) * believed
    spread = SPREAD_KEPT * expected.spread + (1 - SPREAD_KEPT) * np.square(believed).sum(axis=-1)
    ratio = np.square(surprise).sum(axis=-1, keepdims=True) / (noise**2 + SPREAD_SHARE * spread[..., None])
    gain = weight * (response.low + (response.high - response.low) * ratio / (1 + ratio))
    velocity = VELOCITY_KEPT * expected.velocity + response.velocity_share * gain**2 * innovation / frames
    return gain * innovation, velocity, surprise, spread


def _column(numbers: Floats, axes: int) -> Floats:
    """Numbers (T,) shaped to multiply arrays of `axes` axes."""
    return numbers.reshape(-1, *(1,) * (axes - 1))
