"""Clips that are observed once and folded as often as one likes, with observations withheld.

The observer is the slow part, and what it sees does not depend on what the tracker will be told.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from bench import gaps
from bench.gaps import Errors, Floats, Gap, Poses
from bench.quality import fetched_clips
from body.model import Body
from client import video
from wire import settings
from workers import assets
from workers.blazepose.build import observer
from workers.phalp.change import changes_of
from workers.phalp.sighting import Sighting, lift
from workers.phalp.skeleton import Skeleton
from workers.phalp.state import SessionState, TrackState
from workers.phalp.track import MAX_UNSEEN_OUTSIDE
from workers.phalp.tracker import FrameFacts, Tracker
from workers.thumbnail import thumbnail
from workers.types import Observation, TrackedPerson

#: Frames that show someone who is seen for long.
SEEN_FOR_LONG: Final = 60
#: Gaps of each length that are drawn of a person, where there are as many, and the seed they are drawn with.
GAPS_A_PERSON: Final = 50
SEED: Final = 20261122

_Person = TypeVar("_Person", TrackState, TrackedPerson)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What the observer saw of a clip, frame by frame."""

    name: str
    facts: Sequence[FrameFacts]
    observations: Sequence[Sequence[Observation]]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One person in one frame, as answered, and how far that was off.

    gap: frames of the gap that the frame belongs to, 0: the person is observed. track.unseen: frames since
    the person was.
    """

    clip: str
    gap: int
    frame: int
    track: TrackState
    person: TrackedPerson
    box_px: float  # height of the person in the picture
    changes: Floats  # (2,) see `workers.phalp.change`; nan where the person is observed
    root_mm: float
    absolute_mm: float
    px: float


class Fold:
    """A recording, folded by `tracker`: states and answers after each frame."""

    def __init__(self, recording: Recording, *, tracker: Tracker, skeleton: Skeleton) -> None:
        self.recording = recording
        self.tracker = tracker
        self.skeleton = skeleton
        self.states: list[SessionState] = []
        self.people: list[list[TrackedPerson]] = []
        state = tracker.start()
        for facts, observations in zip(recording.facts, recording.observations, strict=True):
            state, people, _ = tracker.track(state, facts, observations)
            self.states.append(state)
            self.people.append(people)

    def followed(self) -> list["Followed"]:
        """Everyone who is seen for long, by rising track id."""
        hits = {track.track_id: track.hits for state in self.states for track in state.tracks}
        return [Followed(self, track_id) for track_id, seen in sorted(hits.items()) if seen >= SEEN_FOR_LONG]


class Followed:
    """One person of a recording, as followed."""

    def __init__(self, fold: Fold, track_id: int) -> None:
        self.recording = fold.recording
        self._skeleton = fold.skeleton
        self._tracker = fold.tracker
        self._states, self._people = fold.states, fold.people
        self._track_id = track_id
        sightings = [self._sighting(frame) for frame in range(len(self._states))]
        self._known = np.array([seen is not None for seen in sightings])
        #: As observed, (N,); in frames that do not show the person without meaning.
        self.seen = Poses(
            np.stack([np.tile(np.eye(3), (24, 1, 1)) if seen is None else seen.turns for seen in sightings]),
            np.stack([np.zeros(3) if seen is None else seen.place for seen in sightings]),
        )
        #: The motion behind that.
        self.reference = gaps.reference(self.seen, self._known)
        #: (N,) whether the person is seen well.
        self.well = self._known & (self._off_reference_mm() <= gaps.WELL_MM)

    def gaps(self, length: int) -> list[Gap]:
        """The seeded random gaps of `length` frames; without those in which the person is given up."""
        random = np.random.default_rng([SEED, length, self._track_id, *self.recording.name.encode()])
        drawn = gaps.draw(self.well, length=length, most=GAPS_A_PERSON, random=random)
        return [gap for gap in drawn if self._outlasts(gap)]

    def seen_before(self, gap: Gap, *, most: int) -> range:
        """The latest frames before `gap`, at most so many, each of which shows the person."""
        without = np.flatnonzero(~self._known[: gap.first])
        first = int(without[-1]) + 1 if len(without) else 0
        return range(max(first, gap.first - most), gap.first)

    def track(self, frame: int) -> TrackState:
        """The person's track after a frame that shows him."""
        return _by_id(self._track_id, self._states[frame].tracks)

    def withheld(self, gap: Gap) -> Iterator[tuple[TrackState, TrackedPerson]]:
        """The person in each frame of `gap`, in which nobody is observed."""
        state = self._states[gap.first - 1]
        for frame in gap.frames:
            state, people, _ = self._tracker.track(state, self.recording.facts[frame], [])
            yield _by_id(self._track_id, state.tracks), _by_id(self._track_id, people)

    def _outlasts(self, gap: Gap) -> bool:
        """Whether the person is still followed at the end of `gap`: who leaves the picture soon is not."""
        if len(gap.frames) <= MAX_UNSEEN_OUTSIDE:
            return True
        state = self._states[gap.first - 1]
        for frame in gap.frames:
            state, _, _ = self._tracker.track(state, self.recording.facts[frame], [])
        return any(track.track_id == self._track_id for track in state.tracks)

    def answered(self, frames: range) -> list[TrackedPerson | None]:
        """The person in `frames`, as answered; None: he is not."""
        return [_find(self._track_id, self._people[frame]) for frame in frames]

    def answered_after(self, gap: Gap, *, frames: int) -> list[TrackedPerson | None]:
        """The person in `gap`, in which nobody is observed, and in the next `frames`, which show everyone."""
        state, answered = self._states[gap.first - 1], []
        for frame in range(gap.first, min(gap.frames.stop + frames, len(self._states))):
            seen = [] if frame in gap.frames else self.recording.observations[frame]
            state, people, _ = self._tracker.track(state, self.recording.facts[frame], seen)
            answered.append(_find(self._track_id, people))
        return answered

    def errors(self, predicted: Poses, frames: range, *, betas: Floats) -> Errors:
        """How far `predicted`, poses of a body of shape `betas` in `frames`, are off the reference."""
        facts = self.recording.facts[frames[0]]
        return gaps.errors(
            predicted,
            self.reference.part(slice(frames.start, frames.stop)),
            betas=betas,
            skeleton=self._skeleton,
            longer_side_px=max(facts.width, facts.height),
        )

    def samples(self) -> Iterator[Sample]:
        """The person in every frame that shows him well: as answered, and as answered in every gap."""
        for frame in np.flatnonzero(self.well).tolist():
            person = _by_id(self._track_id, self._people[frame])
            yield self._sample(frame, self.track(frame), person, gap=0)
        for length in gaps.LENGTHS:
            for gap in self.gaps(length):
                for frame, (track, person) in zip(gap.frames, self.withheld(gap), strict=True):
                    if self.well[frame]:
                        yield self._sample(frame, track, person, gap=length)

    def box_px(self, frame: int) -> float:
        """Height of the person's box in a frame that shows him."""
        track, facts = self.track(frame), self.recording.facts[frame]
        return float(track.seen_box[3] - track.seen_box[1]) * max(facts.width, facts.height)

    def _sample(self, frame: int, track: TrackState, person: TrackedPerson, *, gap: int) -> Sample:
        poses = Poses(track.turns[None], track.place[None])
        errors = self.errors(poses, range(frame, frame + 1), betas=track.betas)
        return Sample(
            clip=self.recording.name,
            gap=gap,
            frame=frame,
            track=track,
            person=person,
            box_px=self.box_px(frame),
            changes=self._changes(track),
            root_mm=float(errors.root_mm[0]),
            absolute_mm=float(errors.absolute_mm[0]),
            px=float(errors.px[0]),
        )

    def _changes(self, track: TrackState) -> Floats:
        if not track.unseen:
            return np.full(2, np.nan)
        return changes_of([track], np.array([track.unseen]), self._skeleton)[0]

    def _sighting(self, frame: int) -> Sighting | None:
        """The one that the person's track took for him, if any."""
        tracks = [one for one in self._states[frame].tracks if one.track_id == self._track_id]
        if not tracks or tracks[0].unseen:
            return None
        facts = self.recording.facts[frame]
        sightings = lift(
            self.recording.observations[frame],
            skeleton=self._skeleton,
            width=facts.width,
            height=facts.height,
        )
        return next(seen for seen in sightings if np.array_equal(seen.box, tracks[0].seen_box))

    def _off_reference_mm(self) -> Floats:
        """(N,) of what was seen."""
        last = int(np.flatnonzero(self._known)[-1])
        return self.errors(self.seen, range(len(self._known)), betas=self.track(last).betas).root_mm


