"""Crops of pictures and boxes that were not recorded."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from tests.fixtures import rules
from workers.hmr2.crop import (
    mask_crops,
    normalised,
    tracking_crops,
    tracking_squares,
)
from workers.hmr2.demo_crop import demo_crops, demo_squares

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255


@pytest.fixture(scope="module")
def image():
    """A picture with edges everywhere, 800 x 600."""
    return rules.gen("a", "crop.picture").integers(0, 256, (600, 800, 3), dtype=np.uint8)


def box(x0, y0, width, height):
    return np.array([[x0, y0, x0 + width, y0 + height]], np.float32)


def grey_levels(crops):
    """What the network's input was before it was normalised, (N, 256, 256, 3)."""
    return crops.transpose(0, 2, 3, 1) * DEVIATION + MEAN


def test_a_box_grows_to_three_by_four_about_its_middle_and_the_square_holds_it():
    tall, wide = tracking_squares(np.concatenate([box(10, 20, 30, 400), box(10, 20, 300, 40)])).size
    np.testing.assert_array_equal(tall, [300, 400])
    np.testing.assert_array_equal(wide, [300, 400])
    squares = demo_squares(box(10, 20, 30, 400))
    np.testing.assert_array_equal(squares.center, [[25, 220]])
    np.testing.assert_array_equal(squares.side, [400])


def test_a_square_of_256_pixels_is_the_picture_itself(image):
    squares = tracking_squares(box(100 + 32, 50, 192, 256))
    np.testing.assert_array_equal(tracking_crops(image, squares)[0], image[50:306, 100:356])


def test_what_lies_outside_the_picture_is_black(image):
    crops = tracking_crops(
        image, tracking_squares(np.concatenate([box(-96, -128, 192, 256), box(2e4, 0, 9, 9)]))
    )
    assert not crops[0, :128].any() and not crops[0, :, :128].any()
    np.testing.assert_array_equal(crops[0, 128:, 128:], image[:128, :128])
    assert not crops[1].any()


@pytest.mark.parametrize("crops_of", [demo_crops, tracking_crops])
def test_a_person_has_the_same_crop_alone_and_in_company(image, crops_of):
    boxes = np.concatenate([box(100, 100, 60, 120), box(-50, 0, 700, 590), box(300, 200, 90, 80)])
    together = crops_of(image, demo_squares(boxes))
    for person in range(3):
        alone = crops_of(image, demo_squares(boxes[person : person + 1]))
        np.testing.assert_array_equal(alone[0], together[person])


@pytest.mark.parametrize("crops_of", [demo_crops, tracking_crops])
def test_nobody_has_no_crops(image, crops_of):
    assert len(crops_of(image, demo_squares(np.zeros((0, 4), np.float32)))) == 0


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.floats(-700, 900), st.floats(-700, 900)),
    st.tuples(st.floats(1, 900), st.floats(564, 2500)),
)
@example((0, 0), (800, 600))
@example((3000, 0), (10, 600))
def test_the_blur_is_that_of_the_whole_picture(corner, size):
    picture = rules.gen("a", "crop.picture").integers(0, 256, (300, 400, 3), dtype=np.uint8)
    squares = demo_squares(box(*corner, *size))
    crop = grey_levels(demo_crops(picture, squares))[0]

    side = squares.side[0]
    sigma = (side / 256 / 2 - 1) / 2
    whole = gaussian_filter(picture.astype(np.float64), (sigma, sigma, 0), mode="nearest", truncate=4.0)
    x, y = squares.center[0]
    matrix = cv2.getAffineTransform(
        np.array([[x, y], [x, y + side / 2], [x + side / 2, y]], np.float32),
        np.array([[128, 128], [128, 256], [256, 128]], np.float32),
    )
    np.testing.assert_allclose(crop, cv2.warpAffine(whole, matrix, (256, 256)), atol=1e-4)


def test_only_the_demo_blurs_and_only_what_it_shrinks(image):
    def differs(height):
        squares = demo_squares(box(100, 0, 100, height))
        demo, tracking = demo_crops(image, squares), normalised(tracking_crops(image, squares))
        return bool((demo != tracking).any())

    assert not differs(563)
    assert differs(564)


def test_pixels_become_what_imagenets_are():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    np.testing.assert_allclose(grey_levels(normalised(levels)), levels, atol=1e-4)
    assert normalised(levels).dtype == np.float32


def test_a_mask_is_cut_like_its_picture(image):
    squares = tracking_squares(np.concatenate([box(50, 60, 100, 300), box(400, 100, 300, 200)]))
    masks = np.stack([image[..., 0] > 99, image[..., 1] > 99])
    crops = mask_crops(masks, squares)
    painted = [np.repeat(mask[..., None] * np.uint8(255), 3, axis=2) for mask in masks]
    for person, picture in enumerate(painted):
        np.testing.assert_array_equal(crops[person], tracking_crops(picture, squares)[person, ..., 0])


@pytest.mark.parametrize("squares_of", [demo_squares, tracking_squares])
@pytest.mark.parametrize(
    "corners",
    [
        pytest.param((10, 10, 10, 50), id="no width"),
        pytest.param((10, 50, 60, 10), id="upside down"),
        pytest.param((0, 0, np.nan, 50), id="not a number"),
        pytest.param((0, 0, np.inf, 50), id="without end"),
    ],
)
def test_a_box_without_area_is_refused(squares_of, corners):
    with pytest.raises(ValueError, match="without area"):
        squares_of(np.array([[0, 0, 9, 9], corners]))
