"""Where and how people were in the pictures that are remembered: the motion of a track, in few bytes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.geometry import rotation_from_vector, vector_from_rotation
from workers.phalp import past
from workers.phalp.state import MARK, Floats, Marks, TrackState

#: Radians in a step of a stored rotation vector, and of a velocity: one that is cut off at 127 steps is
#: faster than any that predictions follow.
TURN: Final = np.pi / 32_000
SPIN: Final = 0.005
_MOST: Final = 0xFFFF


def none() -> Marks:
    """No marks."""
    return np.zeros(0, MARK)


def remember(marks: Marks, tracks: Sequence[TrackState], *, turn: int, kept: npt.NDArray[np.uint32]) -> Marks:
    """`marks` of the pictures `kept`, and of those of `tracks` who are seen in that of `turn`."""
    seen = [track for track in tracks if not track.unseen]
    old = marks[np.isin(marks["turn"], kept)]
    after = np.empty(len(old) + len(seen), MARK)
    after[: len(old)] = old
    if seen:
        new = after[len(old) :]
        new["turn"] = turn
        for name in ("track_id", "place", "drift", "drift_surprise", "seen_box"):
            new[name] = [getattr(track, name) for track in seen]
        for name in ("known", "doubts"):
            new[name] = [min(getattr(track, name), _MOST) for track in seen]
        for name in ("spin", "spin_surprise"):
            new[name] = _small(np.array([getattr(track, name) for track in seen]))
        turns = np.array([track.turns for track in seen])
        new["turns"] = np.rint(vector_from_rotation(turns) / TURN)
    return after


def recalled(track: TrackState, mark: np.void) -> TrackState:
    """`track` with the motion that it had at `mark`; who the person is, it knows as it does now."""
    place = mark["place"].astype(np.float64)
    return replace(
        track,
        unseen=0,
        known=int(mark["known"]),
        doubts=int(mark["doubts"]),
        turns=rotation_from_vector(mark["turns"] * TURN),
        spin=mark["spin"] * SPIN,
        spin_surprise=mark["spin_surprise"] * SPIN,
        place=place,
        drift=mark["drift"].astype(np.float64),
        drift_surprise=mark["drift_surprise"].astype(np.float64),
        seen_place=place,
        seen_box=mark["seen_box"].astype(np.float64),
        past_turns=past.NO_TURNS,
        past_places=past.NO_PLACES,
    )


def _small(vectors: Floats) -> npt.NDArray[np.int8]:
    return np.rint(np.clip(vectors / SPIN, -127, 127)).astype(np.int8)
