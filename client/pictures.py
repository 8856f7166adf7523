"""A frame as it travels: an encoded picture as it is, or an array as bare pixels in a PPM, with its size.

Workers get the pixels losslessly. To compress a 1080p frame soundly takes 140 ms and wins nothing on one
machine; to put it behind a header, where workers can read it, takes less than one.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wire import images
from wire.messages import Buffer

Image = npt.NDArray[np.uint8]  # (height, width, 3), RGB


class Picture(NamedTuple):
    """One frame of a video. time_s: from the video's beginning; None: unknown.

    parts: its bytes, one behind the other; not copied, so they are to stay as they are until it is sent.
    """

    number: int
    time_s: float | None
    parts: tuple[Buffer, ...]
    width_px: int
    height_px: int

    @property
    def size_bytes(self) -> int:
        """Of all parts."""
        return sum(memoryview(part).nbytes for part in self.parts)

    @property
    def encoded(self) -> bytes:
        """In one piece; copied unless it is so already."""
        return b"".join(self.parts)

    def sent(self) -> "Picture":
        """What is kept of it once its bytes are elsewhere."""
        return self._replace(parts=())


def of_array(image: Image, *, number: int, time_s: float | None) -> Picture:
    """The picture of an array (height, width, 3), uint8, RGB. Raises `ValueError` for any other."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"a frame is an array (height, width, 3) of uint8, not {image.shape} of {image.dtype}"
        )
    height, width, _ = image.shape
    pixels = np.ascontiguousarray(image).data.cast("B")
    return Picture(number, time_s, (b"P6\n%d %d\n255\n" % (width, height), pixels), width, height)


def of_encoded(encoded: bytes, *, number: int, time_s: float | None, max_pixels: int) -> Picture:
    """The picture of a JPEG, PNG, WebP or PPM file. Raises `InvalidImage` and its like."""
    header = images.check(encoded, max_pixels=max_pixels)
    return Picture(number, time_s, (encoded,), header.width, header.height)