class Recorder:
    """Observer, tracker and body, as one worker would have them."""

    def __init__(self, config: settings.Settings) -> None:
        body = Body.open()
        self._observer = observer(config, body)
        self.tracker = Tracker(joints_of=body.joints, max_people=config.max_people)
        self.skeleton = Skeleton(body.joints)

    def record(self, path: Path) -> Recording:
        """Observe a clip in true order."""
        state, facts, seen = self.tracker.start(), [], []
        for number, image in enumerate(video.frames(path)):
            height, width = image.shape[:2]
            facts.append(FrameFacts(number, width, height, thumbnail(image)))
            [observations] = self._observer.observe([(image, self.tracker.plan(state, facts[-1]))])
            state, _, _ = self.tracker.track(state, facts[-1], observations)
            seen.append(observations)
        return Recording(path.name, facts, seen)

    def followed(self, path: Path) -> list[Followed]:
        """Observe a clip, and follow its people."""
        return Fold(self.record(path), tracker=self.tracker, skeleton=self.skeleton).followed()


def followed_clips() -> Iterator[Followed]:
    """The people of the clips that are fetched for the benches."""
    config = settings.load(os.environ)
    recorder = Recorder(config)
    for path in fetched_clips(assets.directory(config)):
        yield from recorder.followed(path)


def _find(track_id: int, people: Sequence[TrackedPerson]) -> TrackedPerson | None:
    return next((one for one in people if one.track_id == track_id), None)


def _by_id(track_id: int, people: Sequence[_Person]) -> _Person:
    return next(one for one in people if one.track_id == track_id)
