"""How good the answers to real clips are: `python -m bench.quality [clip.mp4 ...]` prints a row for each.

Observer and tracker run in this process, as one worker would run them for one session in true order.
Beside each row: what the backend would keep of the same motion were it smoothed with hindsight.
"""

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import measures
from body.model import Body
from client import video
from wire import settings
from wire.camera import project
from workers import assets
from workers.appearance import Appearance
from workers.blazepose.build import networks
from workers.blazepose.fit import Fit, FittedBody
from workers.blazepose.landmarks import Landmarks
from workers.blazepose.observer import BlazePoseObserver
from workers.blazepose.search import Search
from workers.phalp.tracker import Tracker
from workers.thumbnail import thumbnail
from workers.tracker import FrameFacts
from workers.types import BodyPose, Image, Observation, TrackedPerson

Floats = npt.NDArray[np.floating]

#: The backend sends pictures of this longer side.
SIDE_PX = 640

#: BlazePose's landmarks for the 12 limb joints, in COCO's order, and the same with left and right swapped.
_LIMB_LANDMARKS = np.array([11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
_SWAPPED = _LIMB_LANDMARKS.reshape(-1, 2)[:, ::-1].ravel()

#: Cut-offs of the smoothing with hindsight, Hz.
HINDSIGHT_HZ = (3, 4, 6, 8)

#: A person whose box is this near an observation's, pixels, is the one whom it shows.
_SAME_BOX_PX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The primary person of one frame; pixels of the clip. What is not known is NaN."""

    track_id: int
    state: str
    keypoints: Floats  # (17, 2)
    joints: Floats  # (24, 3) metres, body-centred
    confidence: float
    observed: Floats  # (17, 2) before smoothing
    landmarks: Floats  # (12, 2)
    box: Floats  # (4,)
    seen_box: Floats  # (4,) when last observed
    height_m: float  # of the body at rest


NOBODY = Shown(
    -1, "none", np.full((17, 2), np.nan), np.full((24, 3), np.nan), 0.0, np.full((17, 2), np.nan),
    np.full((12, 2), np.nan), np.full(4, np.nan), np.full(4, np.nan), np.nan,
)  # fmt: skip


class RememberingFit(Fit):
    """A fit that remembers the landmarks it was given, in the order of the observations."""

    def __init__(self, body: Body) -> None:
        super().__init__(body)
        self.given: list[Landmarks] = []

    def fit(
        self, landmarks: Landmarks, *, width: int, height: int, prior: BodyPose | None, continuous: bool
    ) -> FittedBody:
        """As `Fit.fit`."""
        self.given.append(landmarks)
        return super().fit(landmarks, width=width, height=height, prior=prior, continuous=continuous)


class Clip:
    """Follows one clip from its first frame to its last."""

    def __init__(self, config: settings.Settings) -> None:
        self._body = Body.open()
        self._face = self._body.restricted_to(list(self._body.points.values()))
        self._fit = RememberingFit(self._body)
        detector, finder = networks(assets.directory(config), threads=config.threads)
        self._observer = BlazePoseObserver(
            search=Search(detector=detector, finder=finder, max_people=config.max_people),
            fit=self._fit,
            appearance=Appearance(self._body),
            body=self._body,
        )
        self._tracker = Tracker(joints_of=self._body.joints, max_people=config.max_people)

    def answers(self, frames: Iterable[Image]) -> list[Shown]:
        """The primary person of every frame."""
        state = self._tracker.start()
        shown: list[Shown] = []
        for number, image in enumerate(frames):
            height, width = image.shape[:2]
            facts = FrameFacts(number, width, height, thumbnail(image))
            self._fit.given.clear()
            [observations] = self._observer.observe([(image, self._tracker.plan(state, facts))])
            state, people, primary = self._tracker.track(state, facts, observations)
            if primary is None:
                shown.append(NOBODY)
                continue
            before = shown[-1].seen_box if shown else NOBODY.seen_box
            shown.append(self._shown(people[primary], observations, facts, seen_box=before))
        return shown

    def _shown(
        self, person: TrackedPerson, observations: list[Observation], facts: FrameFacts, *, seen_box: Floats
    ) -> Shown:
        keypoints = self._keypoints(person.pose, facts)
        index = _observation_of(person, observations)
        rest = self._body.rest_joints(person.pose.betas[None])[0]
        return Shown(
            track_id=person.track_id,
            state=person.state,
            keypoints=keypoints,
            joints=self._body.joints(person.pose.rotations[None], person.pose.betas[None])[0],
            confidence=float(person.joint_confidence.mean()),
            observed=NOBODY.observed if index is None else self._keypoints(observations[index].pose, facts),
            landmarks=NOBODY.landmarks if index is None else _limbs(self._fit.given[index], keypoints),
            box=person.box,
            seen_box=seen_box if person.frames_since_detected else person.box,
            height_m=float(np.ptp(rest[:, 1])),
        )

    def _keypoints(self, pose: BodyPose, facts: FrameFacts) -> Floats:
        mesh = self._face.mesh(pose.rotations[None], pose.betas[None])
        return project(self._face.keypoints(mesh)[0], pose.translation, facts.width, facts.height)


def _limbs(landmarks: Landmarks, keypoints: Floats) -> Floats:
    """The limb landmarks (12, 2), left and right as in `keypoints`: the network mistakes them at times."""
    readings = landmarks.pixels[np.stack([_LIMB_LANDMARKS, _SWAPPED]), :2]  # (2, 12, 2)
    away = np.linalg.norm(readings - keypoints[measures.LIMBS], axis=-1).mean(axis=-1)
    return readings[away.argmin()]


def row(name: str, shown: list[Shown], *, width: int, height: int) -> str:
    """One clip's figures; pixels are those of the clip with a longer side of `SIDE_PX`."""
    scale = SIDE_PX / max(width, height)
    keypoints = np.stack([one.keypoints for one in shown]) * scale
    observed = np.stack([one.observed for one in shown]) * scale
    confidence = np.stack([np.full(17, one.confidence) for one in shown])
    verdicts = measures.backend_filter(
        keypoints, confidence, width=round(width * scale), height=round(height * scale)
    )
    raw = np.where(np.isnan(observed), keypoints, observed)
    boxes = np.stack([one.box for one in shown])
    limbs = measures.limb_error(keypoints / scale, np.stack([one.landmarks for one in shown]), boxes)
    states = [one.state for one in shown]
    detected = np.array([state == "detected" for state in states])
    beyond = measures.beyond_box(keypoints / scale, np.stack([one.seen_box for one in shown]))
    return (
        f"{name:22} {len(shown):4} {measures.coverage(keypoints):6.1%}"
        f" {states.count('detected'):4} {states.count('recovered'):4} {states.count('predicted'):4}"
        f" {verdicts.kept():6.1%} {(measures.deviations(raw) <= measures.MAX_MEAN_DEVIATION).mean():6.1%}"
        f" {np.nanmean(limbs[detected]):6.2%} {np.nanpercentile(limbs[detected], 95):6.2%}"
        f" {np.nanmean(limbs):6.2%} {np.nanmax(beyond):6.2f}"
        f" {np.nanmean(measures.lag_px(keypoints, observed)):5.2f}"
        f" {measures.shape_spread(np.array([[one.height_m] for one in shown])):6.2%}"
        f" {measures.switches(np.array([one.track_id for one in shown])):3}"
    )


HEADER = (
    f"{'clip':22} {'n':>4} {'cover':>6} {'det':>4} {'rec':>4} {'pred':>4} {'kept':>6} {'raw':>6}"
    f" {'limb':>6} {'p95':>6} {'all':>6} {'beyond':>6} {'lag':>5} {'shape':>6} {'sw':>3}"
)


def hindsight(shown: list[Shown], *, width: int, height: int, rate: float) -> str:
    """What the backend would keep of a clip of `rate` frames a second that was smoothed with hindsight."""
    scale = SIDE_PX / max(width, height)
    posed = [one for one in shown if one is not NOBODY]
    keypoints = np.stack([one.keypoints for one in posed]) * scale
    confidence = np.ones(keypoints.shape[:2])
    size = {"width": round(width * scale), "height": round(height * scale)}
    kept = [
        measures.backend_filter(measures.low_passed(keypoints, cutoff / rate), confidence, **size).kept()
        for cutoff in HINDSIGHT_HZ
    ]
    figures = ", ".join(f"{cutoff} Hz {share:.1%}" for cutoff, share in zip(HINDSIGHT_HZ, kept, strict=True))
    return f"{'':22} kept with hindsight, below: {figures}"


def main() -> None:
    """Print a row for each clip; without arguments, for those that are fetched for the benches."""
    arguments = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    arguments.add_argument("clips", nargs="*", type=Path)
    given = arguments.parse_args().clips
    config = settings.load(os.environ)
    clip = Clip(config)
    print(HEADER)
    for path in given or fetched_clips(assets.directory(config)):
        height, width = next(video.frames(path)).shape[:2]
        shown = clip.answers(video.frames(path))
        print(row(path.name, shown, width=width, height=height))
        print(hindsight(shown, width=width, height=height, rate=float(video.frame_rate(path))), flush=True)


def fetched_clips(directory: Path) -> list[Path]:
    """The clips that are fetched for the benches."""
    names = [asset.name for asset in assets.in_groups(["demo", "clips"])]
    return [assets.path(name, directory) for name in names if name.endswith(".mp4")]


def _observation_of(person: TrackedPerson, observations: list[Observation]) -> int | None:
    """The index of the observation that is behind this frame's pose, if any."""
    if person.frames_since_detected or not observations:
        return None
    away = [float(np.abs(seen.box - person.box).max()) for seen in observations]
    nearest = int(np.argmin(away))
    return nearest if away[nearest] < _SAME_BOX_PX else None


if __name__ == "__main__":
    main()
