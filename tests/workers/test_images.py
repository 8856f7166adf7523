"""Pictures of every accepted kind decode to RGB; broken ones fail by name."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from tests.pictures import ACCEPTED, HEIGHT, RGB, WIDTH, encoded, gradient, mutated
from wire.errors import ImageTooLarge, InvalidImage, PoseError, TruncatedImage
from workers import images

LIMIT = 10_000


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_accepted_kind_becomes_rgb(name: str) -> None:
    picture, expected = ACCEPTED[name]

    image = images.decode(picture, max_pixels=LIMIT)

    assert image.shape == (HEIGHT, WIDTH, 3)
    assert image.dtype == np.uint8
    difference = np.abs(image.astype(int) - expected)
    assert difference.mean() < 4


def test_exif_orientation_is_applied() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to show

    image = images.decode(encoded(RGB, "PNG", exif=exif), max_pixels=LIMIT)

    np.testing.assert_array_equal(image, np.rot90(gradient(3), -1))


def test_a_turned_jpeg_is_turned_back() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6

    image = images.decode(encoded(RGB, "JPEG", quality=95, exif=exif), max_pixels=LIMIT)

    assert image.shape == (WIDTH, HEIGHT, 3)
    assert np.abs(image.astype(int) - np.rot90(gradient(3), -1)).mean() < 4


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_a_jpeg_has_the_pixels_that_pillow_gives_it(subsampling: str) -> None:
    picture = encoded(RGB, "JPEG", quality=60, subsampling=subsampling)

    image = images.decode(picture, max_pixels=LIMIT)

    np.testing.assert_array_equal(image, np.asarray(PillowImage.open(io.BytesIO(picture))))


def test_a_jpeg_with_a_forgivable_flaw_is_read() -> None:
    whole = ACCEPTED["jpeg"][0]
    tables = whole.index(b"\xff\xc4")

    image = images.decode(whole[:tables] + b"\0\0\0" + whole[tables:], max_pixels=LIMIT)

    np.testing.assert_array_equal(image, images.decode(whole, max_pixels=LIMIT))


def test_bytes_of_another_kind_are_no_picture() -> None:
    with pytest.raises(InvalidImage):
        images.decode(b"GIF89a" + bytes(100), max_pixels=LIMIT)


def test_a_picture_with_too_many_pixels_is_refused_before_decoding() -> None:
    with pytest.raises(ImageTooLarge, match="40 x 24"):
        images.decode(ACCEPTED["png"][0], max_pixels=WIDTH * HEIGHT - 1)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_a_cut_off_picture_is_named(name: str, share: float) -> None:
    picture = ACCEPTED[name][0]

    with pytest.raises((TruncatedImage, InvalidImage)):
        images.decode(picture[: int(len(picture) * share)], max_pixels=LIMIT)


@pytest.mark.parametrize("name", ["jpeg", "png", "palette png", "webp", "lossless webp with alpha"])
def test_mutated_pictures_decode_or_fail_by_name(name: str) -> None:
    outcomes = set()
    for picture in mutated(ACCEPTED[name][0], 200, seed=7):
        try:
            outcomes.add(images.decode(picture, max_pixels=LIMIT).ndim)
        except PoseError as error:
            outcomes.add(error.code)

    assert outcomes <= {3, "invalid_image", "truncated_image", "too_many_pixels"}
    assert "invalid_image" in outcomes or "truncated_image" in outcomes
