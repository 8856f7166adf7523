"""The lives of tracks: who is seen again, who is lost, who begins and who ends. A pure fold.

PHALP's life cycle (section 3.3, and its released code): a track is tentative until it was seen five
times, and ends when it is not seen before that; later it ends when it was not seen for 51 frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.phalp.learned.associate import MOST_TEXTURE, Association, Looks, associate
from workers.phalp.learned.location import HISTORY, expect
from workers.phalp.learned.sighting import Sighting
from workers.phalp.learned.state import Floats, SessionState, TrackState
from workers.phalp.pace import NO_TIMES

#: Poses (B, 229), float32, expected `ahead` (B,) frames after the last of poses (B, 7, 229) at times (B, 7).
Poses = Callable[[Floats, npt.NDArray[np.integer], npt.NDArray[np.integer]], Floats]

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
    )


def follow(
    state: SessionState,
    sightings: Sequence[Sighting],
    *,
    time: int,
    new_shot: bool,
    looks: Looks,
    most: int | None = None,
    most_texture: float = MOST_TEXTURE,
) -> Followed:
    """The state after a frame at `time`, for which its tracks expect their people.

    new_shot: the frame begins one, so where people were before tells nothing of their motion. What the
    tracks expect next is still what they expected: `expecting` comes after. most: bound on the tracks;
    most_texture: as in `associate`.
    """
    found = associate(state.tracks, sightings, looks, most_texture=most_texture)
    columns = dict(found.pairs)
    tracks, sources = [], []
    for row, track in enumerate(state.tracks):
        if row in columns:
            seen = sightings[columns[row]]
            tracks.append(_updated(track, seen, time=time, new_shot=new_shot))
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


def expecting(tracks: Sequence[TrackState], poses: Poses, *, time: int) -> tuple[TrackState, ...]:
    """The tracks, each expecting its person at `time`; all poses in one batch, each read at its own time.

    Who was seen once only is expected as he was: one observation shows no motion.
    """
    moving = [row for row, track in enumerate(tracks) if track.hits > 1]
    if not moving:
        return tuple(tracks)
    times = np.stack([tracks[row].times for row in moving])
    ahead = time - times[:, -1]
    places = expect(np.stack([tracks[row].places for row in moving]), times, ahead)
    bodies = poses(np.stack([tracks[row].poses for row in moving]), times, ahead)
    after = list(tracks)
    for row, body, place, doubt in zip(moving, bodies, *places, strict=True):
        after[row] = replace(tracks[row], expected_pose=body, expected_place=place, expected_doubt=doubt)
    return tuple(after)


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
    )


def _updated(track: TrackState, seen: Sighting, *, time: int, new_shot: bool) -> TrackState:
    places = _with_last(track.places, seen.place)
    return replace(
        track,
        hits=track.hits + 1,
        times=_with_last(track.times, np.int64(time)),
        poses=_with_last(track.poses, seen.pose),
        places=np.repeat(seen.place[None], HISTORY, axis=0) if new_shot else places,
        texture=track.texture.mixed(seen.texture, score=seen.score),
        box=seen.box,
        visibility=seen.visibility,
        score=seen.score,
        detected=seen.detected,
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
