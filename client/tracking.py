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
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from types import TracebackType

from client import pictures, results
from client.pictures import Image, Picture
from client.results import FrameResult
from client.sending import Interrupted, OrderLost, Question, Sending, Sent, Way
from client.shelf import Shelf, can_lend
from client.window import Window
from wire import keys
from wire import settings as wire_settings
from wire.connection import Answer, Connection
from wire.errors import Busy, PictureGone, PoseError
from wire.messages import Status
from wire.settings import Settings

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
        self._shelf = Shelf()

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
                if isinstance(outcome.answer, PoseError):
                    raise outcome.answer
                yield results.of_answer(outcome.answer)
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
        self._shelf = Shelf()

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
        window = Window(status.limits)
        way = Way(self._broker, question, self._shelf if can_lend(status, self._endpoints) else None)
        under_way: deque[tuple[Sent, asyncio.Future[Answer]]] = deque()

        def came_back(future: "asyncio.Future[Answer]") -> None:
            window.came_back()
            if not future.cancelled():
                future.exception()  # seen, even where nobody reads on after an earlier failure

        def send(sent: Sent) -> "asyncio.Future[Answer]":
            future = asyncio.wrap_future(way.submit(sent))
            future.add_done_callback(came_back)
            return future

        async def send_as_bytes(error: PictureGone) -> None:
            await asyncio.wait([future for _, future in under_way])
            try:
                again = way.unpack_all(under_way, error)
            except OrderLost:
                raise error from None
            for at in again:
                sent, _ = under_way[at]
                under_way[at] = sent, send(sent)

        async def next_result() -> FrameResult:
            while True:
                sent, future = under_way[0]
                try:
                    answer = await future
                except PictureGone as error:
                    await send_as_bytes(error)
                except Busy as error:
                    await asyncio.sleep(window.busy_for_s(error) or 0)
                    under_way[0] = sent, send(sent)
                else:
                    under_way.popleft()
                    way.over(sent, answer)
                    return results.of_answer(answer)

        number = first_number
        try:
            async for frame in _asynchronous(frames):
                picture = _picture(frame, number, frames_per_second, max_pixels=self._max_pixels)
                number += 1
                while under_way and not window.has_room(
                    len(under_way) + 1, sum(sent.size_bytes for sent, _ in under_way) + picture.size_bytes
                ):
                    yield await next_result()
                sent = way.pack(picture)
                under_way.append((sent, send(sent)))
            while under_way:
                yield await next_result()
        finally:
            way.give_up(sent for sent, _ in under_way)

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


def _always() -> None:
    """Whoever reads the results decides by reading on."""


async def _asynchronous(frames: Iterable[Frame] | AsyncIterable[Frame]) -> AsyncIterator[Frame]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame
