"""Asks the broker about one picture, and gives it a thumbnail where it needs one to find the video.

A thumbnail costs a look at the pixels, so it is made only for pictures without a session id: for
frame 0, which may begin a video, when the broker asks, and for a while without being asked where
it asked before, so that a burst of frames is not sent twice.
"""

import threading
import time
from collections import OrderedDict

import msgspec

from http_edge.metrics import FrameMetrics
from wire import thumbnail
from wire.errors import ThumbnailWanted
from wire.exchange import Answer
from wire.images import Header
from wire.line import Lines
from wire.messages import Frame, Source
from wire.requests import anew

#: How long thumbnails are made unasked after the broker asked for one.
_UNASKED_S = 10.0

#: Callers and sizes for which that is remembered.
_REMEMBERED = 1024


class Asking:
    """Requests to the broker, from many threads at a time."""

    def __init__(self, broker: Lines, metrics: FrameMetrics) -> None:
        self._broker = broker
        self._metrics = metrics
        self._wanted = RecentlyWanted()

    def __call__(self, frame: Frame, image: bytes, header: Header) -> Answer:
        """The broker's answer; `frame.deadline_ms` counts from now. Raises the `PoseError` it fails with."""
        ends_at = time.monotonic() + frame.deadline_ms / 1000
        if frame.session_id is None and (
            frame.frame_number == 0 or self._wanted.includes(frame.source, now=time.monotonic())
        ):
            frame = self._with_thumbnail(frame, image, header)
        try:
            return self._broker.ask(frame, image)
        except ThumbnailWanted:
            if frame.source.thumbnail is not None:
                raise
        self._wanted.note(frame.source, now=time.monotonic())
        frame = self._with_thumbnail(frame, image, header)
        return self._broker.ask(anew(frame, ends_at=ends_at), image)

    def _with_thumbnail(self, frame: Frame, image: bytes, header: Header) -> Frame:
        with self._metrics.thumbnail_seconds.time():
            small = thumbnail.make(image, header)
        return msgspec.structs.replace(frame, source=msgspec.structs.replace(frame.source, thumbnail=small))


class RecentlyWanted:
    """The callers and picture sizes for which the broker asked for thumbnails lately."""

    def __init__(self) -> None:
        self._until: OrderedDict[tuple[str, int, int], float] = OrderedDict()  # the latest last
        self._lock = threading.Lock()

    def note(self, source: Source, *, now: float) -> None:
        """The broker asked for a thumbnail of a picture from there; `now` is in seconds."""
        with self._lock:
            self._until[source.origin] = now + _UNASKED_S
            self._until.move_to_end(source.origin)
            if len(self._until) > _REMEMBERED:
                self._until.popitem(last=False)

    def includes(self, source: Source, *, now: float) -> bool:
        """Whether the next pictures from there need one, too."""
        with self._lock:
            return self._until.get(source.origin, now) > now
