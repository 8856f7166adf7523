"""Encoded pictures to RGB arrays, with every way in which that fails named."""

import io

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from wire import images
from wire.errors import InvalidImage, TruncatedImage
from wire.messages import Buffer
from workers.types import Image


def decode(encoded: Buffer, *, max_pixels: int) -> Image:
    """The picture as (height, width, 3) uint8 RGB, turned as its EXIF orientation says.

    16-bit pictures are reduced to 8 bits, palettes and grey become RGB, transparency is
    dropped. Raises `InvalidImage`, `TruncatedImage` or `ImageTooLarge`.
    """
    encoded = bytes(encoded)
    header = images.check(encoded, max_pixels=max_pixels)
    try:
        # The format is named, or Pillow would sniff its way through dozens of parsers.
        with PillowImage.open(io.BytesIO(encoded), formats=[header.format]) as picture:
            picture.load()
            return _to_rgb(ImageOps.exif_transpose(picture))
    except MemoryError:
        raise
    except Exception as error:
        # Decoders fail with OSError, ValueError, SyntaxError, struct.error, zlib.error and more;
        # whatever hostile bytes raise inside of one, it is the picture's fault.
        if "truncated" in str(error).lower():
            raise TruncatedImage(f"the picture ends too early: {error}") from None
        raise InvalidImage(f"the picture is broken: {error}") from None


def _to_rgb(picture: PillowImage.Image) -> Image:
    if picture.mode.startswith("I"):  # 16-bit grey; `convert` would clip instead of scaling
        grey = (np.asarray(picture, dtype=np.uint32) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")  # by way of RGBA, as Pillow asks for such palettes
    return np.asarray(picture.convert("RGB"))
