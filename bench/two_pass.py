"""What a second look at a whole video is worth: `python -m bench.two_pass`.

On the gaps of `bench.withheld` of 3 to 12 frames: how far the forward answers are off, and the same after the
second pass, which knows the answers after the gap as well. On whole clips: how far feet move while they
stand, and how near accelerations are to those of the observations, low-passed.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfiltfilt

from bench.gaps import Floats, Gap, Poses
from bench.recorded import Followed, followed_clips
from body.model import Body
from client.records import PERSON, STATES, Records
from client.second_pass import person, turns
from client.second_pass.feet import LEGS
from client.second_pass.timeline import Video, timeline
from workers.phalp.location import place_of
from workers.phalp.skeleton import Skeleton
from workers.types import TrackedPerson

LENGTHS: Final = (3, 6, 12)
#: Frames before and after a gap that the second pass is shown.
AROUND: Final = 30
#: Hertz below which observations are taken for motion.
LOW_PASS_HZ: Final = 6.0
#: Frames a second of a clip that does not say it.
RATE: Final = 30.0

MEASURES: Final = ("root-aligned mm", "absolute mm", "px", "stated mm", "stated px")


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """For each length of gaps: `MEASURES` (G, 5) of the forward answers, and of the second pass."""

    forward: dict[int, Floats]
    finished: dict[int, Floats]


@dataclass(frozen=True, slots=True)
class Whole:
    """One person in a whole clip.

    contacts: times that a foot stood. standing: share of the frames in which one does. moved_mm: farthest
    from its middle that a standing ankle or toe got, in the worst contact, before and after. acceleration:
    mean error of the joints, m/s², root-aligned, of the observations, the forward answers, the second pass.
    fast: 99th percentile of the joints' speeds, as a share of the low-passed observations', of the same.
    """

    name: str
    contacts: int
    standing: float
    moved_mm: tuple[float, float]
    acceleration: tuple[float, float, float]
    fast: tuple[float, float, float]


class Looking:
    """The second pass over answers of a bench's fold."""

    def __init__(self) -> None:
        self._body = Body.open()
        self._skeleton = Skeleton(self._body.joints)

    def gap(self, clip: Followed, gap: Gap) -> tuple[Floats, Floats]:
        """`MEASURES` (5,) of the frames of a gap that show the person well: forward, and finished."""
        first = max(gap.first - AROUND, 0)
        people = [*clip.answered(range(first, gap.first)), *clip.answered_after(gap, frames=AROUND)]
        frames, rows = self._rows(people, first)
        video = _video(clip, frames[-1] + 1)
        when = timeline(frames, rows["states"] != person.PREDICTED, video, before_s=0.0)
        told = person.finished(rows, when, video, person.shape_of(rows))
        betas = clip.track(gap.first - 1).betas
        well = clip.well[gap.first : gap.first + gap.length]
        return (
            self._measured(clip, gap, frames, rows, betas)[well].mean(axis=0),
            self._measured(clip, gap, when.frames, told, betas)[well].mean(axis=0),
        )

    def whole(self, clip: Followed, name: str) -> Whole:
        """Everything that is said of a clip, twice."""
        count = len(clip.well)
        frames, rows = self._rows(clip.answered(range(count)), 0)
        video = _video(clip, count)
        when = timeline(frames, rows["states"] != person.PREDICTED, video, before_s=0.0)
        told = person.finished(rows, when, video, person.shape_of(rows))
        both = np.intersect1d(frames, when.frames)
        forward, finished = rows[np.isin(frames, both)], told[np.isin(when.frames, both)]
        seen = self._posed(clip.seen.turns[both], finished["betas"])
        shown = forward["states"] != person.PREDICTED
        runs = [run for run in _runs(shown) if run.stop - run.start >= 2 * RATE / LOW_PASS_HZ + 20]
        return Whole(
            name=name,
            contacts=sum(len(_runs(column)) for column in finished["standing"].T),
            standing=float(finished["standing"].any(axis=1).mean()),
            moved_mm=(_moved_mm(forward, finished["standing"]), _moved_mm(finished, finished["standing"])),
            **_liveliness([seen, _aligned(forward), _aligned(finished)], runs),
        )

    def _rows(
        self, people: Sequence[TrackedPerson | None], first: int
    ) -> tuple[npt.NDArray[np.int_], Records]:
        """The frames in which somebody is answered, and his `PERSON` records; the face is left out."""
        there = [(first + index, one) for index, one in enumerate(people) if one is not None]
        rows = np.zeros(len(there), PERSON)
        for row, (_, one) in zip(rows, there, strict=True):
            row["track_ids"], row["states"] = one.track_id, STATES.index(one.state)
            row["frames_since_detected"], row["confidence"] = one.frames_since_detected, one.confidence
            row["expected_error_mm"], row["expected_error_px"] = one.expected_error_mm, one.expected_error_px
            row["rotations"], row["betas"] = one.pose.rotations, one.pose.betas
            row["translation"], row["boxes"] = one.pose.translation, one.box
            row["joint_confidence"] = one.joint_confidence
            if one.measured is not None:
                row["measured_turns"], row["measured_pelvis"] = one.measured.turns, one.measured.pelvis
        rows["joints"] = self._body.joints(rows["rotations"], rows["betas"])
        return np.array([frame for frame, _ in there]), rows

    def _measured(
        self, clip: Followed, gap: Gap, frames: npt.NDArray[np.int_], rows: Records, betas: Floats
    ) -> Floats:
        """(L, 5)."""
        inside = rows[(frames >= gap.first) & (frames < gap.first + gap.length)]
        shapes = inside["betas"].astype(np.float64)
        pelvis = self._skeleton.pelvis(shapes) + inside["translation"]
        poses = Poses(turns.turns_of(inside["rotations"]), place_of(pelvis, self._skeleton.length(shapes)))
        off = clip.errors(poses, gap.frames, betas=betas)
        said = [inside[name].astype(np.float64) for name in ("expected_error_mm", "expected_error_px")]
        return np.stack([off.root_mm, off.absolute_mm, off.px, *said], axis=-1)

    def _posed(self, poses: Floats, betas: Floats) -> Floats:
        rotations = turns.rotations_of(poses).astype(np.float32)
        joints = self._body.joints(rotations, betas).astype(np.float64)
        return joints - joints[:, :1]


