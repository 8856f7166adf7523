"""Rotations of whole motions at once: vectors, turns, and the way between two of them.

A joint's turn takes its axes to the camera's. What is seen of a limb is its turn, whose noise is its own;
a rotation relative to the parent has the parent's noise as well.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from wire.skeleton import SMPL_PARENTS

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int_]

PARENTS: Final = np.array(SMPL_PARENTS)


def matrix_of(vectors: Floats) -> Floats:
    """Rotations (..., 3, 3) of rotation vectors (..., 3), radians."""
    return np.asarray(Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix()).reshape(*vectors.shape, 3)


def vector_of(rotations: Floats) -> Floats:
    """Rotation vectors (..., 3), radians, of rotations (..., 3, 3)."""
    flat = Rotation.from_matrix(rotations.reshape(-1, 3, 3), assume_valid=True)
    return np.asarray(flat.as_rotvec()).reshape(rotations.shape[:-1])


def of_quaternions(quaternions: Floats) -> Floats:
    """Rotations (..., 3, 3) of quaternions (..., 4), x y z w."""
    matrices = np.asarray(Rotation.from_quat(quaternions.reshape(-1, 4)).as_matrix())
    return matrices.reshape(*quaternions.shape[:-1], 3, 3)


def between(first: Floats, second: Floats) -> Floats:
    """The rotation vectors (..., 3), camera axes, that lead from turns (..., 3, 3) to others."""
    return vector_of(second @ np.swapaxes(first, -1, -2))


def turns_of(rotations: Floats) -> Floats:
    """Turns (N, 24, 3, 3) of rotations (N, 24, 3, 3), each relative to its parent."""
    turns = rotations.astype(np.float64)
    for level in LEVELS:
        turns[:, level] = turns[:, PARENTS[level]] @ turns[:, level]
    return turns


def rotations_of(turns: Floats) -> Floats:
    """Rotations (N, 24, 3, 3) relative to the parent, global_orient first, of turns (N, 24, 3, 3)."""
    rotations = turns.copy()
    rotations[:, 1:] = np.swapaxes(turns[:, PARENTS[1:]], -1, -2) @ turns[:, 1:]
    return rotations


def filled_in(turns: Floats, known: Flags, times_s: Floats) -> Floats:
    """Turns (N, J, 3, 3), those that are not `known` (N,) on the straight way between those that are.

    Before the first and after the last known one, those. Angular velocity is constant on the way.
    """
    before, after, share = neighbours(known, times_s)
    filled = turns.copy()
    rows = np.flatnonzero(~known)
    start, end = turns[before[rows]], turns[after[rows]]
    filled[rows] = matrix_of(share[rows, None, None] * between(start, end)) @ start
    return filled


def neighbours(known: Flags, times_s: Floats) -> tuple[Counts, Counts, Floats]:
    """Of N moments: the `known` one before (or then), the one after, and the share of the way there.

    Outside of all that is known both are the nearest one.
    """
    rows = np.flatnonzero(known)
    count = np.searchsorted(rows, np.arange(len(known)), side="right")
    before = rows[np.maximum(count - 1, 0)]
    after = rows[np.clip(np.searchsorted(rows, np.arange(len(known))), 0, len(rows) - 1)]
    way = times_s[after] - times_s[before]
    share = np.clip((times_s - times_s[before]) / np.where(way > 0, way, 1.0), 0.0, 1.0)
    return before, after, share


def _levels() -> list[Counts]:
    """The joints of each depth below the pelvis."""
    depth = np.zeros(len(PARENTS), int)
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):  # a parent comes before its children
        depth[joint] = depth[parent] + 1
    return [np.flatnonzero(depth == level) for level in range(1, depth.max() + 1)]


LEVELS: Final = _levels()
