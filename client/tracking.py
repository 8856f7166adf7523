"""Everyframe from Python: pictures in, the people of each out, in order and at full speed.

    from client.tracking import Client

    with Client() as client:
        for result in client.track(video_frames):
            print(result.frame_number, result.primary.joints if result.primary else "nobody")

Several frames are under way at a time, over one connection that outlives the broker's restarts.
"""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from itertools import count
from types import TracebackType

from client import pictures, results
from client.async_sending import AsyncSending
from client.pictures import Image, Picture
from client.results import FrameResult
from client.sending import Sending
from client.under_way import Interrupted, OrderLost, Outcome, Question
from client.window import Window
from wire import settings as wire_settings
from wire.connection import connect
from wire.errors import PoseError
from wire.messages import Status
from wire.shelf import Shelf, can_lend

#: What a video is made of: encoded pictures (JPEG, PNG, WebP), or arrays (height, width, 3), uint8, RGB.
Frame = bytes | Image

_STATUS_TIMEOUT_S = 10.0


class Client:
    """A connection to a running service; leaving its context closes it. Any thread may use it."""

    def __init__(self, endpoint: str | None = None) -> None:
        """`endpoint` is the broker's for clients; None: that of the settings (`POSE_...`).

        Raises `ValueError` for one that may not be used. No service need be there yet.
        """
        self._service = _Service(endpoint)

    def track(
        self,
        frames: Iterable[Frame],
        *,
        session_id: str | None = None,
        first_number: int = 0,
        frames_per_second: float | None = None,
        meshes: bool = False,
        deadline_s: float = 110.0,
    ) -> Iterator[FrameResult]:
        """The people of each frame of one video, in order; as many frames are read ahead as are under way.

        session_id: goes on with that video at `first_number`; else this is a new one. frames_per_second: the
        video's steady rate, by which motion is reckoned. meshes: of everyone; else none is made. Raises the
        `wire.errors.PoseError` of the first frame that failed; `InvalidImage` and its like before it is sent.
        """
        question = _question(session_id, frames_per_second, meshes, deadline_s)
        status = self.status()
        sending = Sending(
            self._service.broker,
            Window(status.limits),
            question,
            go_on=_always,
            shelf=self._service.shelf_for(status),
        )
        travelling = (
            self._service.picture(frame, number, frames_per_second)
            for number, frame in enumerate(frames, first_number)
        )
        try:
            for outcome in sending.outcomes(travelling):
                yield _result(outcome)
        except (Interrupted, OrderLost) as error:
            raise error.reason from None

    def status(self) -> Status:
        """How the service is. Raises `DeadlineExceeded` where none answers."""
        return self._service.status()

    def close(self) -> None:
        """End the connection; frames that have no answer fail."""
        self._service.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """The same for asyncio: `async with` it, and `async for` over what `track` gives."""

    def __init__(self, endpoint: str | None = None) -> None:
        """As `Client`."""
        self._service = _Service(endpoint)

    async def track(
        self,
        frames: Iterable[Frame] | AsyncIterable[Frame],
        *,
        session_id: str | None = None,
        first_number: int = 0,
        frames_per_second: float | None = None,
        meshes: bool = False,
        deadline_s: float = 110.0,
    ) -> AsyncIterator[FrameResult]:
        """As `Client.track`; frames may come from an asynchronous source. The event loop is never blocked."""
        question = _question(session_id, frames_per_second, meshes, deadline_s)
        status = await self.status()
        sending = AsyncSending(
            self._service.broker, Window(status.limits), question, shelf=self._service.shelf_for(status)
        )
        number = count(first_number)
        travelling = (
            self._service.picture(frame, next(number), frames_per_second)
            async for frame in _asynchronous(frames)
        )
        try:
            # Whoever reads no further lets go of what is under way at once, not once the loop has time.
            async with aclosing(sending.outcomes(travelling)) as outcomes:
                async for outcome in outcomes:
                    yield _result(outcome)
        except (Interrupted, OrderLost) as error:
            raise error.reason from None

    async def status(self) -> Status:
        """How the service is. Raises `DeadlineExceeded` where none answers."""
        return await asyncio.to_thread(self._service.status)

    async def close(self) -> None:
        """End the connection; frames that have no answer fail."""
        await asyncio.to_thread(self._service.close)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Service:
    """What both clients have of a running service. broker: the connection to it."""

    def __init__(self, endpoint: str | None) -> None:
        settings = wire_settings.load(os.environ)
        self._max_pixels = settings.max_image_pixels
        self._endpoints = [endpoint] if endpoint else settings.broker_addresses()
        self._shelf = Shelf(settings.max_lent_pictures)
        self.broker = connect(self._endpoints, settings)

    def status(self) -> Status:
        """How it is. Raises `DeadlineExceeded` where none answers."""
        return self.broker.status(timeout_s=_STATUS_TIMEOUT_S)

    def shelf_for(self, status: Status) -> Shelf | None:
        """From which its workers can read; None: they cannot."""
        return self._shelf if can_lend(status, self._endpoints) else None

    def picture(self, frame: Frame, number: int, rate: float | None) -> Picture:
        """A frame as it travels, at its place in a video of so many frames a second (None: unknown)."""
        time_s = number / rate if rate else None
        if isinstance(frame, bytes):
            return pictures.of_encoded(frame, number=number, time_s=time_s, max_pixels=self._max_pixels)
        return pictures.of_array(frame, number=number, time_s=time_s)

    def close(self) -> None:
        """End the connection; frames that have no answer fail."""
        self.broker.close()
        self._shelf.close()


def _question(
    session_id: str | None, frames_per_second: float | None, meshes: bool, deadline_s: float
) -> Question:
    return Question(
        session_id or f"track-{time.time():.0f}-{uuid.uuid4().hex}",
        client="python",
        frames_per_second=frames_per_second,
        meshes=meshes,
        deadline_s=deadline_s,
    )


def _result(outcome: Outcome) -> FrameResult:
    if isinstance(outcome.answer, PoseError):
        raise outcome.answer
    return results.of_answer(outcome.answer)


def _always() -> None:
    """Whoever reads the results decides by reading on."""


async def _asynchronous(frames: Iterable[Frame] | AsyncIterable[Frame]) -> AsyncIterator[Frame]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame
