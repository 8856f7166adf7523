"""Pictures of every accepted kind decode to RGB; broken ones fail by name."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from wire.errors import ImageTooLarge, InvalidImage, PoseError, TruncatedImage
from workers import images

WIDTH, HEIGHT = 40, 24
LIMIT = 10_000


def gradient(channels: int) -> np.ndarray:
    """A smooth picture, (HEIGHT, WIDTH, channels) uint8, that lossy formats keep well."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [x * 6, y * 10, (x + y) * 4, np.full_like(x, 200)]
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


def encoded(picture: PillowImage.Image, file_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


RGB = PillowImage.fromarray(gradient(3))
RGBA = PillowImage.fromarray(gradient(4))
GREY = PillowImage.fromarray(gradient(1)[..., 0])
DEEP_GREY = PillowImage.fromarray(gradient(1)[..., 0].astype(np.uint16) * 257)

ACCEPTED = {
    "jpeg": (encoded(RGB, "JPEG", quality=95), gradient(3)),
    "progressive jpeg": (encoded(RGB, "JPEG", quality=95, progressive=True), gradient(3)),
    "grey jpeg": (encoded(GREY, "JPEG", quality=95), gradient(1)),
    "cmyk jpeg": (encoded(RGB.convert("CMYK"), "JPEG", quality=95), gradient(3)),
    "png": (encoded(RGB, "PNG"), gradient(3)),
    "png with alpha": (encoded(RGBA, "PNG"), gradient(3)),
    "grey png": (encoded(GREY, "PNG"), gradient(1)),
    "grey png with alpha": (encoded(GREY.convert("LA"), "PNG"), gradient(1)),
    "16-bit png": (encoded(DEEP_GREY, "PNG"), gradient(1)),
    "palette png": (encoded(GREY.convert("P"), "PNG"), gradient(1)),
    "palette png with transparency": (
        encoded(GREY.convert("P"), "PNG", transparency=b"\x80" * 9),
        gradient(1),
    ),
    "webp": (encoded(RGB, "WEBP", quality=95), gradient(3)),
    "lossless webp with alpha": (encoded(RGBA, "WEBP", lossless=True, exact=True), gradient(3)),
}


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
    picture, _ = ACCEPTED[name]
    random = np.random.default_rng(7)
    outcomes = set()
    for _ in range(200):
        mutated = bytearray(picture)
        for at in random.integers(0, len(mutated), size=random.integers(1, 8)):
            mutated[at] = random.integers(0, 256)
        try:
            outcomes.add(images.decode(mutated, max_pixels=LIMIT).ndim)
        except PoseError as error:
            outcomes.add(error.code)

    assert outcomes <= {3, "invalid_image", "truncated_image", "too_many_pixels"}
    assert "invalid_image" in outcomes or "truncated_image" in outcomes
