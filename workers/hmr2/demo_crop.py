"""The pictures that the demo of 4D-Humans looks at: for comparing single frames with what it shows.

It cuts as its tracker does (`crop.py`), which is what the service does, but blurs what it will shrink,
people above 563 px, and keeps the fractions of what it blurred. To the last bit, as there.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from workers.hmr2.crop import DEVIATION, MEAN, SIDE_PX, Squares, corners, cut, grown, normalised
from workers.types import Array, Image

#: The demo blurs where a crop's pixel is more than this many half pixels of the picture wide.
_BLUR_FROM: Final = 1.1


def demo_squares(boxes: Array) -> Squares:
    """Squares around boxes (N, 4), x0 y0 x1 y1, pixels, as the demo of 4D-Humans takes them.

    Raises `ValueError` where a box has no area.
    """
    corner, far = corners(boxes)
    size = (far - corner) / np.float32(200) * np.float32(200)  # there and back again: it rounds
    return Squares((corner + far) / 2, grown(size))


def demo_crops(image: Image, squares: Squares) -> Array:
    """The network's input (N, 3, 256, 256), as the demo of 4D-Humans makes it."""
    crops = np.empty((len(squares.side), 3, SIDE_PX, SIDE_PX), np.float32)
    for crop, center, side in zip(crops, squares.center, squares.side, strict=True):
        width = side / SIDE_PX / 2
        if width > _BLUR_FROM:
            pixels = cut(_blurred(image, center, side, sigma_px=(width - 1) / 2), center, side)
            levels = pixels.transpose(2, 0, 1).astype(np.float32)
            crop[:] = (levels - MEAN[:, None, None]) / DEVIATION[:, None, None]
        else:
            crop[:] = normalised(cut(image, center, side)[None])[0]
    return crops


def _blurred(
    image: Image, center: Array, side: np.float32, *, sigma_px: np.float32
) -> npt.NDArray[np.float64]:
    """The picture (H, W, 3), blurred where its square reads it, and of any content elsewhere.

    The blur is a Gaussian as scipy defines it, cut off at four deviations, the picture's edge repeated.
    """
    radius = int(4 * sigma_px + 0.5)
    # sigma_px is float32, and so is its square, there as here.
    kernel = np.exp(-0.5 / (sigma_px * sigma_px) * np.arange(-radius, radius + 1) ** 2)
    kernel /= kernel.sum()
    height, width = image.shape[:2]
    reach = side / 2 + 2 + radius  # what lies between two pixels is made of both
    x0, y0 = np.maximum(np.floor(center - reach), 0).astype(int)
    x1, y1 = np.maximum(np.ceil(center + reach), 0).astype(int)
    part = image[y0:y1, x0:x1]
    blurred = np.empty((height, width, 3))
    if part.size:
        blurred[y0:y1, x0:x1] = cv2.sepFilter2D(
            part, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE
        )
    return blurred
