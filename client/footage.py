"""The frames of a video file as they are to be seen: every one, upright, in 8-bit RGB, with its own time.

Nothing is assumed of the file: rates may vary, phones turn and mirror pictures by a matrix, cameras write
ten bits and high dynamic range, and strangers write files that want to be something else than a video. What
is wrong with a file has a name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorTrc, VideoReformatter

from client.pictures import Image
from wire.errors import ImageTooLarge, InvalidVideo, NoVideo, NoVideoStream, TruncatedVideo

#: Containers that are read. Playlists, which name further files and addresses, are not among them.
_FORMATS = "mov,matroska,avi,mpegts,mpeg,flv,ogg,asf,mjpeg,h264,hevc,ivf,mxf,rm"

#: Transfer functions of high dynamic range (ITU-R BT.2100): PQ, and HLG.
_HIGH_RANGE = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)

#: The largest frames that are read of a file of one's own, where no service sets a limit.
MOST_PIXELS = 1 << 28

#: How much earlier than announced a video may end: containers round, and their tracks differ a little.
_MISSING_S = 0.5

_MICROSECONDS = 1_000_000


class Shown(NamedTuple):
    """One frame. `time_s` counts from the beginning of the file, as players count."""

    number: int
    time_s: float
    image: Image


@dataclass(frozen=True, slots=True)
class Footage:
    """An open file. What it announces may be wrong, and None where it announces nothing.

    frames_per_second: on average. frame_count: as announced, or by length and rate.
    """

    frames_per_second: float | None
    frame_count: int | None
    _container: Any
    _stream: Any
    _max_pixels: int

    def frames(self) -> Iterator[Shown]:
        """Every frame, decoded one at a time, in the order in which they are shown.

        Raises `InvalidVideo`, `TruncatedVideo` or `ImageTooLarge` where that shows.
        """
        to_rgb = VideoReformatter()
        starts_at_s = (self._container.start_time or 0) / _MICROSECONDS
        step_s = 1 / (self.frames_per_second or 25.0)
        ends_at_s = 0.0
        number = -1
        try:
            for number, frame in enumerate(self._container.decode(self._stream)):
                _check_size(frame.width, frame.height, self._max_pixels)
                time_s = ends_at_s if frame.time is None else frame.time - starts_at_s
                ends_at_s = time_s + step_s
                yield Shown(number, time_s, _upright(_rgb(frame, to_rgb), _matrix(frame)))
        except av.error.FFmpegError as error:
            if not self._goes_on():
                self._check_end(ends_at_s)
            raise InvalidVideo(f"frame {number + 1} cannot be read: {error.strerror}") from error
        if number < 0:
            raise InvalidVideo("the video has no frame that can be read")
        self._check_end(ends_at_s)

    def _goes_on(self) -> bool:
        """Whether more of the pictures is there to be read."""
        try:
            return any(packet.size for packet in self._container.demux(self._stream))
        except av.error.FFmpegError:
            return False

    def _check_end(self, reached_s: float) -> None:
        announced_s = _length_s(self._container, self._stream)
        if announced_s is not None and reached_s < announced_s - _MISSING_S:
            raise TruncatedVideo(f"the video announces {announced_s:.2f} s and ends after {reached_s:.2f} s")


@contextmanager
def opened(path: Path, *, max_pixels: int) -> Iterator[Footage]:
    """The video in a file. Raises `NoVideo`, `InvalidVideo`, `NoVideoStream` or `ImageTooLarge`."""
    if path.stat().st_size == 0:
        raise NoVideo("the file is empty")
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        # The scheme is said, or a file's name could be taken for an address.
        container = av.open(f"file:{path}", options=options)
    except av.error.FFmpegError as error:
        raise InvalidVideo(f"no video that can be read, or one that is cut off: {error.strerror}") from error
    with container:
        stream = _pictures(container)
        _check_size(stream.width, stream.height, max_pixels)
        # Not a thread for each frame: libav keeps a kilobyte of every frame then, and bodies take longer to
        # find than frames to decode.
        stream.thread_type = "SLICE"
        # Sizes may grow on the way; decoders count whole blocks, so they get some more than the limit.
        stream.codec_context.options = {"max_pixels": str(2 * max_pixels)}
        rate = float(stream.average_rate or stream.guessed_rate or 0) or None
        length_s = _length_s(container, stream)
        estimated = round(length_s * rate) if length_s and rate else None
        yield Footage(rate, stream.frames or estimated, container, stream, max_pixels)


def _pictures(container: Any) -> Any:
    """The first stream of moving pictures; the cover of a song is none."""
    for stream in container.streams.video:
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
            if stream.codec_context is None:
                raise InvalidVideo("the video is in a format that cannot be decoded")
            return stream
    raise NoVideoStream("the file has no moving pictures")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageTooLarge(f"{width} x {height} pixels, the limit is {max_pixels} in all")


def _length_s(container: Any, stream: Any) -> float | None:
    """How long the pictures are, as announced; of the whole file only where nothing else is in it."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if tag := stream.metadata.get("DURATION"):  # Matroska's, "00:01:02.345000000"
        return _seconds(tag)
    if container.duration is not None and len(container.streams) == 1:
        return float(container.duration / _MICROSECONDS)
    return None


def _seconds(tag: str) -> float | None:
    try:
        hours, minutes, seconds = (float(part) for part in tag.split(":"))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _rgb(frame: Any, to_rgb: VideoReformatter) -> Image:
    """The frame's pixels; high dynamic range is mapped to what screens without it show."""
    if frame.color_trc in _HIGH_RANGE:
        frame = to_rgb.reformat(
            frame,
            format="rgb24",
            dst_color_trc=ColorTrc.IEC61966_2_1,
            dst_color_primaries=ColorPrimaries.BT709,
        )
    else:
        frame = to_rgb.reformat(frame, format="rgb24")
    return np.asarray(frame.to_ndarray(), dtype=np.uint8)


def _matrix(frame: Any) -> tuple[int, int, int, int] | None:
    """How the picture is to be turned: (a, b, c, d), which takes x to a x + c y, and y to b x + d y."""
    shown = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if shown is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(bytes(shown), dtype="<i4").tolist()
    return a, b, c, d


def _upright(image: Image, matrix: tuple[int, int, int, int] | None) -> Image:
    """The picture turned and mirrored by quarter turns; a matrix that is none of them is left alone."""
    if matrix is None:
        return image
    a, b, c, d = matrix
    if a and d and not (b or c):
        turned = image[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1]
    elif b and c and not (a or d):
        turned = image.transpose(1, 0, 2)[:: 1 if b > 0 else -1, :: 1 if c > 0 else -1]
    else:
        return image
    return np.ascontiguousarray(turned)
