"""Small video files of every kind that cameras, phones and strangers send; written by libav, then spoiled."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc

WIDTH, HEIGHT = 64, 48

#: Matrices that a phone writes into a file, as (a, b, c, d): x goes to a x + c y, y to b x + d y.
CLOCKWISE = (0, 1, -1, 0)
UPSIDE_DOWN = (-1, 0, 0, -1)
COUNTERCLOCKWISE = (0, -1, 1, 0)
MIRRORED = (-1, 0, 0, 1)

_ONE = 1 << 16  # matrices are in 16.16 fixed point


def corners(number: int = 0) -> np.ndarray:
    """A picture (HEIGHT, WIDTH, 3) that looks different whichever way it is turned or mirrored."""
    picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    picture[: HEIGHT // 2, : WIDTH // 2, 0] = 200
    picture[: HEIGHT // 2, WIDTH // 2 :, 1] = 160
    picture[HEIGHT // 2 :, :, 2] = 60 + number % 100
    return picture


def write(
    path: Path,
    *,
    frames: int = 25,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times_ms: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    first_index: bool = True,
) -> Path:
    """A video of `corners` at 25 frames a second, or with the frames at given times."""
    container_options = {"movflags": "faststart"} if first_index and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=container_options) as container:
        # One thread: what comes out hangs on how many there are, and so would where a file is cut.
        stream = container.add_stream(codec, rate=25, options={"threads": "1"} | (options or {}))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        if times_ms is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(corners(number), format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The MP4 with another display matrix in its track header (ISO/IEC 14496-12, 8.3.2)."""
    a, b, c, d = (value * _ONE for value in matrix)
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # version 0: 40 bytes of flags, times, ids and volume before it
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def cut(path: Path, share: float) -> Path:
    """The file, its end missing."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def sound(path: Path) -> Path:
    """One second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for _ in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.rate = 8000
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def grey_steps_pq(path: Path, nits: Sequence[float]) -> Path:
    """Ten bits with the PQ curve (ITU-R BT.2100, table 4): bands of 16 pixels, each of a luminance."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16 * len(nits), HEIGHT, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries = ColorTrc.SMPTE2084, ColorPrimaries.BT2020
        context.colorspace, context.color_range = Colorspace.BT2020, 1
        container.mux(stream.encode(_pq_frame(nits)))
        container.mux(stream.encode())
    return path


def _pq_frame(nits: Sequence[float]) -> av.VideoFrame:
    level = (np.asarray(nits) / 10_000) ** 0.1593017578125
    signal = ((0.8359375 + 18.8515625 * level) / (1 + 18.6875 * level)) ** 78.84375
    grey = np.tile(np.repeat(64 + signal * 876, 16).round().astype(np.uint16), (HEIGHT, 1))
    colour = np.full((HEIGHT // 2, grey.shape[1] // 2), 512, np.uint16)
    planes = np.concatenate([grey.ravel(), colour.ravel(), colour.ravel()])
    frame = av.VideoFrame.from_ndarray(planes.reshape(-1, grey.shape[1]), format="yuv420p10le")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    return frame


def decoded_count(path: Path) -> int:
    """How many frames libav decodes up to the end, or to what it cannot read, asked in the plainest way."""
    return sum(1 for _ in _decoded(path))


def _decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container, suppress(av.error.FFmpegError):
        yield from container.decode(video=0)
