"""Which pictures are accepted, and the size that a picture's header announces.

Reads headers only and allocates nothing: a few bytes may announce gigabytes of pixels
(a 34-byte WebP makes its decoder reserve two), so the size is checked before any decoder
sees the picture. That the pixels are really there is for the decoder to say.

Sources: PNG (ISO/IEC 15948) 5.2 and 11.2.2; JPEG (ITU-T T.81) annex B; WebP (RFC 9649) 2.4 to 2.7.
"""

import struct
from typing import Literal, NamedTuple

from wire.errors import ImageTooLarge, InvalidImage, TruncatedImage

Format = Literal["JPEG", "PNG", "WEBP"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"

#: Frame headers that carry a JPEG's size: every SOFn but the tables DHT, JPG and DAC.
_JPEG_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

#: Markers that stand alone, without a segment: TEM, RSTn and a repeated SOI.
_JPEG_LONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})

_JPEG_SCAN_OR_END = frozenset({0xDA, 0xD9})


class Header(NamedTuple):
    """What a picture says about itself; pixels, before its EXIF orientation is applied."""

    format: Format
    width: int
    height: int


def check(encoded: bytes, *, max_pixels: int) -> Header:
    """The header of an acceptable picture. Raises `InvalidImage`, `TruncatedImage` or `ImageTooLarge`."""
    header = read_header(encoded)
    if header.width * header.height > max_pixels:
        raise ImageTooLarge(f"{header.width} x {header.height} pixels, the limit is {max_pixels} in all")
    return header


def read_header(encoded: bytes) -> Header:
    """What the header of `encoded` announces. Raises `InvalidImage` or `TruncatedImage`."""
    try:
        header = _read(encoded)
    except (struct.error, IndexError):
        raise TruncatedImage("the picture ends inside its header") from None
    if header.width < 1 or header.height < 1:
        raise InvalidImage(f"the picture's header announces {header.width} x {header.height} pixels")
    return header


def _read(encoded: bytes) -> Header:
    if encoded.startswith(_PNG_SIGNATURE):
        return Header("PNG", *_png_size(encoded))
    if encoded.startswith(_JPEG_START):
        return Header("JPEG", *_jpeg_size(encoded))
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return Header("WEBP", *_webp_size(encoded))
    raise InvalidImage("not a PNG, JPEG or WebP picture")


def _png_size(encoded: bytes) -> tuple[int, int]:
    kind, width, height = struct.unpack_from(">4sII", encoded, 12)
    if kind != b"IHDR":
        raise InvalidImage("the PNG does not begin with its header")
    return width, height


def _jpeg_size(encoded: bytes) -> tuple[int, int]:
    at = len(_JPEG_START)
    while True:
        if encoded[at] != 0xFF:
            raise InvalidImage("the JPEG's header is broken")
        while encoded[at] == 0xFF:  # any number of fill bytes may precede a marker
            at += 1
        marker = encoded[at]
        at += 1
        if marker in _JPEG_LONE_MARKERS:
            continue
        if marker in _JPEG_SCAN_OR_END:
            raise InvalidImage("the JPEG has no frame header")
        if marker in _JPEG_FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", encoded, at + 3)
            return width, height
        (length,) = struct.unpack_from(">H", encoded, at)
        if length < 2:
            raise InvalidImage("the JPEG's header is broken")
        at += length


def _webp_size(encoded: bytes) -> tuple[int, int]:
    kind = encoded[12:16]
    if kind == b"VP8X":  # canvas less one, two numbers of 24 bits
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", encoded, 24)
        return (high_width << 16 | low_width) + 1, (high_height << 16 | low_height) + 1
    if kind == b"VP8L":  # sizes less one, two numbers of 14 bits after a signature byte
        signature, bits = struct.unpack_from("<BI", encoded, 20)
        if signature != 0x2F:
            raise InvalidImage("the WebP's header is broken")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":  # two numbers of 14 bits, each below two bits of scale
        start_code, width, height = struct.unpack_from("<3sHH", encoded, 23)
        if start_code != b"\x9d\x01\x2a":
            raise InvalidImage("the WebP's header is broken")
        return width & 0x3FFF, height & 0x3FFF
    if len(encoded) < 16:
        raise TruncatedImage("the picture ends inside its header")
    raise InvalidImage("the WebP has no picture chunk")
