"""Feet that stand do not slide: who stands still is found, and the body is moved so that he does.

A foot stands while neither ankle nor toes move across the picture. Then the whole body is moved as little as
serves all standing feet, mostly in distance, which the picture hardly shows; what is left, thigh and shank
take up, and the foot keeps its turn. World axes are the camera's: a camera that moves shows nobody standing
still, so nothing is done there.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import ndimage

from client.second_pass.skeleton import Skeleton
from client.second_pass.smoothing import smoothed, stiffness_of
from client.second_pass.turns import Flags, Floats, between, matrix_of
from wire.skeleton import SMPL_JOINTS

#: Hip, knee, ankle, toes of the left and the right leg.
LEGS: Final = tuple(
    tuple(SMPL_JOINTS.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle", "foot"))
    for side in ("left", "right")
)

#: Fastest that a standing foot seems to move, metres a second across the picture; and how long it stands.
STILL_M_S: Final = 0.25
STANDS_S: Final = 0.15
#: How far it may be from its middle meanwhile, metres; and the share of its distance that the body may gain
#: or lose in a second. This camera's focal length is not the true one, so distances are none in metres: who
#: comes nearer is not held.
NEAR_M: Final = 0.05
STAYS_AWAY: Final = 0.03
#: How far a standing ankle or toe may be from its middle in the end, metres.
MOVES_M: Final = 0.01
#: What the picture says of where the body is, across and in depth, as against a foot that stands still.
_BODY_STAYS: Final = np.array([3.0, 3.0, 0.01])
#: How fast the whole body, and a leg, may be moved to and fro for that.
_BODY_HZ: Final = 2.0
_LEG_HZ: Final = 6.0
#: How firmly a leg is where it should be while it stands; and that it is left alone well before and after.
_FIRM: Final = 1e6
_FADING_S: Final = 0.15
#: Share of the length of a leg that it is stretched to, at most.
_STRETCHED: Final = 0.9995
_ROUNDS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """A person in N moments: turns (N, 24, 3, 3), pelvis (N, 3) in camera axes, metres."""

    turns: Floats
    pelvis: Floats


def standing(motion: Motion, skeleton: Skeleton, times_s: Floats) -> Flags:
    """(N, 2): whether the left and the right foot stand still."""
    joints = _in_front(motion, skeleton)
    depth = np.median(motion.pelvis[:, 2])
    across = joints[..., :2] / joints[..., 2:] * depth  # (N, 24, 2) metres
    speeds = np.linalg.norm(np.gradient(across, times_s, axis=0), axis=-1)
    stays = np.abs(np.gradient(np.log(motion.pelvis[:, 2]), times_s)) < STAYS_AWAY
    frames = max(2, round(STANDS_S / float(np.median(np.diff(times_s)))))
    stands = []
    for leg in LEGS:
        still = stays & (speeds[:, leg[2:]].max(axis=1) < STILL_M_S)
        stands.append(_near(across[:, leg[2:]], _lasting(still, frames), NEAR_M))
    return np.stack(stands, axis=1)


def planted(motion: Motion, skeleton: Skeleton, stands: Flags, times_s: Floats) -> tuple[Motion, Flags]:
    """The motion, with every foot where it is while it `stands` (N, 2); and which do.

    A foot that the leg does not reach where it should be did not stand there, and is left alone.
    """
    while stands.any():
        held = _held(motion, skeleton, stands, times_s)
        joints = _in_front(held, skeleton)
        firm = np.stack(
            [_near(joints[:, leg[2:]], column, MOVES_M) for leg, column in zip(LEGS, stands.T, strict=True)],
            axis=1,
        )
        if (firm == stands).all():
            return held, stands
        stands = firm
    return motion, stands


def _held(motion: Motion, skeleton: Skeleton, stands: Flags, times_s: Floats) -> Motion:
    moved = replace(motion, pelvis=motion.pelvis + _body_moves(motion, skeleton, stands, times_s))
    turns = moved.turns.copy()
    joints = _in_front(moved, skeleton)
    for leg, column in zip(LEGS, stands.T, strict=True):
        labels, count = ndimage.label(column)
        if count:
            _hold(turns, joints, leg, labels, count, times_s)
    return replace(moved, turns=turns)


def _near(points: Floats, held: Flags, most_m: float) -> Flags:
    """(N,): the runs of `held` (N,) in which points (N, P, D) are never farther from their middle."""
    runs, count = ndimage.label(held)
    if not count:
        return held
    away = [_to_the_middle(point, runs, count) for point in np.moveaxis(points, 1, 0)]
    farthest = ndimage.maximum(np.linalg.norm(away, axis=-1).max(axis=0), runs, np.arange(count + 1))
    near: Flags = held & (farthest <= most_m)[runs]
    return near


def _body_moves(motion: Motion, skeleton: Skeleton, stands: Flags, times_s: Floats) -> Floats:
    """How the whole body is moved (N, 3): it is to lie on the picture, and feet are to stay in place."""
    joints = _in_front(motion, skeleton)
    feet = [joints[:, leg[2:]].mean(axis=1) for leg in LEGS]
    labels = [ndimage.label(column) for column in stands.T]
    stays = np.broadcast_to(_BODY_STAYS[:, None], (3, len(times_s)))
    weights = stays + stands.sum(axis=1)
    stiffness = np.broadcast_to(stiffness_of(_BODY_HZ, times_s), (3, len(times_s) - 2))
    tension = np.zeros((3, len(times_s) - 1))
    moves: Floats = np.zeros((len(times_s), 3))
    for _ in range(_ROUNDS):
        wanted = np.zeros((len(times_s), 3))
        for foot, (runs, count) in zip(feet, labels, strict=True):
            wanted += _to_the_middle(foot + moves, runs, count) + moves * (runs > 0)[:, None]
        moves = smoothed(wanted.T / weights, weights, times_s, stiffness=stiffness, tension=tension).T
    return moves


def _to_the_middle(points: Floats, runs: Flags, count: int) -> Floats:
    """(N, 3): from points (N, 3) to the middle of the run, 1 to `count`, that each is in (N,); 0: in none."""
    if not count:
        return np.zeros_like(points)
    numbers = np.arange(1, count + 1)
    middles = np.stack([ndimage.mean(column, runs, numbers) for column in points.T], axis=1)
    away: Floats = (middles[runs - 1] - points) * (runs > 0)[:, None]
    return away


def _hold(
    turns: Floats,
    joints: Floats,
    leg: tuple[int, ...],
    runs: Flags,
    count: int,
    times_s: Floats,
) -> None:
    """Change the `turns` of one leg: in each run its ankle is in one place, and its foot turned one way."""
    hip, knee, ankle, toes = leg
    moves = _faded(_to_the_middle(joints[:, ankle], runs, count), runs > 0, times_s)
    for joint in (ankle, toes):
        middle = _middle_turns(turns[:, joint], runs, count)
        turned = _faded(between(turns[:, joint], middle), runs > 0, times_s)
        turns[:, joint] = matrix_of(turned) @ turns[:, joint]
    thigh, shank = _reaching(
        joints[:, knee] - joints[:, hip],
        joints[:, ankle] - joints[:, knee],
        joints[:, ankle] + moves - joints[:, hip],
        sideways=turns[:, hip, :, 0],
    )
    turns[:, hip] = thigh @ turns[:, hip]
    turns[:, knee] = shank @ turns[:, knee]


def _middle_turns(turns: Floats, runs: Flags, count: int) -> Floats:
    """(N, 3, 3): the mean of turns (N, 3, 3) over the run that each is in; outside, the turn itself."""
    middle = turns.copy()
    for run in range(1, count + 1):
        inside = runs == run
        left, _, right = np.linalg.svd(turns[inside].mean(axis=0))
        middle[inside] = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    return middle


def _faded(moves: Floats, held: Flags, times_s: Floats) -> Floats:
    """Moves (N, 3) as they are where `held` (N,), 0 well before and after, and on a smooth way between."""
    spacing_s = float(np.median(np.diff(times_s)))
    near = ndimage.binary_dilation(held, iterations=max(2, round(_FADING_S / spacing_s)))
    weights = np.broadcast_to(np.where(held, _FIRM, np.where(near, 0.0, _FIRM)), (3, len(held)))
    return smoothed(
        moves.T,
        weights,
        times_s,
        stiffness=np.broadcast_to(stiffness_of(_LEG_HZ, times_s), (3, len(held) - 2)),
        tension=np.full((3, len(held) - 1), 1e-3),
    ).T


def _reaching(thigh: Floats, shank: Floats, wanted: Floats, *, sideways: Floats) -> tuple[Floats, Floats]:
    """The turns (N, 3, 3) that thigh and shank (N, 3) make so that they end at `wanted` (N, 3) from the hip.

    The knee bends about its own axis, or `sideways` (N, 3) where the leg is straight; then the leg as a whole
    turns the shortest way.
    """
    upper, lower = np.linalg.norm(thigh, axis=1), np.linalg.norm(shank, axis=1)
    distance = np.clip(
        np.linalg.norm(wanted, axis=1), np.abs(upper - lower) + 1e-6, _STRETCHED * (upper + lower)
    )
    axis = np.cross(thigh, shank)
    size = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = np.where(size > 1e-3 * (upper * lower)[:, None], axis / np.maximum(size, 1e-12), sideways)
    now = np.arctan2(size[:, 0], (thigh * shank).sum(axis=1))
    then = np.arccos(np.clip((distance**2 - upper**2 - lower**2) / (2 * upper * lower), -1.0, 1.0))
    still = np.abs(distance - np.linalg.norm(thigh + shank, axis=1)) < 1e-9
    bent = matrix_of(np.where(still, 0.0, then - now)[:, None] * axis)
    turn = _shortest(thigh + (bent @ shank[..., None])[..., 0], wanted)
    return turn, turn @ bent


def _shortest(first: Floats, second: Floats) -> Floats:
    """The shortest turns (N, 3, 3) that lead directions (N, 3) to others."""
    axis = np.cross(first, second)
    size = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(size, (first * second).sum(axis=1, keepdims=True))
    return matrix_of(axis / np.maximum(size, 1e-12) * angle)


def _lasting(still: Flags, frames: int) -> Flags:
    """(N,): runs of at least so many frames; a frame or two between two of them belong to both."""
    joined: Flags = ndimage.binary_closing(np.pad(still, 2), np.ones(3))[2:-2] | still
    labels, count = ndimage.label(joined)
    if not count:
        return joined
    lengths = np.bincount(labels.ravel())
    lasting: Flags = joined & (lengths[labels] >= frames)
    return lasting


def _in_front(motion: Motion, skeleton: Skeleton) -> Floats:
    """Joints (N, 24, 3) in front of the camera."""
    joints = skeleton.joints(motion.turns)
    return joints - joints[:, :1] + motion.pelvis[:, None]
