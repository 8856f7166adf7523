"""Rotations relative to the parent, and turns: the same relative to the camera.

The tracker filters turns. What an observer measures is where limbs are in the picture, so the noise of
a joint's rotation is undone by that of its parents; a turn has its own noise only.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from wire.skeleton import SMPL_PARENTS
from workers.phalp.state import Floats

_PARENTS: Final = np.array(SMPL_PARENTS)


def turns_of(rotations: Floats) -> Floats:
    """Turns (..., 24, 3, 3), joint axes to camera axes, of rotations (..., 24, 3, 3)."""
    turns = rotations.copy()
    for level in _LEVELS:
        turns[..., level, :, :] = turns[..., _PARENTS[level], :, :] @ rotations[..., level, :, :]
    return turns


def rotations_of(turns: Floats) -> Floats:
    """Rotations (..., 24, 3, 3), global_orient first, of turns (..., 24, 3, 3)."""
    rotations = turns.copy()
    above = np.swapaxes(turns[..., _PARENTS[1:], :, :], -1, -2)
    rotations[..., 1:, :, :] = above @ turns[..., 1:, :, :]
    return rotations


def joints_below() -> Floats:
    """(24,): how many joints each turn moves."""
    counts = np.zeros(len(_PARENTS))
    for joint in range(len(_PARENTS) - 1, 0, -1):
        counts[_PARENTS[joint]] += 1 + counts[joint]
    return counts


def _levels() -> list[npt.NDArray[np.intp]]:
    """The joints of each depth below the pelvis."""
    depth = np.zeros(len(_PARENTS), dtype=int)
    for joint, parent in enumerate(_PARENTS[1:], start=1):  # a parent comes before its children
        depth[joint] = depth[parent] + 1
    return [np.flatnonzero(depth == level) for level in range(1, depth.max() + 1)]


_LEVELS: Final = _levels()
