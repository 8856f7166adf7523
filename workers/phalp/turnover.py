"""Whose track starts in a frame, and whose ends.

A track starts by a sighting that is nobody's, or wakes by one. It ends as a suspicion that was a bad look at
somebody else, when it went unseen for too long, or to make room; but for the first, it falls asleep.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.phalp.associate import Association
from workers.phalp.bodies import box_of
from workers.phalp.doubles import ALIKE, is_part, is_part_box, looks_apart
from workers.phalp.location import inner_share, normalised_box
from workers.phalp.sighting import Sighting
from workers.phalp.sleep import fall_asleep, woken
from workers.phalp.state import SessionState, TrackState
from workers.phalp.track import CONFIRMED_HITS, begin, is_over
from workers.tracker import FrameFacts


@dataclass(frozen=True, slots=True, eq=False)
class Started:
    """The tracks that start in a frame, as far as there is room, and what each of them was seen as."""

    tracks: Sequence[TrackState]
    seen: Sequence[Sighting]
    next_track_id: int


def start(
    found: Association, sightings: Sequence[Sighting], seen: Sequence[Sighting], *, state: SessionState
) -> Started:
    """Those who wake, and newcomers who are no part of anybody `seen`, with the next ids of `state`."""
    awake = [sightings[column] for _, column in found.woken]
    newcomers = [sightings[column] for column in found.new_sightings if not is_part(sightings[column], seen)]
    return Started(
        [
            *(woken(state.asleep[row], one) for (row, _), one in zip(found.woken, awake, strict=True)),
            *(begin(state.next_track_id + index, one) for index, one in enumerate(newcomers)),
        ],
        [*awake, *newcomers],
        next_track_id=state.next_track_id + len(newcomers),
    )


def end(
    tracks: Sequence[TrackState],
    started: Started,
    seen: Sequence[Sighting],
    *,
    state: SessionState,
    facts: FrameFacts,
    step: int,
    max_people: int,
) -> tuple[list[TrackState], tuple[TrackState, ...]]:
    """Who is followed after a frame, by rising id, and who is asleep: of `tracks` and those `started`.

    seen: as whom the matched of `tracks` were. step: frames since the one after which `state` was.
    """
    tracks = [track for track in tracks if not _is_shadow(track, seen)]
    over = [track for track in tracks if track.unseen and is_over(track, inside=_share_inside(track, facts))]
    tracks = [track for track in tracks if track not in over]
    followed = _make_room(tracks, max_people - len(started.tracks), keep=state.primary_id)
    begun = started.tracks[: max_people - len(followed)]
    given_up = [track for track in tracks if track not in followed]
    asleep = fall_asleep(state.asleep, [*over, *given_up], awake=begun, step=step)
    return sorted([*followed, *begun], key=lambda track: track.track_id), asleep


def _share_inside(track: TrackState, facts: FrameFacts) -> float:
    """The share of a track's box that lies in the picture."""
    picture = normalised_box(np.array([0, 0, facts.width, facts.height]), facts.width, facts.height)
    return float(inner_share(box_of(track), picture[None])[0])


def _is_shadow(track: TrackState, seen: Sequence[Sighting]) -> bool:
    """Whether a suspicion that nobody confirms lies on someone who is seen: it was a bad look at them."""
    suspicion = track.hits < CONFIRMED_HITS and not track.lasting
    if not track.unseen or not suspicion:
        return False
    box = box_of(track)
    return any(is_part_box(box, [one]) and looks_apart(track, one) <= ALIKE for one in seen)


def _make_room(tracks: Sequence[TrackState], places: int, *, keep: int | None) -> list[TrackState]:
    """Give up those who were out of sight for longest, but not `keep`, until `places` hold the rest."""
    surplus = max(len(tracks) - places, 0)
    idle = [track for track in tracks if track.unseen and track.track_id != keep]
    longest = sorted(idle, key=lambda track: (-track.unseen, -track.track_id))[:surplus]
    given_up = {track.track_id for track in longest}
    return [track for track in tracks if track.track_id not in given_up]
