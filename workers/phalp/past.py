"""What was seen of a person's motion lately, frame by frame, in few bytes.

Turns are unit quaternions in steps of 1/32767, as measured; whose measurement is doubted,
counts as the filter has them. Frames without the person lie on the way between those around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from workers.phalp.regression import PAST
from workers.phalp.state import Floats, Quaternions, TrackState

_STEPS: Final = 32767
#: The past of someone of whose motion nothing is known.
NO_TURNS: Final[Quaternions] = np.zeros((0, 24, 4), np.int16)
NO_PLACES: Final[Floats] = np.zeros((0, 3))

#: Frames without the person from which what was before is no longer of the same motion.
LONGEST_BREAK: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """The pasts of T tracks as arrays, the older frames filled with each one's oldest."""

    away: Floats  # (T, PAST, 24, 3) rotation vectors from the last turns, camera axes
    turns: Floats  # (T, 24, 3, 3) the last ones
    places: Floats  # (T, PAST, 3)
    known: npt.NDArray[np.int_]  # (T,) frames that are not filled


def quaternions(turns: Floats) -> Quaternions:
    """(..., 4) of rotations (..., 3, 3)."""
    exact = Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_quat()
    return np.rint(_STEPS * exact).astype(np.int16).reshape(*turns.shape[:-2], 4)


def extended(
    before: tuple[Quaternions, Floats], turns: Quaternions, place: Floats, *, frames: int
) -> tuple[Quaternions, Floats]:
    """The past `before`, and `frames` frames after its last, turns (24, 4) at a place (3,)."""
    old_turns, old_places = before
    if not len(old_places) or frames > LONGEST_BREAK:
        return turns[None], place[None]
    share = np.arange(1, frames)[:, None] / frames  # of the way, at frames without the person
    near = np.where((old_turns[-1].astype(float) * turns).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0) * turns
    way = _unit(old_turns[-1] + share[..., None] * (near - old_turns[-1]))
    places = old_places[-1] + share * (place - old_places[-1])
    return (
        np.concatenate([old_turns, np.rint(_STEPS * way).astype(np.int16), turns[None]])[-PAST:],
        np.concatenate([old_places, places, place[None]])[-PAST:],
    )


def motion_of(tracks: Sequence[TrackState]) -> Motion:
    """The motion of tracks each of which was seen at least once."""
    known = np.array([len(track.past_places) for track in tracks])
    rows = np.maximum(np.arange(PAST) - PAST + known[:, None], 0)
    turns = np.stack([track.past_turns[row] for track, row in zip(tracks, rows, strict=True)])
    places = np.stack([track.past_places[row] for track, row in zip(tracks, rows, strict=True)])
    every = Rotation.from_quat(turns.reshape(-1, 4))
    last = Rotation.from_quat(turns[:, -1].reshape(-1, 4))
    last_again = Rotation.from_quat(np.broadcast_to(turns[:, -1:], turns.shape).reshape(-1, 4))
    away = (every * last_again.inv()).as_rotvec()
    return Motion(
        away=away.reshape(*turns.shape[:-1], 3),
        turns=last.as_matrix().reshape(-1, 24, 3, 3),
        places=places,
        known=known,
    )


def _unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
