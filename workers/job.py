"""One frame in hand: what can be made ready of it before its turn comes."""

from collections.abc import Callable

from wire.messages import Buffer, Work
from workers.ahead import Once
from workers.borrowing import Handed
from workers.pipeline import FrameInput
from workers.sessions import FrameKey, asked_of
from workers.types import Image


class Job:
    """A frame that the broker handed over. Its picture is decoded and summed up once, by whichever thread."""

    def __init__(self, work: Work, picture: Handed, decode: Callable[[Buffer], Image]) -> None:
        self.work = work
        self._encoded = picture.encoded
        self._image = Once(lambda: decode(picture.encoded))
        self._digest = Once(picture.digest)

    def make_ready(self) -> None:
        """All that can be made ready without the session, by any thread."""
        self._digest.make()
        self._image.make()

    @property
    def frame(self) -> FrameInput:
        """The frame as the pipeline takes it."""
        work = self.work
        return FrameInput(
            work.frame_number, self._encoded, work.options, work.timestamp_ms, work.fps, self._image
        )

    @property
    def key(self) -> FrameKey:
        """What makes it the same frame when it comes again. Raises `PictureGone`."""
        return self.work.frame_number, self._digest(), asked_of(self.work.options)
