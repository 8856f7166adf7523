"""Who stays who: made-up scenes of people who cross, hide and return: `python -m bench.identity`.

A row for the tracker, for the same tracker with each cue removed, and for one that is told whom every
observation shows, whose count is the measure's own. Scenes in which everybody dresses alike are counted
apart: there the clothes, most of what looks can tell, are removed by the scene.

An observed answer stands for the person whom its observation shows. A predicted one stands for the person
whom its track was last seen as, where it lies on them; or, in the column "by place", for whomever it lies
on, also where that is somebody else who is hidden there. "renamed" counts how often a person is seen by
another id than when last seen, whatever is answered between.

Two processes render the scenes, which takes some minutes; `--keep DIRECTORY` keeps them for the next run.
"""

import argparse
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.identity_measures import Judged, Score, score
from bench.identity_scene import Frame, Script, Studio
from bench.identity_told import told
from body.model import Body
from workers.phalp.costs import ALL_CUES, Cues
from workers.phalp.location import union_share
from workers.phalp.tracker import Tracker
from workers.tracker import FrameFacts
from workers.types import Observation, TrackedPerson

Floats = npt.NDArray[np.floating]
Answers = Sequence[Sequence[TrackedPerson]]

#: Most people that are followed, as the service has it where nothing else is set.
MAX_PEOPLE: Final = 10

#: What is compared; None: the tracker is told.
TRACKERS: Final[dict[str, Cues | None]] = {
    "all cues": ALL_CUES,
    "without appearance": Cues(appearance=0.0),
    "without location": Cues(location=0.0),
    "without pose": Cues(pose=0.0),
    "told who is who": None,
}

#: Scenes whose seeds are below chose the tracker's constants.
HELD_OUT: Final = 10_000

#: A box that is this near an observation's, pixels, is of the person whom it shows.
_SAME_BOX_PX: Final = 0.01

