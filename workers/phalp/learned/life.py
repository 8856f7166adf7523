"""The lives of tracks: who is seen again, who is lost, who begins and who ends. A pure fold.

PHALP's life cycle (section 3.3, and its released code): a track is tentative until it was seen five
times, and ends when it is not seen before that; later it ends when it was not seen for 51 frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from workers.phalp import recall
from workers.phalp.learned.associate import Association
from workers.phalp.learned.location import HISTORY, expect
from workers.phalp.learned.sighting import Sighting
from workers.phalp.learned.state import Floats, SessionState, TrackState
from workers.phalp.pace import NO_TIMES

Index = npt.NDArray[np.integer]
Tracks = tuple[TrackState, ...]


class PosesAsked(NamedTuple):
    """People whose poses are to be expected: `ahead` (B,) frames after poses (B, 7, 229) at times (B, 7)."""

    poses: Floats
    times: Index
    ahead: Index


#: The poses (B, 229), float32, that each question asks for; those of several sessions come together.
Poses = Callable[[Sequence[PosesAsked]], list[Floats]]

#: Observations that make a track sure of itself.
CONFIRMED_HITS: Final = 5

#: Most frames that such a track lives on without being seen.
MAX_UNSEEN: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """What a frame did: the state after it, and which sighting each of its tracks is; -1 for none."""

    state: SessionState
    association: Association
    sighting_of: tuple[int, ...]


def begin() -> SessionState:
    """The state of a session that has seen nothing."""
    return SessionState(
        tracks=(),
        next_track_id=1,
        primary_id=None,
        time=0,
        step=1,
        last_frame=None,
        last_ms=None,
        frame_ms=NO_TIMES,
        turn=0,
        memory=recall.blank(),
    )


def follow(
    state: SessionState,
    sightings: Sequence[Sighting],
    found: Association,
    *,
    time: int,
    most: int | None = None,
) -> Followed:
    """The state after a frame at `time`, in which `found` tells who of its tracks is who.

    What the tracks expect next is still what they expected: `expecting` comes after. most: bound on them.
    """
    columns = dict(found.pairs)
    tracks, sources = [], []
    for row, track in enumerate(state.tracks):
        if row in columns:
            tracks.append(_updated(track, sightings[columns[row]], time=time))
            sources.append(columns[row])
        elif not is_over(track, time=time):
            tracks.append(track)
            sources.append(-1)
    begun = found.new_sightings if most is None else found.new_sightings[: max(most - len(columns), 0)]
    surplus = max(len(tracks) + len(begun) - most, 0) if most is not None else 0
    tracks, sources = _without_oldest(tracks, sources, surplus)
    for number, column in enumerate(begun, start=state.next_track_id):
        tracks.append(_begun(number, sightings[column], time=time))
        sources.append(column)
    after = replace(
        state,
        tracks=tuple(tracks),
        next_track_id=state.next_track_id + len(begun),
        time=time,
        step=max(time - state.time, 1),
        turn=state.turn + 1,
    )
    return Followed(after, found, tuple(sources))


def expecting(sessions: Sequence[tuple[Tracks, int]], poses: Poses) -> list[Tracks]:
    """The tracks of sessions, each expecting its person at the time that stands beside them.

    All places are expected at once, and all poses are asked for together, each read at its own time. Who
    was seen once only is expected as he was: one observation shows no motion.
    """
    moving = [[row for row, track in enumerate(tracks) if track.hits > 1] for tracks, _ in sessions]
    asked = [
        _asked([tracks[row] for row in rows], time)
        for (tracks, time), rows in zip(sessions, moving, strict=True)
        if rows
    ]
    if not asked:
        return [tracks for tracks, _ in sessions]
    known = [tracks[row] for (tracks, _), rows in zip(sessions, moving, strict=True) for row in rows]
    places = expect(
        np.stack([track.places for track in known]),
        np.concatenate([question.times for question in asked]),
        np.concatenate([question.ahead for question in asked]),
    )
    expected = iter(zip(np.concatenate(poses(asked)), *places, strict=True))
    after = []
    for (tracks, _), rows in zip(sessions, moving, strict=True):
        mine = list(tracks)
        for row in rows:
            body, place, doubt = next(expected)
            mine[row] = replace(tracks[row], expected_pose=body, expected_place=place, expected_doubt=doubt)
        after.append(tuple(mine))
    return after


def displaced(tracks: Sequence[TrackState]) -> Tracks:
    """The tracks once the picture is another one: their places tell nothing, until they are seen again."""
    return tuple(
        replace(
            track,
            placed=False,
            places=np.repeat(track.places[-1:], HISTORY, axis=0),
            expected_place=track.places[-1],
        )
        for track in tracks
    )


def _asked(tracks: Sequence[TrackState], time: int) -> PosesAsked:
    times = np.stack([track.times for track in tracks])
    return PosesAsked(np.stack([track.poses for track in tracks]), times, time - times[:, -1])


def is_over(track: TrackState, *, time: int) -> bool:
    """Whether a track ends that is not seen at `time`."""
    return track.hits < CONFIRMED_HITS or time - track.times[-1] > MAX_UNSEEN


def _begun(track_id: int, seen: Sighting, *, time: int) -> TrackState:
    return TrackState(
        track_id=track_id,
        hits=1,
        times=np.full(HISTORY, time, np.int64),
        poses=np.repeat(seen.pose[None], HISTORY, axis=0),
        places=np.repeat(seen.place[None], HISTORY, axis=0),
        texture=seen.texture,
        expected_pose=seen.pose,
        expected_place=seen.place,
        expected_doubt=seen.translation,  # as in the original: a newcomer may be nearly anywhere
        box=seen.box,
        visibility=seen.visibility,
        score=seen.score,
        detected=seen.detected,
        placed=True,
    )


def _updated(track: TrackState, seen: Sighting, *, time: int) -> TrackState:
    places = (
        _with_last(track.places, seen.place) if track.placed else np.repeat(seen.place[None], HISTORY, axis=0)
    )
    return replace(
        track,
        hits=track.hits + 1,
        times=_with_last(track.times, np.int64(time)),
        poses=_with_last(track.poses, seen.pose),
        places=places,
        texture=track.texture.mixed(seen.texture, score=seen.score),
        box=seen.box,
        visibility=seen.visibility,
        score=seen.score,
        detected=seen.detected,
        placed=True,
    )


def _with_last(history: npt.NDArray, latest: npt.NDArray) -> npt.NDArray:
    return np.concatenate([history[1:], latest[None]])


def _without_oldest(
    tracks: list[TrackState], sources: list[int], surplus: int
) -> tuple[list[TrackState], list[int]]:
    """All but the `surplus` tracks that were not seen for longest."""
    idle = [row for row, source in enumerate(sources) if source < 0]
    gone = sorted(idle, key=lambda row: int(tracks[row].times[-1]))[:surplus]
    kept = [row for row in range(len(tracks)) if row not in gone]
    return [tracks[row] for row in kept], [sources[row] for row in kept]
