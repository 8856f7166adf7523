"""Video files to RGB frames, and RGB frames to video files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np

from client.pictures import Image

_DEFAULT_RATE = Fraction(30)


def frame_rate(path: Path) -> Fraction:
    """Frames per second that the file announces."""
    with av.open(str(path)) as container:
        return container.streams.video[0].average_rate or _DEFAULT_RATE


def frames(path: Path, *, first: int = 0, last: int | None = None) -> Iterator[Image]:
    """Frames `first` to `last` (inclusive, zero-based) of a video, decoded one at a time."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stop = None if last is None else last + 1
        for frame in islice(container.decode(stream), first, stop):
            yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


@contextmanager
def writing(path: Path, *, rate: Fraction) -> Iterator[Callable[[Image], None]]:
    """A function that adds a picture to an MP4; all of one size. Odd edges lose their last pixel.

    4:2:0 colour wants even sides.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"

        def add(picture: Image) -> None:
            height, width = (side - side % 2 for side in picture.shape[:2])
            if not stream.codec_context.is_open:
                stream.height, stream.width = height, width
            even = np.ascontiguousarray(picture[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

        yield add
        container.mux(stream.encode())
