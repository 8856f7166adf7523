"""What a frame is expected to show, and from which frame motion goes on: from the last one, or from others.

From the last one as long as the video goes on. Where it jumps back among pictures that were seen before,
from the nearest of them: between two neighbours people are on their way from one to the other, beyond the
last of a row they move on as they did. Who was seen in no picture near it is held where he was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workers.geometry import rotation_from_vector, vector_from_rotation
from workers.phalp import recall
from workers.phalp.marks import recalled
from workers.phalp.predict import held, predict
from workers.phalp.recall import NEAR_STEPS, Place
from workers.phalp.smooth import orthonormal
from workers.phalp.state import Floats, SessionState, TrackState


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """The tracks of a session, in its order, and how they are expected in a frame.

    before: in the frame from which motion goes on; `unseen` 0: they were seen there.
    expected: now; `unseen` counts the frames since they were seen, as far as the pictures tell.
    continuous: the expected pose follows from `before`; else it is a weak hint.
    """

    before: Sequence[TrackState]
    expected: Sequence[TrackState]
    continuous: Sequence[bool]


def ahead(state: SessionState, *, step: int, in_order: bool) -> Outlook:
    """What follows the last frame after `step` frames; not `in_order`: how much time went by is unknown."""
    advance = predict if in_order else held
    continuous = in_order and state.continuous
    return Outlook(state.tracks, advance(state.tracks, step=step), [continuous] * len(state.tracks))


def back(state: SessionState, at: Place) -> Outlook:
    """What to expect of a picture that lies `at` and turns back from the last one."""
    found = [_found_back(track, state, at) for track in state.tracks]
    return Outlook(
        before=[before for before, _ in found],
        expected=[expected for _, expected in found],
        continuous=[not before.unseen for before, _ in found],
    )


def _found_back(track: TrackState, state: SessionState, at: Place) -> tuple[TrackState, TrackState]:
    """`track` before and as expected, from the pictures nearest to the new one of those that show it."""
    mine = state.marks[state.marks["track_id"] == track.track_id]
    if not len(mine):
        [expected] = held([track], step=1)
        return expected, expected
    rows = np.searchsorted(state.memory.turns, mine["turn"])
    away = at.away[rows]
    near = int(away.argmin())
    before = recalled(track, mine[near])
    step_length = max(at.usual, float(state.memory.nearest[rows[near]]))
    frames = max(round(float(away[near]) / step_length), 1) if step_length else 1
    if away[near] > NEAR_STEPS * at.usual:
        [expected] = held([replace(before, unseen=frames)], step=1)
        return expected, expected
    from_near = recall.distances(state.memory.pictures[rows], state.memory.pictures[rows[near]])
    far = recall.other_side(away, from_near, near)
    if far is not None:
        share = float(away[near] / (away[near] + away[far]))
        return _between(before, recalled(track, mine[far]), share=share, frames=frames)
    [expected] = predict([before], step=frames)
    return before, expected


def _between(
    near: TrackState, far: TrackState, *, share: float, frames: int
) -> tuple[TrackState, TrackState]:
    """`near`, moving to `far`, and where it is after `frames`, `share` of the way."""
    turned, moved = _way(near, far)
    turns = orthonormal(near.turns @ rotation_from_vector(share * turned))
    expected = replace(near, turns=turns, place=near.place + share * moved, unseen=frames)
    # The way on, from this picture, is the one that the track took before, not the one back.
    onward = share / frames * (1 if np.vdot(turned, near.spin) >= 0 else -1)
    return replace(near, spin=onward * turned, drift=onward * moved), expected


def _way(one: TrackState, other: TrackState) -> tuple[Floats, Floats]:
    """Rotation vectors (24, 3) and the change of place (3,) from `one` to `other`."""
    return vector_from_rotation(np.swapaxes(one.turns, -1, -2) @ other.turns), other.place - one.place
