"""The size that a picture announces is what the library for it says, however it is made or broken."""

import io
from collections.abc import Iterator

import imagesize
import pytest

from tests.pictures import GREY, RGB, encoded
from wire import images
from wire.errors import InvalidImage, TruncatedImage

MAX_PIXELS = 2**40

JPEGS = {
    "plain": encoded(RGB, "JPEG"),
    "grey": encoded(GREY, "JPEG"),
    "progressive": encoded(RGB, "JPEG", progressive=True),
    "with a comment": encoded(RGB, "JPEG", comment=b"\xff\xc0" * 40),
    "of many segments": encoded(RGB, "JPEG")[:2] + b"\xff\xfe\x00\x02" * 100 + encoded(RGB, "JPEG")[2:],
}


def size(picture: bytes) -> tuple[int, int] | None:
    try:
        header = images.check(picture, max_pixels=MAX_PIXELS)
    except (InvalidImage, TruncatedImage):
        return None
    return header.width, header.height


@pytest.mark.parametrize("picture", JPEGS.values(), ids=JPEGS.keys())
def test_a_jpeg_has_the_size_that_it_was_made_in(picture: bytes) -> None:
    assert size(picture) == RGB.size


@pytest.mark.parametrize("kind", ["plain", "grey", "progressive"])
def test_a_broken_jpeg_has_the_size_that_the_library_finds(kind: str) -> None:
    for broken in spoiled(JPEGS[kind]):
        told = imagesize.get(io.BytesIO(broken), exif_rotation=False)
        assert size(broken) == (told if min(told) > 0 else None)


def spoiled(picture: bytes) -> Iterator[bytes]:
    """Cut off at each byte of the header, and with each of its bytes another; it begins as a JPEG."""
    header = picture.index(b"\xff\xda")
    for at in range(2, header):
        yield picture[:at]
        for byte in (0x00, 0xC0, 0xC4, 0xDA, 0xFF):
            yield picture[:at] + bytes([byte]) + picture[at + 1 : header + 64]
