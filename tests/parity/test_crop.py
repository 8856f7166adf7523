"""Crops are those of 4D-Humans' demo and of PHALP, to the last bit, for the OpenCV that is installed.

Recordings were made with OpenCV 4.10 and with 5.0, which round differently. Those of the other one are
skipped, and the report says so.
"""

import cv2
import numpy as np
import pytest

from tests.fixtures import rules
from tests.parity.recordings import COPIES, Recording, folder, recorded
from workers.hmr2.crop import (
    Squares,
    mask_crops,
    normalised,
    tracking_crops,
    tracking_squares,
)
from workers.hmr2.demo_crop import demo_crops, demo_squares
from workers.types import Image

each_opencv = recorded("crop", "crop_cv410")


def release(version: str) -> str:
    """The part of a version that rounding depends on."""
    return ".".join(version.split(".")[:2])


@pytest.fixture
def image(recording: Recording) -> Image:
    """The example of the recording, RGB, if it was made with our OpenCV."""
    version = str(recording["cv2_version"])
    if release(version) != release(cv2.__version__):
        pytest.skip(f"{recording.file.name} was made with OpenCV {version}; {cv2.__version__} is installed")
    file = folder() / "skates.png"
    picture = cv2.imread(str(file if file.exists() else COPIES / file.name))
    assert rules.checks(picture) == pytest.approx(recording["image_checks"], rel=1e-12)
    return np.ascontiguousarray(picture[..., ::-1])


def boxes(recording: Recording) -> np.ndarray:
    return recording["boxes"].astype(np.float32)


def elliptic_masks(recording: Recording, image: Image) -> np.ndarray:
    """The masks (N, H, W) of the recording: an ellipse in each box."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.stack(
        [
            ((x - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + ((y - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** 2 <= 1
            for x0, y0, x1, y1 in recording["boxes"]
        ]
    )


def checks(crops: np.ndarray, *, axes: int) -> np.ndarray:
    """The check sums of what lies behind the first `axes` axes."""
    flat = crops.reshape(-1, *crops.shape[axes:])
    return np.stack([rules.checks(each) for each in flat]).reshape(*crops.shape[:axes], 3)


def assert_same_sums(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Sums of the same numbers; how they are added up may differ."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-8)


@each_opencv
def test_the_demo_takes_the_recorded_squares(recording: Recording) -> None:
    squares = demo_squares(boxes(recording))
    np.testing.assert_array_equal(squares.center, recording["vitdet_box_center"])
    np.testing.assert_array_equal(squares.side, recording["vitdet_box_size"])


@each_opencv
def test_the_demo_makes_the_recorded_crops_blurred_ones_among_them(
    recording: Recording, image: Image
) -> None:
    crops = demo_crops(image, demo_squares(boxes(recording)))
    np.testing.assert_array_equal(crops[:, :, 4::8, 4::8], recording["vitdet_img_sub8"], strict=True)
    np.testing.assert_array_equal(crops[:, :, 128], recording["vitdet_row128"], strict=True)
    assert_same_sums(checks(crops, axes=1), recording["vitdet_checks"])
    assert np.any(recording["blur_sigma"] > 0)


@each_opencv
def test_the_tracker_takes_the_recorded_squares(recording: Recording) -> None:
    squares = tracking_squares(boxes(recording))
    np.testing.assert_array_equal(squares.center, recording["phalp_center_pad"])
    np.testing.assert_array_equal(squares.size, recording["phalp_scale_pad"])


@each_opencv
def test_the_tracker_makes_the_recorded_crops(recording: Recording, image: Image) -> None:
    crops = normalised(tracking_crops(image, tracking_squares(boxes(recording))))
    np.testing.assert_array_equal(crops[:, :, 4::8, 4::8], recording["phalp_img_sub8"][:, :3], strict=True)
    assert_same_sums(checks(crops, axes=2), recording["phalp_checks"][:, :3])


@each_opencv
def test_the_tracker_cuts_the_recorded_masks(recording: Recording, image: Image) -> None:
    squares: Squares = tracking_squares(boxes(recording))
    crops = mask_crops(elliptic_masks(recording, image), squares)
    np.testing.assert_array_equal(crops[:, 4::8, 4::8], recording["phalp_img_sub8"][:, 3])
    np.testing.assert_array_equal(crops[:, 128], recording["phalp_mask_row128"])
    assert_same_sums(checks(crops, axes=1), recording["phalp_checks"][:, 3])
