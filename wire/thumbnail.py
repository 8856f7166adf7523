"""A small grey picture of a frame, by which videos that nobody named are told apart.

Made from the encoded picture by whoever sends it on. Its details don't matter as long as all
pictures of a video are made small in the same way.
"""

import io

import numpy as np
from PIL import Image as PillowImage

from wire.images import Header

#: Pixels of the longer side: enough to see where a person stands, and little to keep.
_LONGER_SIDE = 32

#: Modes that can be made small before they are made grey, which is cheaper.
_PLAIN = ("L", "RGB")

#: Shrinking first to at least this many times the size, by whole numbers: inexact, and fast.
_REDUCING_GAP = 1.0


def shape(width_px: int, height_px: int) -> tuple[int, int]:
    """Rows and columns of the thumbnail of a picture of this size; no picture, no pixels."""
    longer = max(width_px, height_px)
    if min(width_px, height_px) < 1:
        return 0, 0
    rows, columns = (max(1, round(side * _LONGER_SIDE / longer)) for side in (height_px, width_px))
    return rows, columns


def make(encoded: bytes, header: Header) -> bytes:
    """The thumbnail, row-major uint8; empty if the picture is broken, for a worker says what is wrong.

    `header` is what `wire.images.check` found: no decoder sees a picture that it has refused.
    """
    rows, columns = shape(header.width, header.height)
    try:
        with PillowImage.open(io.BytesIO(encoded), formats=[header.format]) as picture:
            picture.draft("L", (columns, rows))  # a JPEG comes out of its decoder grey, an eighth as wide
            small = _grey(picture, (columns, rows))
    except Exception:  # decoders fail with whatever hostile bytes raise inside of them
        return b""
    return small.tobytes()


def _grey(picture: PillowImage.Image, size: tuple[int, int]) -> PillowImage.Image:
    if picture.mode.startswith("I"):  # 16-bit grey, which `convert` would clip
        deep = np.asarray(picture, dtype=np.uint32)
        picture = PillowImage.fromarray((deep >> 8).astype(np.uint8))
    elif picture.mode not in _PLAIN:
        # Palettes by way of RGBA, as Pillow asks for those with transparency.
        picture = (picture.convert("RGBA") if picture.mode == "P" else picture).convert("L")
    small = picture.resize(size, PillowImage.Resampling.BOX, reducing_gap=_REDUCING_GAP)
    return small if small.mode == "L" else small.convert("L")
