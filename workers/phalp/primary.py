"""Whom a session shows first: whom the caller named, else the one it showed before, else the most prominent.

Who was named stays first for as long as he is followed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wire.messages import Box
from workers.phalp.state import SessionState, TrackState
from workers.phalp.track import CONFIRMED_HITS
from workers.target import aimed_at
from workers.types import TrackedPerson


@dataclass(frozen=True, slots=True)
class Primary:
    """The person shown first; None: nobody is there."""

    track_id: int | None
    index: int | None  # among the tracks
    named: bool  # by the caller, now or before


def choose(
    tracks: Sequence[TrackState], people: Sequence[TrackedPerson], target: Box | None, *, before: SessionState
) -> Primary:
    """Who is first of `tracks`, answered as `people`; target: where the caller points in this frame."""
    index = None if target is None else aimed_at(target, people)
    if index is not None:
        return Primary(tracks[index].track_id, index, named=True)
    first = _unasked(tracks, before)
    if first is None:
        return Primary(None, None, named=False)
    same = first.track_id == before.primary_id
    return Primary(first.track_id, tracks.index(first), named=before.primary_named and same)


def _unasked(tracks: Sequence[TrackState], before: SessionState) -> TrackState | None:
    """The one who was first, while alive; else the most prominent one."""
    current = next((track for track in tracks if track.track_id == before.primary_id), None)
    if current is not None and (before.primary_named or _is_sure(current)):
        return current
    # Someone in view comes before a suspicion that is out of sight.
    return max(
        tracks, key=lambda track: (track.unseen == 0, _prominence(track), -track.track_id), default=None
    )


def _is_sure(track: TrackState) -> bool:
    """Whether a track is no mere suspicion that is out of sight."""
    return track.hits >= CONFIRMED_HITS or track.unseen == 0 or track.lasting


def _prominence(track: TrackState) -> float:
    """Size x centrality x trust: a place is in units of the picture's longer side, from its centre."""
    height = float(track.seen_box[3] - track.seen_box[1])
    return height * (1 - min(float(np.hypot(*track.place[:2])), 0.9)) * track.trust
