"""Cut a square crop out of an image, sampled as mediapipe samples it."""

import cv2
import numpy as np
import numpy.typing as npt

from workers.types import Image

#: OpenCV's fixed-point maps address no pixel beyond this.
_MAX_SIDE_PX = 32_000


def cut(image: Image, to_image: npt.NDArray[np.floating], crop_px: int, *, border: int) -> Image:
    """The crop (crop_px, crop_px, 3) whose pixel (u, v) is `image` at `to_image` (2, 3) @ (u, v, 1).

    border: what lies outside the image, a `cv2.BORDER_*` constant.

    People are large and the crop is small, so four pixels decide for some fifty, and the landmarks
    follow the exact choice: positions in steps of 1/32 px give mediapipe's landmarks to 0.01 px, the
    smoother sampling of `cv2.warpAffine` moves them by one to ten.
    """
    step = -(-max(image.shape[:2]) // _MAX_SIDE_PX)
    if step > 1:
        image, to_image = np.ascontiguousarray(image[::step, ::step]), to_image / step
    along = np.arange(crop_px)
    positions = np.empty((crop_px, crop_px, 2), dtype=np.float32)
    for axis, (per_column, per_row, offset) in enumerate(to_image):
        np.add.outer(per_row * along + offset, per_column * along, out=positions[..., axis])
    whole, fraction = cv2.convertMaps(positions, None, cv2.CV_16SC2)
    return cv2.remap(image, whole, fraction, cv2.INTER_LINEAR, borderMode=border)
