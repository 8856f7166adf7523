"""Damped Gauss-Newton steps that move a skeleton's markers onto what was seen of them.

Unknowns are a small turn of each joint in camera axes, and a move of the body. Markers should
project where they were seen, with a robust loss, and point from one to the next as they were
seen to; pulls on the rotations settle the rest.
"""

from dataclasses import dataclass

import numpy as np

from workers.blazepose import kinematics
from workers.blazepose.habits import Pull
from workers.blazepose.kinematics import JOINTS, Array, Posed, Rest
from workers.blazepose.markers import INDEX, OWNERS
from workers.geometry import rotation_from_vector

_STEPS = 6
#: Steps end when no joint turns and nothing moves by more than this, radians and metres.
_SETTLED = 2e-2
_DAMPING = 1e-4
_DAMPING_GROWTH = 10.0
_LARGEST_TURN = 1.0  # radians in one step

#: What a landmark is worth in the image, and a direction between two in space, metres at the person.
_IMAGE_SIGMA_M = 0.007
_SPACE_SIGMA_M = 0.05
#: Errors in the image beyond this lose their pull (Cauchy's loss), metres at the person.
_OUTLIER_M = 0.10

_LIMB_PAIRS = (
    ("ear", "shoulder"),
    ("shoulder", "hip"),
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("wrist", "index"),
    ("wrist", "pinky"),
    ("pinky", "index"),
    ("hip", "knee"),
    ("knee", "ankle"),
    ("ankle", "heel"),
    ("heel", "foot_index"),
    ("ankle", "foot_index"),
)
_PAIRS = (
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("left_ear", "right_ear"),
    ("left_ear", "nose"),
    ("right_ear", "nose"),
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _LIMB_PAIRS),
)
_FROM = np.array([INDEX[first] for first, _ in _PAIRS])
_TO = np.array([INDEX[second] for _, second in _PAIRS])
_CARRIES = kinematics.carries(OWNERS)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was seen of the 33 markers.

    rays (33, 2): pixels from the principal point, over the focal length. points (33, 3): metres,
    camera axes, any origin. weight (33,): 0..1. nearest_m, farthest_m: bounds of the distance.
    """

    rays: Array
    points: Array
    weight: Array
    nearest_m: float
    farthest_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """Where a body is.

    local (24, 3, 3): rotations relative to the parent. translation (3,): metres, camera axes.
    """

    local: Array
    translation: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Linear:
    """Normal equations around a guess: matrix (75, 75), slope (75,), and the cost of the guess."""

    posed: Posed
    matrix: Array
    slope: Array
    cost: float


def solve(rest: Rest, seen: Seen, pull: Pull, guess: Guess) -> Guess:
    """The best guess after a few steps from `guess`; never a worse one."""
    damping = _DAMPING
    here = _linearise(rest, seen, pull, guess)
    for _ in range(_STEPS):
        step = _step(here, damping)
        tried = _moved(here.posed, guess, step, seen)
        there = _linearise(rest, seen, pull, tried)
        if there.cost < here.cost:
            guess, here = tried, there
            damping /= _DAMPING_GROWTH
            if np.abs(step).max() < _SETTLED:
                break
        else:
            damping = max(damping, _DAMPING) * _DAMPING_GROWTH**2
    return guess


def _step(here: _Linear, damping: float) -> Array:
    diagonal = np.diagonal(here.matrix)
    damped = here.matrix + np.diag(damping * diagonal + 1e-6 * diagonal.max())
    step = -np.linalg.solve(damped, here.slope)
    return step * min(1.0, _LARGEST_TURN / max(np.abs(step).max(), 1e-12))


def _moved(posed: Posed, guess: Guess, step: Array, seen: Seen) -> Guess:
    turns = rotation_from_vector(step[: 3 * JOINTS].reshape(JOINTS, 3))
    right, down, nearer = step[3 * JOINTS :]
    moved = guess.translation + np.array([right, down, 0.0])
    depth = np.clip(moved[2] * np.exp(nearer), seen.nearest_m, seen.farthest_m)
    return Guess(kinematics.turn(posed, guess.local, turns), moved * (depth / moved[2]))


def _linearise(rest: Rest, seen: Seen, pull: Pull, guess: Guess) -> _Linear:
    posed = kinematics.pose(rest, guess.local)
    moves = np.empty((len(posed.markers), 3, 3 * JOINTS + 3))
    moves[:, :, :-3] = kinematics.marker_derivative(posed, _CARRIES).reshape(*moves.shape[:2], -1)
    # The body moves right and down by metres, and away along its ray by a share of its distance.
    moves[:, :, -3:] = np.column_stack([np.eye(3)[:, :2], guess.translation])
    image_matrix, image_slope, image_cost = _image_wish(posed, seen, guess.translation, moves)
    space_matrix, space_slope, space_cost = _space_wish(posed, seen, moves)
    matrix, slope = image_matrix + space_matrix, image_slope + space_slope
    joint = np.arange(JOINTS)
    by_joint = matrix.reshape(JOINTS + 1, 3, JOINTS + 1, 3)  # a view: the move stands as a 25th joint
    blocks, slopes, pull_cost = pull.linearise(posed, guess.local)
    by_joint[joint, :, joint] += blocks
    slope[:-3] += slopes.ravel()
    return _Linear(posed, matrix, slope, image_cost + space_cost + pull_cost)


def _image_wish(posed: Posed, seen: Seen, translation: Array, moves: Array) -> tuple[Array, Array, float]:
    """Markers project where they were seen; errors are measured in metres at the body's distance."""
    placed = posed.markers + translation
    away = np.maximum(placed[:, 2:], 0.1 * translation[2])
    shrink = translation[2] / away  # (33, 1)
    error = shrink * placed[:, :2] - translation[2] * seen.rays  # (33, 2)
    slope = shrink[:, :, None] * (moves[:, :2] - (placed[:, :2] / away)[:, :, None] * moves[:, 2:])
    square = np.sum(error**2, axis=1)
    trust = seen.weight / _IMAGE_SIGMA_M**2
    weight = trust / (1 + square / _OUTLIER_M**2)
    cost = np.sum(trust * _OUTLIER_M**2 * np.log1p(square / _OUTLIER_M**2))
    return *_normal(slope, error, weight), float(cost)


def _space_wish(posed: Posed, seen: Seen, moves: Array) -> tuple[Array, Array, float]:
    """Markers point to one another as they were seen to, whatever their distance."""
    bone = posed.markers[_TO] - posed.markers[_FROM]
    sight = seen.points[_TO] - seen.points[_FROM]
    length = np.linalg.norm(sight, axis=1, keepdims=True)
    wanted = sight * np.linalg.norm(bone, axis=1, keepdims=True) / np.maximum(length, 1e-6)
    error = bone - wanted
    weight = np.minimum(seen.weight[_TO], seen.weight[_FROM]) * (length[:, 0] > 1e-3) / _SPACE_SIGMA_M**2
    cost = np.sum(weight * np.sum(error**2, axis=1))
    return *_normal(moves[_TO] - moves[_FROM], error, weight), float(cost)


def _normal(derivative: Array, error: Array, weight: Array) -> tuple[Array, Array]:
    """Normal equations of errors (N, D) with derivatives (N, D, 75) and weights (N,)."""
    root = np.sqrt(weight)
    rows = (derivative * root[:, None, None]).reshape(-1, derivative.shape[-1])
    return rows.T @ rows, rows.T @ (error * root[:, None]).ravel()
