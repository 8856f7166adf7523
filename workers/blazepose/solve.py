"""Damped Gauss-Newton steps that move a skeleton's markers onto what was seen of them.

Unknowns are a small turn of each joint in camera axes, and a move of the body. Markers should
project where they were seen, with a robust loss, and point from one to the next as they were
seen to; pulls on the rotations settle the rest.
"""

from dataclasses import dataclass

import numpy as np

from workers.blazepose import kinematics
from workers.blazepose.habits import Pull, Strain
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
class _Errors:
    """How a guess misses what was seen, cheap beside the normal equations: those follow if it is taken.

    away (33, 1): metres from the camera, not less than a tenth of the body's. image (33, 2) and space
    (29, 3): errors, metres, with their weights (33,) and (29,) at this guess.
    """

    guess: Guess
    posed: Posed
    away: Array
    image: Array
    image_weight: Array
    space: Array
    space_weight: Array
    strain: Strain
    cost: float


def solve(rest: Rest, seen: Seen, pull: Pull, guess: Guess) -> Guess:
    """The best guess after a few steps from `guess`; never a worse one."""
    damping = _DAMPING
    here = _errors(rest, seen, pull, guess)
    matrix, slope = _normal_equations(here)
    for left in reversed(range(_STEPS)):
        step = _step(matrix, slope, damping)
        there = _errors(rest, seen, pull, _moved(here, step, seen))
        if there.cost >= here.cost:
            damping = max(damping, _DAMPING) * _DAMPING_GROWTH**2
            continue
        here = there
        if np.abs(step).max() < _SETTLED or not left:
            break
        damping /= _DAMPING_GROWTH
        matrix, slope = _normal_equations(here)
    return here.guess


def _step(matrix: Array, slope: Array, damping: float) -> Array:
    diagonal = np.diagonal(matrix)
    damped = matrix + np.diag(damping * diagonal + 1e-6 * diagonal.max())
    step = -np.linalg.solve(damped, slope)
    return step * min(1.0, _LARGEST_TURN / max(np.abs(step).max(), 1e-12))


def _moved(here: _Errors, step: Array, seen: Seen) -> Guess:
    turns = rotation_from_vector(step[: 3 * JOINTS].reshape(JOINTS, 3))
    right, down, nearer = step[3 * JOINTS :]
    moved = here.guess.translation + np.array([right, down, 0.0])
    depth = np.clip(moved[2] * np.exp(nearer), seen.nearest_m, seen.farthest_m)
    return Guess(kinematics.turn(here.posed, here.guess.local, turns), moved * (depth / moved[2]))


def _errors(rest: Rest, seen: Seen, pull: Pull, guess: Guess) -> _Errors:
    """Markers project where they were seen, and point to one another as they were seen to."""
    posed = kinematics.pose(rest, guess.local)
    distance = guess.translation[2]
    placed = posed.markers + guess.translation
    away = np.maximum(placed[:, 2:], 0.1 * distance)
    # In metres at the body's distance.
    image = placed[:, :2] * (distance / away) - distance * seen.rays
    stretched = 1 + np.einsum("nd,nd->n", image, image) / _OUTLIER_M**2
    trust = seen.weight / _IMAGE_SIGMA_M**2
    # Whatever their distance from one another.
    bone = posed.markers[_TO] - posed.markers[_FROM]
    sight = seen.points[_TO] - seen.points[_FROM]
    length = np.sqrt(np.einsum("nd,nd->n", sight, sight))
    space = bone - sight * (np.sqrt(np.einsum("nd,nd->n", bone, bone)) / np.maximum(length, 1e-6))[:, None]
    space_weight = np.minimum(seen.weight[_TO], seen.weight[_FROM]) * (length > 1e-3) / _SPACE_SIGMA_M**2
    strain = pull.strain(guess.local)
    cost = _OUTLIER_M**2 * (trust @ np.log(stretched)) + space_weight @ np.einsum("nd,nd->n", space, space)
    return _Errors(
        guess=guess,
        posed=posed,
        away=away,
        image=image,
        image_weight=trust / stretched,
        space=space,
        space_weight=space_weight,
        strain=strain,
        cost=float(cost) + strain.cost,
    )


def _normal_equations(here: _Errors) -> tuple[Array, Array]:
    """Matrix (75, 75) and slope (75,) around a guess."""
    posed, translation = here.posed, here.guess.translation
    moves = np.empty((len(posed.markers), 3, 3 * JOINTS + 3))
    moves[:, :, :-3] = kinematics.marker_derivative(posed, _CARRIES).reshape(*moves.shape[:2], -1)
    # The body moves right and down by metres, and away along its ray by a share of its distance.
    moves[:, :, -3:] = np.column_stack([np.eye(3)[:, :2], translation])
    ray = (posed.markers[:, :2] + translation[:2]) / here.away
    image = moves[:, :2] - ray[:, :, None] * moves[:, 2:]
    image_root = np.sqrt(here.image_weight)[:, None]
    space_root = np.sqrt(here.space_weight)[:, None]
    rows = np.concatenate(
        [
            (image * (image_root * translation[2] / here.away)[:, :, None]).reshape(-1, moves.shape[-1]),
            ((moves[_TO] - moves[_FROM]) * space_root[:, :, None]).reshape(-1, moves.shape[-1]),
        ]
    )
    errors = np.concatenate([(here.image * image_root).ravel(), (here.space * space_root).ravel()])
    matrix, slope = rows.T @ rows, rows.T @ errors
    joint = np.arange(JOINTS)
    by_joint = matrix.reshape(JOINTS + 1, 3, JOINTS + 1, 3)  # a view: the move stands as a 25th joint
    blocks, slopes = here.strain.normal_equations(posed)
    by_joint[joint, :, joint] += blocks
    slope[:-3] += slopes.ravel()
    return matrix, slope
