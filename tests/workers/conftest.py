"""The networks and the pictures that several tests of the embedded observer look at."""

import os
from pathlib import Path

import av
import pytest

from wire import settings as wire_settings
from workers import assets
from workers.blazepose.detector import Detector
from workers.blazepose.landmarks import LandmarkFinder
from workers.types import Image


@pytest.fixture(scope="session")
def model_files() -> Path:
    return assets.directory(wire_settings.load(os.environ))


@pytest.fixture(scope="session")
def detector(model_files: Path) -> Detector:
    return Detector(assets.read("pose_detection.tflite", model_files), threads=2)


@pytest.fixture(scope="session")
def finder(model_files: Path) -> LandmarkFinder:
    return LandmarkFinder(assets.read("pose_landmark_full.tflite", model_files), threads=2)


@pytest.fixture(scope="session")
def clips(model_files: Path) -> dict[str, dict[int, Image]]:
    """Every tenth frame of the clips that the fixture was recorded on: clip -> frame number -> picture."""
    files = {"sports2d": "sports2d_demo.mp4", "cam01": "pose2sim_cam01.mp4", "cam02": "pose2sim_cam02.mp4"}
    return {clip: every_tenth(assets.path(file, model_files)) for clip, file in files.items()}


def every_tenth(file: Path) -> dict[int, Image]:
    with av.open(file) as container:
        return {
            number: frame.to_ndarray(format="rgb24")
            for number, frame in enumerate(container.decode(video=0))
            if number % 10 == 0
        }