def errors(clips: Sequence[Followed], looking: Looking) -> Errors:
    """Over all gaps of `clips`."""
    told = {
        length: np.array([looking.gap(clip, gap) for clip in clips for gap in clip.gaps(length)])
        for length in LENGTHS
    }
    return Errors(
        {length: both[:, 0] for length, both in told.items()},
        {length: both[:, 1] for length, both in told.items()},
    )


def show_errors(found: Errors) -> None:
    """Print a table for each measure, and the share that is left."""
    counts = ", ".join(f"{len(found.forward[length])} of {length}" for length in LENGTHS)
    print(f"gaps: {counts} frames")
    for number, measure in enumerate(MEASURES):
        heads = "".join(f"{length:>8}" for length in LENGTHS)
        print(f"\n{measure:20}{heads}{'mean':>8}")
        means = []
        for name, by_length in (("forward", found.forward), ("two-pass", found.finished)):
            row = [float(by_length[length][:, number].mean()) for length in LENGTHS]
            means.append(np.array([*row, np.mean(row)]))
            print(f"{name:20}" + "".join(f"{value:8.2f}" for value in means[-1]))
        print(f"{'share':20}" + "".join(f"{value:8.0%}" for value in means[1] / means[0]))


def show_whole(people: Sequence[Whole]) -> None:
    """Print a row for each person."""
    print(f"\n{'':28}{'contacts':>9}{'standing':>9}{'moved mm':>16}{'acceleration error':>26}{'fast':>21}")
    for one in people:
        moved = "{:7.1f} {:7.1f}".format(*one.moved_mm)
        off = "{:8.2f}{:8.2f}{:8.2f}".format(*one.acceleration)
        fast = "{:7.0%}{:7.0%}{:7.0%}".format(*one.fast)
        print(f"{one.name:28}{one.contacts:9}{one.standing:9.0%} {moved}  {off}  {fast}")


def main() -> None:
    """Print the tables of the clips that are fetched for the benches."""
    clips = list(followed_clips())
    looking = Looking()
    show_errors(errors(clips, looking))
    show_whole([looking.whole(clip, f"{clip.recording.name} {index}") for index, clip in enumerate(clips)])


def _video(clip: Followed, frames: int) -> Video:
    facts = clip.recording.facts[0]
    return Video(
        times_s=np.arange(frames) / RATE,
        sizes_px=np.tile([facts.width, facts.height], (frames, 1)),
        shots=np.zeros(frames, int),
        failed=np.zeros(frames, bool),
    )


def _moved_mm(rows: Records, standing: npt.NDArray[np.bool_]) -> float:
    """Farthest that an ankle or toes get from their middle in any contact, camera axes."""
    joints = rows["joints"].astype(np.float64) + rows["translation"][:, None]
    farthest = 0.0
    for leg, column in zip(LEGS, standing.T, strict=True):
        for run in _runs(column):
            feet = joints[run][:, leg[2:]]
            farthest = max(farthest, float(np.linalg.norm(feet - feet.mean(axis=0), axis=-1).max()))
    return 1000 * farthest


def _aligned(rows: Records) -> Floats:
    joints = rows["joints"].astype(np.float64)
    return joints - joints[:, :1]


def _liveliness(motions: Sequence[Floats], runs: Sequence[slice]) -> dict[str, tuple[float, float, float]]:
    """Of the observations' joints (N, 24, 3), and of others': errors of accelerations, and fast speeds."""
    filtered = butter(2, LOW_PASS_HZ, fs=RATE, output="sos")
    truth = [sosfiltfilt(filtered, motions[0][run], axis=0) for run in runs]

    def accelerations(joints: Floats) -> Floats:
        return np.diff(joints, n=2, axis=0) * RATE**2

    def fast(parts: Sequence[Floats]) -> float:
        speeds = [np.linalg.norm(np.diff(part, axis=0), axis=-1).ravel() for part in parts]
        return float(np.percentile(np.concatenate(speeds), 99))

    off, shares = [], []
    for motion in motions:
        parts = [motion[run] for run in runs]
        away = [
            np.linalg.norm(accelerations(part) - accelerations(true), axis=-1).ravel()
            for part, true in zip(parts, truth, strict=True)
        ]
        off.append(float(np.concatenate(away).mean()))
        shares.append(fast(parts) / fast(truth))
    return {"acceleration": (off[0], off[1], off[2]), "fast": (shares[0], shares[1], shares[2])}


def _runs(held: npt.NDArray[np.bool_]) -> list[slice]:
    """Where flags (N,) are up."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], held, [False]])))
    return [slice(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.two_pass", description=__doc__).parse_args()
    main()
