"""How well and how fast bodies are laid over landmarks: `python -m bench.fit`.

People are followed by their landmarks alone, the last pose expected again, without the tracker.
Errors are shares of the landmarks' height in the picture: of the markers on the body, and of the
joints by the same names. Drift is the largest change of a bone's length after frame 30, when
shape is the mean of what the frames so far suggest.
"""

import argparse
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from body.model import Body
from client import video
from wire import settings as wire_settings
from wire.camera import project
from wire.settings import Settings
from wire.skeleton import SMPL_JOINTS, SMPL_PARENTS
from workers import assets
from workers.blazepose import kinematics
from workers.blazepose.build import networks
from workers.blazepose.detector import Detector, whole_frame
from workers.blazepose.fit import Fit, FittedBody
from workers.blazepose.kinematics import Posed
from workers.blazepose.landmarks import LandmarkFinder, Landmarks
from workers.blazepose.markers import INDEX, attach
from workers.types import Image

CLIPS = ("sports2d_demo.mp4", *(f"pose2sim_cam0{number}.mp4" for number in range(1, 5)))
_LIMBS = [
    f"{side}_{name}"
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]
_LIMB_LANDMARKS = [INDEX[name] for name in _LIMBS]
_LIMB_JOINTS = [SMPL_JOINTS.index(name) for name in _LIMBS]
_SETTLED_FRAMES = 30
#: An expected pose is held for as many flipped frames as it was seen unflipped, and no more than these.
_MOST_TRUST = 60


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One person in one frame of `width` x `height` pixels. first: nothing was seen of him before."""

    landmarks: Landmarks
    first: bool
    width: int
    height: int


def main() -> None:
    """Print a row for each clip."""
    body = Body.open()
    fit = Fit(body)
    print(f"{'clip':<20}{'frames':>8}{'markers':>9}{'joints':>8}{'flipped':>9}{'drift':>8}{'ms':>7}")
    for clip, shots in followed(wire_settings.load(os.environ)):
        began = time.perf_counter()
        fitted = fit_all(fit, shots)
        each_ms = 1000 * (time.perf_counter() - began) / len(shots)
        errors = [
            limb_errors(body, shot, one) for shot, one in zip(shots, fitted, strict=True) if not one.flipped
        ]
        markers, joints = np.mean(errors, axis=0)
        print(
            f"{clip:<20}{len(shots):>8}{markers:>9.2%}{joints:>8.2%}"
            f"{sum(one.flipped for one in fitted):>9}{drift(body, fitted):>8.2%}{each_ms:>7.1f}"
        )


def followed(settings: Settings) -> Iterator[tuple[str, list[Shot]]]:
    """Each clip, and its most certain person, found in each frame where he was just before."""
    directory = assets.directory(settings)
    detector, finder = networks(directory, threads=settings.threads)
    for clip in CLIPS:
        yield clip, list(_follow(video.frames(assets.path(clip, directory)), detector, finder))


def _follow(pictures: Iterable[Image], detector: Detector, finder: LandmarkFinder) -> Iterator[Shot]:
    region = None
    for picture in pictures:
        height, width = picture.shape[:2]
        seen = finder.find(picture, region) if region else None
        first = seen is None
        if first:
            detections = detector.detect(picture, whole_frame(width, height))
            found = [finder.find(picture, detection.region) for detection in detections]
            seen = max(filter(None, found), key=lambda landmarks: landmarks.score, default=None)
        region = seen.following if seen else None
        if seen:
            yield Shot(seen, first, width, height)


def fit_all(fit: Fit, shots: Sequence[Shot]) -> list[FittedBody]:
    """The bodies of one person's shots, each expected where the last one was, in the mean shape so far."""
    fitted: list[FittedBody] = []
    for shot in shots:
        if shot.first:
            trust, prior, shapes = 0, None, []
        one = fit.fit(
            shot.landmarks, width=shot.width, height=shot.height, prior=prior, continuous=trust >= 0
        )
        fitted.append(one)
        shapes.append(one.shape_estimate)
        trust = trust - 1 if one.flipped else min(trust + 1, _MOST_TRUST)
        prior = replace(one.pose, betas=np.mean(shapes, axis=0))
    return fitted


def posed(body: Body, fitted: FittedBody) -> Posed:
    """The fitted skeleton with its markers."""
    rest = attach(body.rest_joints(fitted.pose.betas[None])[0].astype(np.float64))
    return kinematics.pose(rest, fitted.pose.rotations.astype(np.float64))


def limb_errors(body: Body, shot: Shot, fitted: FittedBody) -> npt.NDArray[np.floating]:
    """(2,): mean distance of the limbs' markers, and of their joints, from the landmarks."""
    there = posed(body, fitted)
    points = np.stack([there.markers[_LIMB_LANDMARKS], there.joints[_LIMB_JOINTS]])
    pixels = project(points, fitted.pose.translation, shot.width, shot.height)
    seen = shot.landmarks.pixels[:, :2]
    return np.linalg.norm(pixels - seen[_LIMB_LANDMARKS], axis=-1).mean(axis=-1) / np.ptp(seen[:, 1])


def drift(body: Body, fitted: Sequence[FittedBody]) -> float:
    """The largest relative change of a bone's length after the frames in which shape settles."""
    estimates = np.stack([one.shape_estimate for one in fitted])
    shapes = np.cumsum(estimates, axis=0) / np.arange(1, len(fitted) + 1)[:, None]
    joints = body.rest_joints(shapes[_SETTLED_FRAMES:].astype(np.float32))
    bones = np.linalg.norm(joints[:, 1:] - joints[:, SMPL_PARENTS[1:]], axis=-1)
    return float((np.ptp(bones, axis=0) / bones.mean(axis=0)).max())


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.fit", description=__doc__).parse_args()
    main()
