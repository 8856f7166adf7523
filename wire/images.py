"""Which pictures are accepted, and the size that a picture's header announces.

Reads headers only and allocates nothing: a few bytes may announce gigabytes of pixels
(a 34-byte WebP makes its decoder reserve two), so the size is checked before any decoder
sees the picture. That the pixels are really there is for the decoder to say.
"""

import io
import struct
from typing import Literal, NamedTuple

import imagesize

from wire.errors import ImageTooLarge, InvalidImage, TruncatedImage

Format = Literal["JPEG", "PNG", "WEBP", "PPM"]

#: The part of a picture in which its size must stand: a hostile JPEG is all header, and walking
#: through 8 MB of it takes seconds.
_HEADER_BYTES = 1 << 20

#: How a segment of a JPEG begins: marker, length; in a frame header precision, height and width follow.
_SEGMENT = struct.Struct(">HHBHH")
_FRAME_HEADERS = frozenset({0xFFC0, 0xFFC1, 0xFFC2})
_BEFORE_FRAME_HEADERS = frozenset({0xFFC4, 0xFFDB, 0xFFDD, 0xFFFE, *range(0xFFE0, 0xFFF0)})
_USUAL_SEGMENTS = 32


class Header(NamedTuple):
    """What a picture says about itself; pixels, before its EXIF orientation is applied."""

    format: Format
    width: int
    height: int


def check(encoded: bytes, *, max_pixels: int) -> Header:
    """The header of an acceptable picture. Raises `InvalidImage`, `TruncatedImage` or `ImageTooLarge`."""
    kind = _format(encoded)
    width, height = (_jpeg_size(encoded) if kind == "JPEG" else None) or _any_size(encoded)
    if width < 1 or height < 1:
        raise TruncatedImage(f"the {kind} tells no size: it is broken, or ends inside its header")
    if width * height > max_pixels:
        raise ImageTooLarge(f"{width} x {height} pixels, the limit is {max_pixels} in all")
    return Header(kind, width, height)


def _any_size(encoded: bytes) -> tuple[int, int]:
    # Always a stream: given a string the library would open a file or a URL of that name.
    width, height = imagesize.get(io.BytesIO(encoded[:_HEADER_BYTES]), exif_rotation=False)
    return width, height


def _jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    """That of a JPEG (T.81, annex B) whose segments are the usual ones; None: it needs a closer look."""
    at = 2
    for _ in range(_USUAL_SEGMENTS):
        if len(encoded) < at + 9:
            return None
        marker, length, _, height, width = _SEGMENT.unpack_from(encoded, at)
        if marker in _FRAME_HEADERS:
            return width, height
        if marker not in _BEFORE_FRAME_HEADERS:
            return None
        at += 2 + length
    return None


def _format(encoded: bytes) -> Format:
    """The format by its first bytes: PNG (ISO/IEC 15948) 5.2, JPEG (T.81) annex B, WebP (RFC 9649) 2.4.

    Netpbm's binary PPM is bare RGB behind a line or two: what costs nothing to write and to read.
    """
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if encoded.startswith(b"\xff\xd8"):
        return "JPEG"
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WEBP"
    if encoded.startswith(b"P6\n"):
        return "PPM"
    raise InvalidImage("not a PNG, JPEG, WebP or PPM picture")
