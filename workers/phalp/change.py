"""How much people's poses change within so many frames, by what was seen of each of late.

Nobody's pose is much better foreseen than by how much he has been seen to change in as long a time:
somebody who stands still hardly, and who runs, in half a stride, by a quarter of a metre.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from workers.geometry import rotation_from_vector
from workers.phalp.past import unit_quaternions, vector_from_quaternion
from workers.phalp.regression import PAST, Counts
from workers.phalp.skeleton import Skeleton
from workers.phalp.state import Floats, TrackState

#: The frames apart at which poses are compared; between them changes lie on lines.
_APART: Final = np.array([1, 2, 3, 4, 6, 8, 11, 15, 20, 25, 30])

#: In a longer time people are taken to change a little more, by this power of it, whatever was seen: who
#: swings back is not known to be back.
_MORE: Final = 0.05

#: Of a shorter past nothing is told. Beyond half of a past people go on changing as fast.
LEAST_KNOWN: Final = 8


def changes_of(tracks: Sequence[TrackState], frames: Counts, skeleton: Skeleton) -> Floats:
    """How much the poses of T tracks change (T, 2) within one frame and within `frames` (T,), mm.

    Means over the 24 joints, pelvis on pelvis, of pairs of poses that were seen so far apart; always more
    in a longer time. nan: too little of the person is known.
    """
    found = np.full((len(tracks), 2), np.nan)
    known = np.array([len(track.past_turns) for track in tracks], np.int64)
    told = np.flatnonzero(known >= LEAST_KNOWN)
    if not len(told):
        return found
    curves = _curves([tracks[row] for row in told], known[told], skeleton)
    for row, curve in zip(told, curves, strict=True):
        near = min(frames[row], _APART[-1])
        half = min(near, known[row] // 2)
        change = np.interp(half, _APART, curve) * near / half
        found[row] = curve[0], change * (frames[row] / near) ** _MORE
    return found


def _curves(tracks: Sequence[TrackState], known: Counts, skeleton: Skeleton) -> Floats:
    """(T, K): how much poses change that are seen so many frames apart, for all `_APART`, mm."""
    rows = np.maximum(np.arange(PAST) - PAST + known[:, None], 0)  # the older frames are the oldest again
    turns = np.array([track.past_turns[row] for track, row in zip(tracks, rows, strict=True)])
    betas = np.repeat([track.betas for track in tracks], PAST, axis=0)
    quaternions = unit_quaternions(turns.reshape(-1, 24, 4)).astype(np.float32)
    matrices = rotation_from_vector(vector_from_quaternion(quaternions))
    joints = 1000 * skeleton.joints(matrices, betas).reshape(len(tracks), PAST, 24, 3)
    each = np.zeros((len(tracks), len(_APART)))
    for column, apart in enumerate(_APART):
        moved = joints[:, apart:] - joints[:, :-apart]
        lengths = np.sqrt(np.einsum("tijk,tijk->tij", moved, moved)).mean(axis=-1)  # (T, PAST - apart)
        real = np.arange(PAST - apart) >= PAST - known[:, None]
        each[:, column] = (lengths * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1)
    return np.maximum.accumulate(each, axis=1) * _APART**_MORE
