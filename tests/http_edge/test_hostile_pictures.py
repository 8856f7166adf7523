"""Pictures made to harm: they announce gigabytes, are of other kinds, or are addresses of pictures."""

import ast
import base64
import io
import socket
import struct
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from tests.http_edge.running import Edge, picture

ROOT = Path(__file__).parents[2]
PNG = picture()

#: 60000 x 60000 pixels would be 10 GiB as RGB.
SIDE = 60_000


def png_bomb() -> bytes:
    """A whole PNG: rows of zeros, twice compressed away."""
    rows = zlib.compress(bytes(10_000_000), 9)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def jpeg_bomb() -> bytes:
    """A JPEG whose frame header announces more than it has."""
    jpeg = bytearray(picture("JPEG", size=(64, 36)))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", SIDE, SIDE)
    return bytes(jpeg)


def webp_bomb() -> bytes:
    """The 34 bytes that make a decoder reserve two gigabytes."""
    side = struct.pack("<I", 16_383)[:3]
    return (
        b"RIFF" + struct.pack("<I", 26) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + side * 2 + bytes(4)
    )


def ppm_bomb() -> bytes:
    """Bare pixels, of which there are none."""
    return b"P6\n%d %d\n255\n" % (SIDE, SIDE)


def other_kinds() -> dict[str, bytes]:
    """Pictures that Pillow reads if it may, and some that it hands to other programs."""
    kinds = {}
    for kind in ("GIF", "BMP", "TIFF", "ICO", "TGA", "PCX", "SGI", "DDS", "JPEG2000", "PDF"):
        stream = io.BytesIO()
        PillowImage.new("RGB", (32, 32)).save(stream, kind)
        kinds[kind] = stream.getvalue()
    kinds["EPS"] = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n"
    kinds["PSD"] = b"8BPS\0\x01" + bytes(6) + b"\0\x03" + struct.pack(">II", 32, 32) + b"\0\x08\0\x03"
    kinds["FITS"] = b"SIMPLE  =                    T".ljust(2880)
    kinds["SVG"] = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    return kinds


@pytest.mark.parametrize("bomb", [png_bomb, jpeg_bomb, webp_bomb, ppm_bomb])
def test_a_picture_that_announces_gigabytes_is_refused_by_its_header(edge: Edge, bomb) -> None:
    began = time.monotonic()
    reply = edge.pose(bomb(), session_id="bomb")

    assert (reply.status, reply.body["code"]) == (400, "too_many_pixels")
    assert time.monotonic() - began < 15  # read, it would take longer, and gigabytes


@pytest.mark.parametrize("kind", sorted(other_kinds()))
def test_other_kinds_of_pictures_are_refused_unread(edge: Edge, kind: str) -> None:
    reply = edge.pose(other_kinds()[kind], session_id="kind")
    assert (reply.status, reply.body["code"]) == (400, "invalid_image")


def test_pillow_is_told_everywhere_which_format_to_read() -> None:
    calls = [
        (path, call)
        for package in ("wire", "broker", "workers", "http_edge")
        for path in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("PillowImage.open", "Image.open")
    ]
    assert len(calls) >= 2
    for path, call in calls:
        assert "formats" in [keyword.arg for keyword in call.keywords], path


@pytest.mark.parametrize("field", ["image_base64", "image_url", "url", "image", "frame"])
def test_an_address_in_place_of_a_picture_is_not_followed(edge: Edge, field: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/x.png"
        for text in (address, base64.b64encode(address.encode()).decode(), "file:///etc/passwd"):
            reply = edge.post({field: text})
            assert reply.status == 400
            assert "root:" not in reply.raw.decode()
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
