"""Whether frames that contradict a person's motion are noticed, and what is left of them in the answers.

`python -m bench.contradictions`: the observations of real clips are disturbed in seeded single frames, see
`disturbances`, and folded as they are and disturbed. Beside it the same by a tracker that believes each
part of a body as it is seen. What the observer itself has taken back is not counted.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final
from unittest.mock import patch

import numpy as np

from bench.disturbances import DISTURBANCES, Disturb, Floats
from bench.quality import fetched_clips
from bench.recorded import Recorder, Recording
from wire import settings
from workers import assets
from workers.phalp import contradictions, match
from workers.phalp.contradictions import Known, Reading, Seen
from workers.phalp.skeleton import Skeleton
from workers.phalp.tracker import Tracker
from workers.phalp.turns import turns_of
from workers.types import Observation, TrackedPerson

#: Frames between two that are disturbed, and around one that must show the person.
SPACING: Final = 12
AROUND: Final = 4
#: Times that a clip is disturbed, each time elsewhere.
ROUNDS: Final = 4
#: Frames after a disturbed one that are compared, too.
AFTER: Final = 3
SEED: Final = 20261122

People = dict[int, TrackedPerson]


@dataclass(frozen=True, slots=True, eq=False)
class Disturbed:
    """What became of N disturbed frames.

    noticed (N,): 0 or 1. error_mm, after_mm (N,): mean distance of the joints, pelvis on pelvis, from the
    undisturbed answer: in that frame, and in those after it.
    """

    noticed: Floats
    error_mm: Floats
    after_mm: Floats


class Bench:
    """One clip: as it is, and disturbed."""

    def __init__(self, recording: Recording, *, tracker: Tracker, skeleton: Skeleton) -> None:
        self._tracker = tracker
        self._skeleton = skeleton
        self._facts = recording.facts
        self._seen = [
            [replace(seen, sides_swapped=False) for seen in frame] for frame in recording.observations
        ]
        self.answers = self._fold(self._seen)
        counts = Counter(track_id for people in self.answers for track_id in people)
        self._track_id = counts.most_common(1)[0][0]

    def disturbed(self, disturb: Disturb) -> Disturbed:
        """The person who is followed for longest, disturbed in single frames."""
        rows = [row for number in range(ROUNDS) for row in self._round(disturb, number)]
        return Disturbed(*np.array(rows).reshape(-1, 3).T)

    def _round(self, disturb: Disturb, number: int) -> Iterator[tuple[float, float, float]]:
        random = np.random.default_rng([SEED, number])
        first = 2 * AROUND + number * SPACING // ROUNDS
        frames = [
            frame
            for frame in range(first, len(self._seen) - AROUND, SPACING)
            if all(self._is_seen(near) for near in range(frame - AROUND, frame + AROUND))
        ]
        seen = list(self._seen)
        for frame in frames:
            person = self.answers[frame][self._track_id]
            shown = _of(person, seen[frame])
            seen[frame] = [disturb(one, random) if one is shown else one for one in seen[frame]]
        answers = self._fold(seen)
        for frame in frames:
            person = answers[frame].get(self._track_id)
            if person is not None:
                after = [self._error_mm(answers, later) for later in range(frame + 1, frame + 1 + AFTER)]
                yield bool(person.contradictions), self._error_mm(answers, frame), float(np.nanmean(after))

    def _is_seen(self, frame: int) -> bool:
        person = self.answers[frame].get(self._track_id)
        return person is not None and not person.frames_since_detected

    def _error_mm(self, answers: Sequence[People], frame: int) -> float:
        one, other = (frames[frame].get(self._track_id) for frames in (answers, self.answers))
        if one is None or other is None:
            return np.nan
        joints = self._skeleton.joints(
            turns_of(np.stack([one.pose.rotations, other.pose.rotations]).astype(np.float64)),
            np.stack([one.pose.betas, other.pose.betas]).astype(np.float64),
        )
        return 1e3 * float(np.linalg.norm(joints[0] - joints[1], axis=-1).mean())

    def _fold(self, frames: Sequence[Sequence[Observation]]) -> list[People]:
        state, answers = self._tracker.start(), []
        for facts, seen in zip(self._facts, frames, strict=True):
            state, people, _ = self._tracker.track(state, facts, seen)
            answers.append({person.track_id: person for person in people})
        return answers


def main() -> None:
    """Print the tables of the clips that are fetched for the benches."""
    config = settings.load(os.environ)
    recorder = Recorder(config)
    recordings = [recorder.record(path) for path in fetched_clips(assets.directory(config))]
    parts = {"tracker": recorder.tracker, "skeleton": recorder.skeleton}
    clips = [Bench(recording, **parts) for recording in recordings]
    with patch.object(match.contradictions, "read", _believed):
        believing = [Bench(recording, **parts) for recording in recordings]
    print(f"{'undisturbed':22} {'people':>7}  parts taken for wrong")
    for recording, clip in zip(recordings, clips, strict=True):
        seen = [one for people in clip.answers for one in people.values() if not one.frames_since_detected]
        wrong = sum((Counter(one.contradictions) for one in seen), Counter())
        print(f"{recording.name:22} {len(seen):7}  {dict(wrong) or 'none'}")
    print(
        f"\n{'disturbed':22} {'what':16} {'n':>4} {'noticed':>8} {'mm':>6} {'after':>6}   believed: mm  after"
    )
    for recording, clip, other in zip(recordings, clips, believing, strict=True):
        for name, disturb in DISTURBANCES.items():
            with patch.object(match.contradictions, "read", _believed):
                without = other.disturbed(disturb)
            print(_row(recording.name, name, clip.disturbed(disturb), without), flush=True)


def _row(clip: str, name: str, found: Disturbed, without: Disturbed) -> str:
    return (
        f"{clip:22} {name:16} {len(found.noticed):4} {found.noticed.mean():8.1%}"
        f" {found.error_mm.mean():6.1f} {np.nanmean(found.after_mm):6.1f}"
        f"         {without.error_mm.mean():6.1f} {np.nanmean(without.after_mm):6.1f}"
    )


def _of(person: TrackedPerson, frame: Sequence[Observation]) -> Observation:
    """The observation behind a person's answer: both have the same box."""
    return min(frame, key=lambda seen: float(np.abs(seen.box - person.box).max()))


def _believed(seen: Seen, known: Known, *, read=contradictions.read) -> Reading:
    """As `contradictions.read`, but nothing is known."""
    return read(seen, replace(known, well=np.zeros_like(known.well)))


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.contradictions", description=__doc__).parse_args()
    main()
