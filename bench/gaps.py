"""Gaps in a person's motion, and how far a prediction is off there: pure functions of arrays.

What a prediction is compared with is the motion smoothed over both sides, as no stream can be: one
observation is as noisy as predictions of the next frames are wrong. N frames; places are `location`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.geometry import rotation_from_vector, vector_from_rotation
from workers.phalp.location import pelvis_at, picture_of
from workers.phalp.skeleton import Skeleton
from workers.phalp.smooth import orthonormal

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Frames withheld.
LENGTHS: Final = (1, 3, 6, 12, 30)
#: Frames before a gap in which the person is seen well, each of them.
LEAD: Final = 10
#: Share of a gap's frames that must show the person well; the others count for nothing.
WELL_SHARE: Final = 0.9

#: How far an observation of someone seen well may be from the reference, mm: the mean of its joints,
#: root-aligned.
WELL_MM: Final = 60.0

#: Reach of the smoothing to either side, frames. Parabolas of this reach, laid without the frame in their
#: middle, come nearest to what is seen there: on clips of 30 and of 60 frames a second.
REACH: Final = 5
#: Radians and body lengths off the smoothed motion at which an observation counts half.
_OUTLYING_TURN: Final = 0.15
_OUTLYING_PLACE: Final = 0.01
_ROUNDS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """How and where a person is in each of N frames."""

    turns: Floats  # (N, 24, 3, 3) joint axes to camera axes
    places: Floats  # (N, 3)

    def part(self, frames: slice | Sequence[int]) -> "Poses":
        """Those of some frames."""
        return Poses(self.turns[frames], self.places[frames])


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """The frames `first`, ..., `first + length - 1` are withheld."""

    first: int
    length: int

    @property
    def frames(self) -> range:
        """The frames withheld."""
        return range(self.first, self.first + self.length)


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """How far poses are off, in each of N frames: means over the 24 joints."""

    root_mm: Floats  # (N,) pelvis on pelvis
    absolute_mm: Floats  # (N,) in camera axes: mostly distance, which a picture hardly shows
    px: Floats  # (N,) in the picture


def draw(well: Flags, *, length: int, most: int, random: np.random.Generator) -> list[Gap]:
    """At most `most` different gaps of `length` frames, of those that frames seen `well` (N,) allow.

    At least one frame follows a gap: the reference is smoothed over both sides.
    """
    allowed = [
        first
        for first in range(LEAD, len(well) - length)
        if well[first - LEAD : first].all() and well[first : first + length].mean() >= WELL_SHARE
    ]
    chosen = random.choice(allowed, size=min(most, len(allowed)), replace=False) if allowed else []
    return [Gap(int(first), length) for first in sorted(chosen)]


def reference(seen: Poses, known: Flags) -> Poses:
    """The motion behind what was seen in the frames `known` (N,).

    In each frame a parabola through the frames around it, on the rotation group in the frame's own
    tangent; observations off it count less (Cauchy's weights).
    """
    times = np.arange(-REACH, REACH + 1)
    frames = np.arange(len(known))[:, None] + times
    inside = (frames >= 0) & (frames < len(known))
    frames = frames.clip(0, len(known) - 1)
    near = (1 - (np.abs(times) / (REACH + 1)) ** 3) ** 3  # tricube
    weights = near * inside * known[frames]  # (N, K)
    turns = seen.turns
    outlying = np.ones((*weights.shape, 24))
    for _ in range(_ROUNDS):
        away = vector_from_rotation(np.swapaxes(turns[:, None], -1, -2) @ seen.turns[frames])
        value, outlying = _parabola(times, away, weights[..., None] * outlying, _OUTLYING_TURN)
        turns = orthonormal(turns @ rotation_from_vector(value))
    around = seen.places[frames][:, :, None]  # (N, K, 1, 3)
    outlying = np.ones((*weights.shape, 1))
    for _ in range(_ROUNDS):
        value, outlying = _parabola(times, around, weights[..., None] * outlying, _OUTLYING_PLACE)
    return Poses(turns, value[:, 0])


def errors(
    predicted: Poses, truth: Poses, *, betas: Floats, skeleton: Skeleton, longer_side_px: float
) -> Errors:
    """How far `predicted` is off; both bodies have the shape `betas` (10,), which is nobody's to predict."""
    joints, joints_of_truth = (_joints(poses, betas, skeleton) for poses in (predicted, truth))
    pelvis, pelvis_of_truth = (_pelvis(poses, betas, skeleton) for poses in (predicted, truth))
    absolute = joints + pelvis[:, None] - joints_of_truth - pelvis_of_truth[:, None]
    pictures = picture_of(joints, pelvis) - picture_of(joints_of_truth, pelvis_of_truth)
    return Errors(
        root_mm=1000 * _mean_length(joints - joints_of_truth),
        absolute_mm=1000 * _mean_length(absolute),
        px=longer_side_px * _mean_length(pictures),
    )


def _parabola(
    times: npt.NDArray[np.int_], values: Floats, weights: Floats, unit: float
) -> tuple[Floats, Floats]:
    """Values (N, J, D) at time 0 of parabolas through values (N, K, J, D), and new weights (N, K, J).

    `weights` are (N, K, J) too; the new ones are 1 on the parabola and a half `unit` away from it.
    """
    powers = np.stack([np.ones(len(times)), times, times**2], axis=-1)  # (K, 3)
    normal = np.einsum("nkj,ka,kb->njab", weights, powers, powers) + 1e-9 * np.eye(3)
    right = np.einsum("nkj,ka,nkjd->njad", weights, powers, values)
    coefficients = np.linalg.solve(normal, right)  # (N, J, 3, D)
    off = values - np.einsum("ka,njad->nkjd", powers, coefficients)
    return coefficients[:, :, 0], 1 / (1 + np.square(off).sum(axis=-1) / unit**2)


def _joints(poses: Poses, betas: Floats, skeleton: Skeleton) -> Floats:
    """Joints (N, 24, 3) from the pelvis."""
    return skeleton.joints(poses.turns, np.tile(betas, (len(poses.turns), 1)))


def _pelvis(poses: Poses, betas: Floats, skeleton: Skeleton) -> Floats:
    return pelvis_at(poses.places, np.full(len(poses.places), skeleton.length(betas)))


def _mean_length(vectors: Floats) -> Floats:
    """(N,) of vectors (N, J, D)."""
    return np.linalg.norm(vectors, axis=-1).mean(axis=-1)