HEADER: Final = (
    f"{'':20} {'scenes':>6} {'person-frames':>13} {'switches':>8} {'per 1,000':>9}"
    f" {'by place':>8} {'renamed':>8} {'IDF1':>6}"
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over scenes, as `Score`: counted by who was seen, by place alone, and among sightings alone."""

    told_by_sight: Score
    by_place: Score
    renamed: Score

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.told_by_sight + other.told_by_sight,
            self.by_place + other.by_place,
            self.renamed + other.renamed,
        )


NOTHING: Final = Figures(*[Score(0, 0, 0, 0)] * 3)


def scripts(first_seed: int) -> list[Script]:
    """The scenes: two to eight people, in clothes of their own or much alike."""
    return [
        Script(
            seed=first_seed + 100 * people + 10 * take + alike, people=people, frames=250, alike=bool(alike)
        )
        for people, take, alike in product(range(2, 9), range(2), range(2))
    ]


def answers_of(frames: Sequence[Frame], script: Script, tracker: Tracker) -> Answers:
    """Whom a tracker answers in each frame of a scene."""
    state, answers = tracker.start(), []
    for number, frame in enumerate(frames):
        facts = FrameFacts(number, script.width, script.height, frame.thumbnail)
        state, people, _ = tracker.track(state, facts, frame.observed)
        answers.append(people)
    return answers


def judged(frames: Sequence[Frame], answers: Answers, *, by_place: bool = False) -> list[Judged]:
    """Answers beside who is truly there; `by_place`: a prediction stands for whomever it lies on."""
    seen_as: dict[int, int] = {}
    judgements = []
    for frame, people in zip(frames, answers, strict=True):
        seen_as |= _seen(frame, people)
        judgements.append(_judged(frame, people, None if by_place else seen_as))
    return judgements


def judged_when_seen(frames: Sequence[Frame], answers: Answers) -> list[Judged]:
    """The answers that were seen, beside the people whom they show."""
    seen = [_seen(frame, people) for frame, people in zip(frames, answers, strict=True)]
    return [Judged(tuple(one.values()), tuple(one), np.eye(len(one))) for one in seen]


def _judged(frame: Frame, people: Sequence[TrackedPerson], seen_as: dict[int, int] | None) -> Judged:
    """`seen_as`: id -> the person whom its track was last seen as; None: that counts for nothing."""
    seen = _seen(frame, people)
    likeness = np.zeros((len(frame.present), len(people)))
    persons = list(frame.present)
    for column, one in enumerate(people):
        if one.track_id in seen:
            likeness[persons.index(seen[one.track_id]), column] = 1.0
        elif persons:
            shares = union_share(one.box.astype(np.float64), np.stack(list(frame.present.values())))
            own = [seen_as is None or seen_as.get(one.track_id) == person for person in persons]
            likeness[:, column] = np.where(own, shares, 0.0)
    return Judged(tuple(persons), tuple(one.track_id for one in people), likeness)


def _seen(frame: Frame, people: Sequence[TrackedPerson]) -> dict[int, int]:
    """Persons by id, of the answers that were seen."""
    return {
        one.track_id: frame.whose[_observation_of(one, frame.observed)]
        for one in people
        if one.frames_since_detected == 0
    }


def _observation_of(person: TrackedPerson, observed: Sequence[Observation]) -> int:
    away = [float(np.abs(seen.box - person.box).max()) for seen in observed]
    nearest = int(np.argmin(away))
    if away[nearest] > _SAME_BOX_PX:
        raise ValueError("an answer that was seen has the box of no observation")
    return nearest


def figures(frames: Sequence[Frame], answers: Answers) -> Figures:
    """The figures of one scene."""
    return Figures(
        score(judged(frames, answers)),
        score(judged(frames, answers, by_place=True)),
        score(judged_when_seen(frames, answers)),
    )


def scene(script: Script, kept: Path | None) -> dict[str, Figures]:
    """What each of `TRACKERS` makes of a scene, which is rendered or read from where scenes are `kept`."""
    frames, body = film(script, kept), Body.open()
    found = {}
    for name, cues in TRACKERS.items():
        tracker = Tracker(joints_of=body.joints, max_people=MAX_PEOPLE, cues=cues or ALL_CUES)
        follow: Callable[..., Answers] = answers_of if cues else told(answers_of)
        found[name] = figures(frames, follow(frames, script, tracker))
    return found


def film(script: Script, kept: Path | None) -> list[Frame]:
    """The frames of a scene."""
    path = kept / f"scene-{script.seed}.pickle" if kept else None
    if path and path.exists():
        frames: list[Frame] = pickle.loads(path.read_bytes())
        return frames
    frames = Studio().film(script)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(frames))
    return frames


def row(name: str, total: Figures, scenes: int) -> str:
    """One tracker's figures."""
    seen, thousand = total.told_by_sight, max(total.told_by_sight.person_frames, 1) / 1000
    return (
        f"{name:20} {scenes:6} {seen.person_frames:13,} {seen.switches:8} {seen.per_thousand:9.2f}"
        f" {total.by_place.per_thousand:8.2f} {total.renamed.switches / thousand:8.2f} {seen.idf1:6.1%}"
    )


def main() -> None:
    """Print a row for each tracker, in clothes of everybody's own and in such that are much alike."""
    arguments = argparse.ArgumentParser(prog="python -m bench.identity", description=__doc__)
    arguments.add_argument("--keep", type=Path, help="directory for the rendered scenes")
    arguments.add_argument("--first-seed", type=int, default=HELD_OUT, help="0: what chose the constants")
    asked = arguments.parse_args()
    chosen = scripts(asked.first_seed)
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(partial(scene, kept=asked.keep), chosen))
    for alike, clothes in ((False, "Clothes of their own"), (True, "All dressed alike")):
        here = [one for script, one in zip(chosen, found, strict=True) if script.alike == alike]
        print(f"\n{clothes}\n{HEADER}")
        for name in TRACKERS:
            print(row(name, sum((one[name] for one in here), NOTHING), len(here)))


if __name__ == "__main__":
    main()
