"""A picture in a few grey cells: enough to tell which pictures of a video lie near one another in time."""

from typing import Final

import numpy as np
import numpy.typing as npt

from workers.types import Image

Thumbnail = npt.NDArray[np.uint8]  # (SIDE, SIDE)

#: Cells to a side: a step of someone who walks is a step here too, and not yet another picture.
SIDE: Final = 16
#: Pixels that are looked at, to a side of a cell: their noise must stay below what a step changes.
_SAMPLES: Final = 8


def thumbnail(image: Image) -> Thumbnail:
    """The mean grey of SIDE x SIDE cells of `image` (H, W, 3), whatever its size and shape.

    It looks at 128 x 128 pixels, evenly spread: an even mean of a whole 1080p picture costs 20 times as much.
    """
    height, width = image.shape[:2]
    count = SIDE * _SAMPLES
    middles = (2 * np.arange(count) + 1) / (2 * count)
    rows, columns = (middles * height).astype(np.intp), (middles * width).astype(np.intp)
    pixels = image.take(rows, axis=0).take(columns, axis=1)  # rows first: they lie together in memory
    sums = pixels.reshape(SIDE, _SAMPLES, SIDE, _SAMPLES * 3).sum(axis=(1, 3), dtype=np.uint32)
    parts = _SAMPLES * _SAMPLES * 3
    return ((sums + parts // 2) // parts).astype(np.uint8)
