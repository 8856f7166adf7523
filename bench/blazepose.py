"""What seeing people costs: `python -m bench.blazepose`.

A real frame of 1768 x 994 pixels with two people in it, each step beside what its networks alone take.
"""

import argparse
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import av
import numpy as np

from bench.timing import median_ms
from body.model import Body
from wire import settings as wire_settings
from wire.camera import project
from workers import assets
from workers.blazepose import build
from workers.blazepose.detector import whole_frame
from workers.blazepose.graph import pruned
from workers.blazepose.landmarks import READ
from workers.blazepose.network import Network
from workers.blazepose.region import region_of_joints
from workers.blazepose.search import Expected, Search
from workers.types import BodyPose, Image, Plan, Proposal


def main() -> None:
    """Print a row for each step."""
    settings = wire_settings.load(os.environ)
    directory = assets.directory(settings)
    detection = assets.read("pose_detection.tflite", directory)
    landmark = assets.read("pose_landmark_full.tflite", directory)
    detector, finder = build.networks(directory, threads=settings.threads)
    search = Search(detector=detector, finder=finder, max_people=settings.max_people)
    body = Body.open()
    observer = build.observer(settings, body)

    image = picture(assets.path("sports2d_demo.mp4", directory), number=60)
    whole = whole_frame(image.shape[1], image.shape[0])
    people = observer.observe([(image, Plan((), 0))])[0]
    proposals = tuple(Proposal(number, one.pose, continuous=True) for number, one in enumerate(people))
    expected = [Expected(proposal, joints_px(body, proposal.pose, image)) for proposal in proposals]

    detect_ms = median_ms(network_run(detection, settings.threads))
    find_ms = median_ms(network_run(pruned(landmark, outputs=READ), settings.threads))
    print(f"{'step':<34}{'median ms':>10}{'networks':>10}   {len(people)} people, {settings.threads} threads")
    row("detector", lambda: detector.detect(image, whole), detect_ms)
    row("landmarks", lambda: finder.find(image, region_of_joints(expected[0].joints)), find_ms)
    followed_ms = detect_ms + len(people) * find_ms
    row("known people, without the fit", lambda: search.people(image, expected, turn=0), followed_ms)
    row("known people", lambda: observer.observe([(image, Plan(proposals, 0))]), followed_ms)


def row(step: str, call: Callable[[], object], networks_ms: float) -> None:
    """Print one line of the table."""
    print(f"{step:<34}{median_ms(call):>10.2f}{networks_ms:>10.2f}")


def network_run(model: bytes, threads: int) -> Callable[[], None]:
    """Running one network and nothing else."""
    network = Network(model, threads=threads)
    crop = np.zeros((network.input_px, network.input_px, 3), np.uint8)
    return lambda: network.run(crop, low=0.0, high=1.0)


def joints_px(body: Body, pose: BodyPose, image: Image) -> np.ndarray:
    """The joints (24, 2) of a body in the picture."""
    joints = body.joints(pose.rotations[None], pose.betas[None])[0]
    return project(joints, pose.translation, image.shape[1], image.shape[0])


def picture(clip: Path, *, number: int) -> Image:
    """One frame of a video, HWC uint8 RGB."""
    with av.open(clip) as container:
        return next(islice(container.decode(video=0), number, None)).to_ndarray(format="rgb24")


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.blazepose", description=__doc__).parse_args()
    main()
