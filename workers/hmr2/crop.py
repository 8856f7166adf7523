"""The pictures that HMR2 looks at: squares cut around people, 256 x 256 pixels; numpy and OpenCV.

They are cut as the tracker of 4D-Humans, PHALP, cuts them (`demo_crop.py`: as its demo does), to the last
bit, for the OpenCV that is installed: versions 4 and 5 differ by up to 3 grey levels. Pictures are RGB.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from workers.types import Array, Image

Masks = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]

SIDE_PX: Final = 256

#: Width and height of what the network reads of a crop: the crop has room for a box of this form.
_FORM: Final = (192, 256)

#: ImageNet's mean and deviation of red, green and blue, in grey levels.
MEAN: Final = 255 * np.array([0.485, 0.456, 0.406])
DEVIATION: Final = 255 * np.array([0.229, 0.224, 0.225])

#: (3, 256): what each grey level of each channel becomes.
_NORMALISED: Final = ((np.arange(256) - MEAN[:, None]) / DEVIATION[:, None]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """Where the crops of one picture are: center (N, 2) and side (N,), pixels, float32.

    size (N, 2): of the boxes inside them, width and height, grown to the form of what the network reads.
    """

    center: Array
    size: Array

    @property
    def side(self) -> Array:
        """(N,): of the squares."""
        return self.size.max(axis=1)


def tracking_squares(boxes: Array) -> Squares:
    """Squares around boxes (N, 4), x0 y0 x1 y1, pixels, as PHALP takes them.

    Raises `ValueError` where a box has no area.
    """
    corner, far = corners(boxes)
    center, half = (corner + far) / 2, grown(far - corner) / 2
    corner, far = center - half, center + half
    return Squares((corner + far) / 2, far - corner)


def tracking_crops(image: Image, squares: Squares) -> Pixels:
    """Pixels (N, 256, 256, 3), as PHALP cuts them; `normalised` makes the network's input of them."""
    crops = np.empty((len(squares.side), SIDE_PX, SIDE_PX, 3), np.uint8)
    for crop, center, side in zip(crops, squares.center, squares.side, strict=True):
        cut(image, center, side, into=crop)
    return crops


def mask_crops(masks: Masks, squares: Squares) -> Pixels:
    """How far each pixel (N, 256, 256) is the person's, 0..255, from a mask (N, H, W) for each square."""
    crops = np.empty((len(squares.side), SIDE_PX, SIDE_PX), np.uint8)
    for crop, mask, center, side in zip(crops, masks, squares.center, squares.side, strict=True):
        cut(mask.view(np.uint8) * np.uint8(255), center, side, into=crop)
    return crops


def normalised(crops: Pixels) -> Array:
    """The network's input (N, 3, 256, 256) from pixels (N, 256, 256, 3)."""
    ready = np.empty((len(crops), 3, *crops.shape[1:3]), np.float32)
    for crop, channels in zip(crops, ready, strict=True):
        for pixels, levels, channel in zip(cv2.split(crop), _NORMALISED, channels, strict=True):
            cv2.LUT(pixels, levels, dst=channel)
    return ready


def corners(boxes: Array) -> tuple[Array, Array]:
    """The near and far corners (N, 2) of boxes (N, 4), float32. Raises `ValueError` where one has no area."""
    corners = np.asarray(boxes, np.float32).reshape(-1, 2, 2)
    near, far = corners[:, 0], corners[:, 1]
    if not (np.isfinite(corners).all() and (far > near).all()):
        raise ValueError(f"a box without area: {boxes}")
    return near, far


def grown(size: Array) -> Array:
    """Widths and heights (N, 2) with the one that is too small for the form grown to it."""
    width, height = size.T
    form_width, form_height = _FORM
    is_wide = height / width < form_height / form_width
    return np.stack(
        [
            np.where(is_wide, width, np.maximum(height * form_width / form_height, width)),
            np.where(is_wide, np.maximum(width * form_height / form_width, height), height),
        ],
        axis=1,
    )


def cut(pixels: npt.NDArray, center: Array, side: np.float32, *, into: Pixels | None = None) -> npt.NDArray:
    """The square (256, 256, ...) of a picture, black outside it, rounded as the picture's type is.

    center (2,) and side: pixels of the picture, float32.
    """
    half = np.float32(SIDE_PX / 2)
    legs = np.array([[0, 0], [0, 1], [1, 0]], np.float32)
    # The float32 corners matter: the matrix between them is not quite upright.
    matrix = cv2.getAffineTransform(center + side * np.float32(0.5) * legs, half + half * legs)
    return cv2.warpAffine(pixels, matrix, (SIDE_PX, SIDE_PX), dst=into, flags=cv2.INTER_LINEAR)
