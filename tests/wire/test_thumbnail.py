"""Thumbnails: small, alike for alike pictures, and empty for what cannot be read."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from tests.pictures import ACCEPTED, RGB, encoded, mutated
from wire import images, thumbnail
from wire.errors import PoseError
from wire.messages import Source

MAX_PIXELS = 40_000_000


def made(picture: bytes) -> bytes:
    return thumbnail.make(picture, images.check(picture, max_pixels=MAX_PIXELS))


def as_array(small: bytes, width_px: int, height_px: int) -> np.ndarray:
    return np.frombuffer(small, np.uint8).reshape(thumbnail.shape(width_px, height_px))


@pytest.mark.parametrize(
    ("width_px", "height_px", "shape"),
    [
        pytest.param(1920, 1080, (18, 32), id="landscape"),
        pytest.param(1080, 1920, (32, 18), id="portrait"),
        pytest.param(640, 640, (32, 32), id="square"),
        pytest.param(8000, 20, (1, 32), id="a strip keeps one row"),
        pytest.param(16, 9, (18, 32), id="small pictures grow"),
        pytest.param(0, 0, (0, 0), id="no picture"),
    ],
)
def test_the_shape_follows_from_the_size(width_px: int, height_px: int, shape: tuple[int, int]) -> None:
    assert thumbnail.shape(width_px, height_px) == shape


def test_a_picture_to_be_turned_for_showing_has_the_size_that_it_is_stored_in() -> None:
    turned = PillowImage.Exif()
    turned[0x0112] = 6  # by a quarter
    header = images.check(encoded(RGB, "JPEG", exif=turned), max_pixels=MAX_PIXELS)

    assert (header.width, header.height) == RGB.size


@pytest.mark.parametrize("kind", ACCEPTED)
def test_a_thumbnail_is_the_picture_grey_and_small(kind: str) -> None:
    picture, pixels = ACCEPTED[kind]
    rgb = np.broadcast_to(pixels[..., :3] if pixels.shape[2] > 1 else pixels, (*pixels.shape[:2], 3))
    shape = thumbnail.shape(pixels.shape[1], pixels.shape[0])
    size = (shape[1], shape[0])
    expected = (
        PillowImage.fromarray(np.ascontiguousarray(rgb)).convert("L").resize(size, PillowImage.Resampling.BOX)
    )

    small = as_array(made(picture), pixels.shape[1], pixels.shape[0])

    assert np.abs(small.astype(int) - np.asarray(expected)).max() <= 12


def test_it_fits_into_a_message() -> None:
    limit = next(meta.max_length for meta in Source.__annotations__["thumbnail"].__args__[0].__metadata__)

    assert len(made(encoded(RGB.resize((900, 900)), "PNG"))) <= limit


def test_the_file_format_makes_little_difference() -> None:
    picture = PillowImage.effect_mandelbrot((1280, 720), (-2, -1, 1, 1), 60).convert("RGB")
    png, jpeg, webp = (
        as_array(made(encoded(picture, kind, **options)), 1280, 720).astype(int)
        for kind, options in (("PNG", {}), ("JPEG", {"quality": 85}), ("WEBP", {"quality": 85}))
    )

    assert np.abs(png - jpeg).mean() < 1
    assert np.abs(png - webp).mean() < 1


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_broken_picture_has_none(kind: str) -> None:
    picture = encoded(RGB.resize((640, 360)), kind.upper())

    assert made(picture[: len(picture) // 2]) == b""


@pytest.mark.parametrize("kind", ACCEPTED)
def test_whatever_is_sent_never_raises(kind: str) -> None:
    for picture in mutated(ACCEPTED[kind][0], 60, seed=7):
        try:
            header = images.check(picture, max_pixels=10_000)
        except PoseError:
            continue
        small = thumbnail.make(picture, header)
        rows, columns = thumbnail.shape(header.width, header.height)
        assert len(small) in (0, rows * columns)


def test_an_animation_gives_its_first_picture() -> None:
    stream = io.BytesIO()
    RGB.save(stream, "WEBP", save_all=True, append_images=[RGB.rotate(180)], lossless=True)

    assert made(stream.getvalue()) == made(encoded(RGB, "WEBP", lossless=True))
