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
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from types import TracebackType

from client import pictures, results
from client.pictures import Image, Picture
from client.results import FrameResult
from client.sending import Sending
from client.under_way import Interrupted, OrderLost, Outcome, Question, UnderWay
from client.window import Window
from wire import keys
from wire import settings as wire_settings
from wire.connection import Connection
from wire.errors import PoseError
from wire.exchange import Answer
from wire.messages import Status
from wire.settings import Settings
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
        settings = wire_settings.load(os.environ)
        self._max_pixels = settings.max_image_pixels
        self._endpoints = [endpoint] if endpoint else settings.broker_addresses()
        self._broker = _connection(self._endpoints, settings)
        self._shelf = Shelf(settings.max_lent_pictures)

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
        video's steady rate, by which motion is reckoned. meshes: of everyone; else none is
        made. Raises the `wire.errors.PoseError` of the first frame that failed; `InvalidImage` and its
        like before it is sent.
        """
        question = _question(session_id, frames_per_second, meshes, deadline_s)
        status = self.status()
        shelf = self._shelf if can_lend(status, self._endpoints) else None
        sending = Sending(self._broker, Window(status.limits), question, go_on=_always, shelf=shelf)
        travelling = (
            _picture(frame, number, frames_per_second, max_pixels=self._max_pixels)
            for number, frame in enumerate(frames, first_number)
        )
        try:
            for outcome in sending.outcomes(travelling):
                yield _result(outcome)
        except (Interrupted, OrderLost) as error:
            raise error.reason from None

    def status(self) -> Status:
        """How the service is. Raises `DeadlineExceeded` where none answers."""
        return self._broker.status(timeout_s=_STATUS_TIMEOUT_S)

    def close(self) -> None:
        """End the connection; frames that have no answer fail."""
        self._broker.close()
        self._shelf.close()

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
        settings = wire_settings.load(os.environ)
        self._max_pixels = settings.max_image_pixels
        self._endpoints = [endpoint] if endpoint else settings.broker_addresses()
        self._broker = _connection(self._endpoints, settings)
        self._shelf = Shelf(settings.max_lent_pictures)

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
        shelf = self._shelf if can_lend(status, self._endpoints) else None
        under_way = UnderWay(question, Window(status.limits), shelf)
        something_came = asyncio.Event()

        def settle(request_id: bytes, future: "asyncio.Future[Answer]") -> None:
            if not future.cancelled():
                failure = future.exception()
                under_way.settle(request_id, failure if isinstance(failure, PoseError) else future.result())
                something_came.set()

        def send() -> None:
            for request in under_way.requests(now=time.monotonic()):
                future = asyncio.wrap_future(self._broker.submit(*request))
                future.add_done_callback(partial(settle, request.frame.request_id))

        async def next_result() -> FrameResult:
            while not (outcome := under_way.next(now=time.monotonic())):
                send()
                something_came.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(under_way.wait_s(now=time.monotonic())):
                        await something_came.wait()
            return _result(outcome)

        failure: PoseError | None = None
        coming = _asynchronous(frames)
        try:
            for number in count(first_number):
                try:
                    frame = await anext(coming)
                    picture = _picture(frame, number, frames_per_second, max_pixels=self._max_pixels)
                except StopAsyncIteration:
                    break
                except PoseError as error:
                    failure = error
                    break
                while under_way and not under_way.has_room(picture):
                    yield await next_result()
                under_way.add(picture)
                send()
            while under_way:
                yield await next_result()
            if failure:
                raise failure
        except (Interrupted, OrderLost) as error:
            raise error.reason from None
        finally:
            under_way.give_up()

    async def status(self) -> Status:
        """How the service is. Raises `DeadlineExceeded` where none answers."""
        return await asyncio.to_thread(self._broker.status, _STATUS_TIMEOUT_S)

    async def close(self) -> None:
        """End the connection; frames that have no answer fail."""
        await asyncio.to_thread(self._broker.close)
        self._shelf.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _connection(addresses: Sequence[str], settings: Settings) -> Connection:
    own_keys = keys.for_endpoint(addresses[0], settings, role="client")
    return Connection(addresses, max_frame_bytes=settings.max_body_bytes, keys=own_keys)


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


def _picture(frame: Frame, number: int, rate: float | None, *, max_pixels: int) -> Picture:
    time_s = number / rate if rate else None
    if isinstance(frame, bytes):
        return pictures.of_encoded(frame, number=number, time_s=time_s, max_pixels=max_pixels)
    return pictures.of_array(frame, number=number, time_s=time_s)


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
