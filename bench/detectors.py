"""What finding people costs for HMR2: `python -m bench.detectors`.

Wall time, and what the processors spent: on a busy machine torch's threads wait for each other, and the
first says little. A real frame of 1768 x 994 pixels. The weights of torchvision's networks are random, so
their time is that of the published ones, their people are not; expected boxes stand for those whom a
tracker would follow. Needs the `hmr2` extra.
"""

import argparse
import os
import time

import numpy as np
import torch

from bench.blazepose import picture
from bench.timing import median_ms
from wire import settings as wire_settings
from workers import assets
from workers.blazepose.build import networks
from workers.detectors.blazepose import BlazePoseDetector
from workers.detectors.networks import Name, architecture, prepare
from workers.detectors.person import Look, PersonDetector, Thresholds
from workers.detectors.rcnn import RcnnDetector
from workers.types import Image

#: Two people, pixels: their boxes go to the second stage beside the proposals of the first.
_EXPECTED = np.array([[520, 90, 800, 470], [1330, 520, 1500, 960]], np.float32)
_REPEATS: dict[str, int] = {"maskrcnn": 1, "fasterrcnn": 10, "blazepose": 20}


def main() -> None:
    """Print a row for each detector."""
    settings = wire_settings.load(os.environ)
    directory = assets.directory(settings)
    torch.set_num_threads(settings.threads)
    thresholds = Thresholds(detection_score=0.8, expected_score=0.3, min_width_px=50, min_height_px=100)
    image = picture(assets.path("sports2d_demo.mp4", directory), number=60)

    print(
        f"{'detector':<14}{'median ms':>10}{'CPU ms':>10}   {settings.threads} threads, two people expected"
    )
    detector, finder = networks(directory, threads=settings.threads)
    row(BlazePoseDetector(detector=detector, finder=finder, thresholds=thresholds), image)
    names: tuple[Name, ...] = ("fasterrcnn", "maskrcnn")
    for name in names:
        torch.manual_seed(0)
        network = prepare(architecture(name), torch.device("cpu"))
        row(RcnnDetector(network, thresholds, torch.device("cpu")), image)


def row(detector: PersonDetector, image: Image) -> None:
    """Print one line of the table."""
    looks, repeats = [Look(image, _EXPECTED)], _REPEATS[detector.name]
    wall_ms = median_ms(lambda: detector.people(looks), repeats=repeats)
    started = time.process_time()
    for _ in range(repeats):
        detector.people(looks)
    cpu_ms = (time.process_time() - started) * 1e3 / repeats
    print(f"{detector.name:<14}{wall_ms:>10.0f}{cpu_ms:>10.0f}")


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.detectors", description=__doc__).parse_args()
    main()
