"""Who stays who: made-up scenes of people who cross, hide and return: `python -m bench.identity`.

A row for the tracker, and one for the same tracker with each cue removed. Two processes render the scenes,
which takes some minutes; `--keep DIRECTORY` keeps them for the next run.
"""

import argparse
import pickle
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.identity_measures import Judged, Score, score
from bench.identity_scene import Frame, Script, Studio
from body.model import Body
from workers.phalp.associate import ALL_CUES, Cues
from workers.phalp.location import union_share
from workers.phalp.tracker import Tracker
from workers.tracker import FrameFacts
from workers.types import Observation, TrackedPerson

Floats = npt.NDArray[np.floating]

#: Most people that are followed, as the service has it where nothing else is set.
MAX_PEOPLE: Final = 10

#: What is compared.
TRACKERS: Final = {
    "all cues": ALL_CUES,
    "without appearance": Cues(appearance=0.0),
    "without location": Cues(location=0.0),
    "without pose": Cues(pose=0.0),
}

#: The scenes: two to eight people, in clothes of their own or much alike.
SCRIPTS: Final = [
    Script(seed=100 * people + 10 * take + alike, people=people, frames=250, alike=bool(alike))
    for people, take, alike in product(range(2, 9), range(2), range(2))
]

#: A box that is this near an observation's, pixels, is of the person whom it shows.
_SAME_BOX_PX: Final = 0.01

HEADER: Final = f"{'':20} {'scenes':>6} {'person-frames':>13} {'switches':>8} {'per 1,000':>9} {'IDF1':>6}"


def judged(frames: Sequence[Frame], script: Script, tracker: Tracker) -> list[Judged]:
    """What a tracker makes of a scene, beside who is truly there."""
    state = tracker.start()
    judgements = []
    for number, frame in enumerate(frames):
        facts = FrameFacts(number, script.width, script.height, frame.thumbnail)
        state, people, _ = tracker.track(state, facts, frame.observed)
        judgements.append(_judged(frame, people))
    return judgements


def _judged(frame: Frame, people: Sequence[TrackedPerson]) -> Judged:
    likeness = np.zeros((len(frame.present), len(people)))
    for column, one in enumerate(people):
        # Whom a sighting shows is known; a prediction stands for whom it lies on.
        if one.frames_since_detected == 0:
            whose = frame.whose[_observation_of(one, frame.observed)]
            likeness[list(frame.present).index(whose), column] = 1.0
        elif frame.present:
            likeness[:, column] = union_share(one.box, np.stack(list(frame.present.values())))
    return Judged(tuple(frame.present), tuple(one.track_id for one in people), likeness)


def _observation_of(person: TrackedPerson, observed: Sequence[Observation]) -> int:
    away = [float(np.abs(seen.box - person.box).max()) for seen in observed]
    nearest = int(np.argmin(away))
    if away[nearest] > _SAME_BOX_PX:
        raise ValueError("an answer that was seen has the box of no observation")
    return nearest


def row(name: str, total: Score, scenes: int) -> str:
    """One tracker's figures."""
    return (
        f"{name:20} {scenes:6} {total.person_frames:13,} {total.switches:8}"
        f" {total.per_thousand:9.2f} {total.idf1:6.1%}"
    )


def films(scripts: Sequence[Script], kept: Path | None) -> Iterable[tuple[Script, list[Frame]]]:
    """The scenes, rendered by two processes or read from where they are kept."""
    with ProcessPoolExecutor(2) as pool:
        yield from zip(scripts, pool.map(_film, scripts, [kept] * len(scripts)), strict=True)


def _film(script: Script, kept: Path | None) -> list[Frame]:
    path = kept / f"scene-{script.seed}.pickle" if kept else None
    if path and path.exists():
        return pickle.loads(path.read_bytes())
    frames = Studio().film(script)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(frames))
    return frames


def main() -> None:
    """Print a row for each tracker."""
    arguments = argparse.ArgumentParser(prog="python -m bench.identity", description=__doc__)
    arguments.add_argument("--keep", type=Path, help="directory for the rendered scenes")
    kept = arguments.parse_args().keep
    body = Body.open()
    trackers = {
        name: Tracker(joints_of=body.joints, max_people=MAX_PEOPLE, cues=cues)
        for name, cues in TRACKERS.items()
    }
    totals = dict.fromkeys(trackers, Score(0, 0, 0, 0))
    for script, frames in films(SCRIPTS, kept):
        for name, tracker in trackers.items():
            totals[name] += score(judged(frames, script, tracker))
    print(HEADER)
    for name, total in totals.items():
        print(row(name, total, len(SCRIPTS)))


if __name__ == "__main__":
    main()
