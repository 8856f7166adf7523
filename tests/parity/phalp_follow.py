"""Following a recorded session frame by frame, as the service's tracker does inside; and as the original did.

The original reads every pose that it expects at the time of the first in its batch: one batch for those
seen in this frame, another for all others, those whose tracks end with it too. `slots_of_the_first` is
that mistake, made again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workers.phalp.learned import life
from workers.phalp.learned.associate import Looks, LooksAsked, choose, weigh
from workers.phalp.learned.life import Followed, Poses, PosesAsked
from workers.phalp.learned.location import HISTORY
from workers.phalp.learned.sighting import Sighting
from workers.phalp.learned.state import SessionState, TrackState
from workers.texture import Texture


@dataclass(frozen=True)
class Step:
    """One frame: what it did, and the state that expects the next."""

    time: int
    before: SessionState
    followed: Followed
    after: SessionState


def steps(
    frames: Sequence[Sequence[Sighting]],
    *,
    new_shots: Sequence[int] = (),
    looks: Looks,
    poses: Poses,
    misread: bool = False,
    most_texture: float = np.inf,
    start: SessionState | None = None,
) -> Iterator[Step]:
    """Fold the frames, one after the other. `misread`: expect poses at the times of the original.

    Looks of all pairs that are possible are compared, as the original does, unless `most_texture` says not.
    """
    state = start or life.begin()
    first = state.time + 1 if state.turn else 0
    for time, sightings in enumerate(frames, start=first):
        weighed = weigh(state.tracks, sightings, most_texture=most_texture)
        (distances,) = looks([weighed.question])
        followed = life.follow(state, sightings, choose(weighed, distances), time=time)
        if time in new_shots:
            followed = in_new_place(followed)
        asked = slots_of_the_first(poses, state.tracks, followed, time) if misread else poses
        (tracks,) = life.expecting([(followed.state.tracks, time + 1)], asked)
        after = replace(followed.state, tracks=tracks)
        yield Step(time, state, followed, after)
        state = after


def in_new_place(followed: Followed) -> Followed:
    """In the first frame of a shot the original forgets the motion of those it found, and nothing else."""
    tracks = tuple(
        track if column < 0 else replace(track, places=np.repeat(track.places[-1:], HISTORY, axis=0))
        for track, column in zip(followed.state.tracks, followed.sighting_of, strict=True)
    )
    return replace(followed, state=replace(followed.state, tracks=tracks))


def slots_of_the_first(poses: Poses, before: Sequence[TrackState], followed: Followed, time: int) -> Poses:
    """`poses`, but all of a batch read in the slot of its first."""
    found = {row for row, _ in followed.association.pairs}
    lost = [track.times for row, track in enumerate(before) if row not in found and track.hits > 1]

    def misread(asked: Sequence[PosesAsked]) -> list[np.ndarray]:
        ((known, times, ahead),) = asked
        ends = times[:, -1] - times[:, 0]
        seen = times[:, -1] == time
        slots = np.empty_like(ahead)
        if seen.any():
            slots[seen] = (ends + ahead)[seen][0]
        if not seen.all():
            slots[~seen] = time + 1 - lost[0][0]
        return poses([PosesAsked(known, times, slots - ends)])

    return misread


class Remembered:
    """Looks that are told again where they were told before: the encoder is slow, sessions are alike."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._known: dict[tuple[bytes, ...], float] = {}

    def __call__(self, asked: Sequence[LooksAsked]) -> list[np.ndarray]:
        return [self._answer(*one) for one in asked]

    def _answer(self, first: Sequence[Texture], second: Sequence[Texture], pairs: np.ndarray) -> np.ndarray:
        keys = [_bytes(first[row]) + _bytes(second[column]) for row, column in pairs]
        new = [place for place, key in enumerate(keys) if key not in self._known]
        (distances,) = self._looks([LooksAsked(first, second, pairs[new])])
        for place, distance in zip(new, distances, strict=True):
            self._known[keys[place]] = distance
        return np.array([self._known[key] for key in keys])


def _bytes(texture: Texture) -> tuple[bytes, bytes]:
    return texture.seen.tobytes(), texture.colours.tobytes()


def costs_of(steps: Sequence[Step]) -> np.ndarray:
    """Those of all frames, one after the other."""
    return np.concatenate([step.followed.association.costs.ravel() for step in steps])


def matches_of(steps: Sequence[Step]) -> np.ndarray:
    """(M, 3): frame, index of the track, index of the sighting."""
    return np.array(
        [(step.time, row, column) for step in steps for row, column in step.followed.association.pairs]
    )


def lives_of(steps: Sequence[Step]) -> tuple[np.ndarray, list[TrackState]]:
    """(R, 7): frame, id, 1 tentative or 2 confirmed, hits, age, frames unseen, last seen; and the tracks."""
    begun: dict[int, int] = {}
    rows, tracks = [], []
    for step in steps:
        for track in step.after.tracks:
            age = step.time - begun.setdefault(track.track_id, step.time) + 1
            state = 2 if track.hits >= life.CONFIRMED_HITS else 1
            last = int(track.times[-1])
            rows.append((step.time, track.track_id, state, track.hits, age, step.time - last, last))
            tracks.append(track)
    return np.array(rows), tracks
