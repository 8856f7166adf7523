"""A frame as it travels: an encoded picture as it is, or an array as bare pixels in a PPM, with its size.

Workers get the pixels losslessly. To compress a 1080p frame soundly takes 140 ms and wins nothing on a
socket; to copy it behind a header takes one.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wire import images

Image = npt.NDArray[np.uint8]  # (height, width, 3), RGB


class Picture(NamedTuple):
    """One frame of a video. time_s: from the video's beginning; None: unknown."""

    number: int
    time_s: float | None
    encoded: bytes
    width_px: int
    height_px: int


def of_array(image: Image, *, number: int, time_s: float | None) -> Picture:
    """The picture of an array (height, width, 3), uint8, RGB. Raises `ValueError` for any other."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"a frame is an array (height, width, 3) of uint8, not {image.shape} of {image.dtype}"
        )
    height, width, _ = image.shape
    pixels = np.ascontiguousarray(image).data
    return Picture(number, time_s, b"".join((b"P6\n%d %d\n255\n" % (width, height), pixels)), width, height)


def of_encoded(encoded: bytes, *, number: int, time_s: float | None, max_pixels: int) -> Picture:
    """The picture of a JPEG, PNG, WebP or PPM file. Raises `InvalidImage` and its like."""
    header = images.check(encoded, max_pixels=max_pixels)
    return Picture(number, time_s, encoded, header.width, header.height)
