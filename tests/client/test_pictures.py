"""Frames travel as they are: the same pixels, or the same bytes."""

import numpy as np
import pytest

from client import pictures
from tests.pictures import ACCEPTED, HEIGHT, WIDTH
from wire.errors import ImageTooLarge, InvalidImage
from workers import images

LIMIT = 10_000


@pytest.mark.parametrize("turned", [False, True], ids=["in one piece", "turned, so not in one piece"])
def test_workers_see_the_pixels_of_an_array(turned: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    image = np.rot90(image) if turned else image

    picture = pictures.of_array(image, number=3, time_s=0.1)

    assert (picture.height_px, picture.width_px) == image.shape[:2]
    assert (images.decode(picture.encoded, max_pixels=LIMIT) == image).all()


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.zeros((4, 4, 3), np.float32), id="floats"),
        pytest.param(np.zeros((4, 4), np.uint8), id="grey"),
        pytest.param(np.zeros((4, 4, 4), np.uint8), id="with transparency"),
        pytest.param(np.zeros((0, 4, 3), np.uint8), id="no pixels"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="height, width, 3"):
        pictures.of_array(array, number=0, time_s=None)


def test_encoded_pictures_travel_as_they_are() -> None:
    jpeg, _ = ACCEPTED["jpeg"]

    picture = pictures.of_encoded(jpeg, number=0, time_s=None, max_pixels=LIMIT)

    assert picture.encoded is jpeg
    assert (picture.width_px, picture.height_px) == (WIDTH, HEIGHT)


def test_what_is_no_picture_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidImage):
        pictures.of_encoded(b"GIF89a", number=0, time_s=None, max_pixels=LIMIT)
    with pytest.raises(ImageTooLarge):
        pictures.of_encoded(ACCEPTED["png"][0], number=0, time_s=None, max_pixels=WIDTH)
