"""Written PNG files are the pictures they were made from."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from PIL import Image

from workers import png

pictures = stn.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)))


@given(pictures)
def test_pillow_reads_back_every_pixel(picture):
    with Image.open(io.BytesIO(png.encoded(picture)), formats=["PNG"]) as read:
        read.load()
        assert read.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(read), picture)


def test_a_part_of_a_larger_picture_is_written_as_seen():
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(png.encoded(picture[5:30:2, ::-1]))) as read:
        np.testing.assert_array_equal(np.asarray(read), picture[5:30:2, ::-1])
