"""The size that a picture's header announces is the picture's, however the header is made up."""

import io
from typing import Any

import imagesize
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from wire import images
from wire.errors import ImageTooLarge, TruncatedImage
from wire.images import Header

SIZE = (160, 90)


def jpeg(*, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    PillowImage.linear_gradient("L").resize(SIZE).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


USUAL = jpeg()
KINDS = {
    "baseline": USUAL,
    "progressive": jpeg(progressive=True),
    "grey": jpeg(mode="L"),
    "four colours": jpeg(mode="CMYK"),
    "with restarts": jpeg(restart_marker_blocks=2),
    "with a comment and a profile": jpeg(comment=b"\xff\xc0" * 50, icc_profile=bytes(100_000)),
    "filled up between segments": USUAL[:2] + b"\xff\xff" + USUAL[2:],
    "more segments than usual": USUAL[:2] + b"\xff\xfe\x00\x02" * 100 + USUAL[2:],
}


@pytest.mark.parametrize("encoded", KINDS.values(), ids=KINDS)
def test_every_kind_of_jpeg_tells_its_size(encoded: bytes) -> None:
    assert images.check(encoded, max_pixels=10**6) == Header("JPEG", *SIZE)
    with pytest.raises(ImageTooLarge):
        images.check(encoded, max_pixels=SIZE[0] * SIZE[1] - 1)


@given(st.integers(2, len(USUAL)), st.binary(max_size=40))
def test_a_broken_header_is_refused_or_read_as_the_library_reads_it(intact: int, rest: bytes) -> None:
    encoded = USUAL[:intact] + rest
    expected = imagesize.get(io.BytesIO(encoded), exif_rotation=False)
    try:
        header = images.check(encoded, max_pixels=2**32)
    except TruncatedImage:
        assert min(expected) < 1
    else:
        assert (header.width, header.height) == expected
