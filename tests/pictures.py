"""Small pictures of every kind that the contract accepts, and broken ones made from them."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image as PillowImage

WIDTH, HEIGHT = 40, 24


def gradient(channels: int) -> np.ndarray:
    """A smooth picture, (HEIGHT, WIDTH, channels) uint8, that lossy formats keep well."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [x * 6, y * 10, (x + y) * 4, np.full_like(x, 200)]
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


def encoded(picture: PillowImage.Image, file_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


RGB = PillowImage.fromarray(gradient(3))
RGBA = PillowImage.fromarray(gradient(4))
GREY = PillowImage.fromarray(gradient(1)[..., 0])
DEEP_GREY = PillowImage.fromarray(gradient(1)[..., 0].astype(np.uint16) * 257)
DEEP_RGB = (gradient(3).astype(">u2") * 257).tobytes()

ACCEPTED = {
    "jpeg": (encoded(RGB, "JPEG", quality=95), gradient(3)),
    "progressive jpeg": (encoded(RGB, "JPEG", quality=95, progressive=True), gradient(3)),
    "grey jpeg": (encoded(GREY, "JPEG", quality=95), gradient(1)),
    "cmyk jpeg": (encoded(RGB.convert("CMYK"), "JPEG", quality=95), gradient(3)),
    "png": (encoded(RGB, "PNG"), gradient(3)),
    "png with alpha": (encoded(RGBA, "PNG"), gradient(3)),
    "grey png": (encoded(GREY, "PNG"), gradient(1)),
    "grey png with alpha": (encoded(GREY.convert("LA"), "PNG"), gradient(1)),
    "16-bit png": (encoded(DEEP_GREY, "PNG"), gradient(1)),
    "palette png": (encoded(GREY.convert("P"), "PNG"), gradient(1)),
    "palette png with transparency": (
        encoded(GREY.convert("P"), "PNG", transparency=b"\x80" * 9),
        gradient(1),
    ),
    "webp": (encoded(RGB, "WEBP", quality=95), gradient(3)),
    "ppm": (encoded(RGB, "PPM"), gradient(3)),
    "16-bit ppm": (b"P6\n%d %d\n65535\n" % (WIDTH, HEIGHT) + DEEP_RGB, gradient(3)),
    "lossless webp with alpha": (encoded(RGBA, "WEBP", lossless=True, exact=True), gradient(3)),
}


def mutated(picture: bytes, count: int, *, seed: int) -> Iterator[bytes]:
    """Copies of a picture with one to seven bytes changed, every other one cut off somewhere as well."""
    random = np.random.default_rng(seed)
    for number in range(count):
        changed = bytearray(picture)
        for at in random.integers(0, len(changed), size=random.integers(1, 8)):
            changed[at] = random.integers(0, 256)
        yield bytes(changed[: random.integers(0, len(changed))] if number % 2 else changed)


def mangled(content: bytes, random: np.random.Generator) -> bytes:
    """`content` with one to five changes, anywhere; never empty."""
    damaged = bytearray(content)
    for _ in range(random.integers(1, 6)):
        at = int(random.integers(0, len(damaged)))
        match random.integers(0, 4):
            case 0:
                damaged[at] = random.integers(0, 256)
            case 1:
                del damaged[at : at + int(random.integers(1, 40))]
            case 2:
                damaged[at:at] = random.bytes(8)
            case 3:
                del damaged[max(at, 1) :]
        if not damaged:
            return content[:1]
    return bytes(damaged)
