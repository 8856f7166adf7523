"""What `sending.py` is for threads, for asyncio: frames of one video through the broker, answers in order."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import suppress
from functools import partial

from client.pictures import Picture
from client.under_way import Outcome, Question, Traffic, UnderWay
from wire.connection import Connection
from wire.errors import PoseError
from wire.exchange import Answer
from wire.shelf import Shelf


class AsyncSending:
    """Frames of one session, for one event loop, which is never blocked."""

    def __init__(
        self, broker: Connection, traffic: Traffic, question: Question, *, shelf: Shelf | None = None
    ) -> None:
        """shelf: from which the workers can read; None: there is none."""
        self._broker = broker
        self._under_way = UnderWay(question, traffic, shelf)
        self._something_came = asyncio.Event()

    async def outcomes(self, pictures: AsyncIterable[Picture]) -> AsyncGenerator[Outcome]:
        """As `Sending.outcomes`."""
        failure: PoseError | None = None
        coming = aiter(pictures)
        try:
            while True:
                try:
                    picture = await anext(coming)
                except StopAsyncIteration:
                    break
                except PoseError as error:
                    failure = error
                    break
                while self._under_way and not self._under_way.has_room(picture):
                    yield await self._next()
                self._under_way.add(picture)
                self._send()
            while self._under_way:
                yield await self._next()
            if failure:
                raise failure
        finally:
            self._under_way.give_up()

    async def _next(self) -> Outcome:
        while not (outcome := self._under_way.next(now=time.monotonic())):
            self._send()
            self._something_came.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._under_way.wait_s(now=time.monotonic())):
                    await self._something_came.wait()
        return outcome

    def _send(self) -> None:
        """Send what is due."""
        for request in self._under_way.requests(now=time.monotonic()):
            future = asyncio.wrap_future(self._broker.submit(*request))
            future.add_done_callback(partial(self._settle, request.frame.request_id))

    def _settle(self, request_id: bytes, future: "asyncio.Future[Answer]") -> None:
        if not future.cancelled():
            failure = future.exception()
            self._under_way.settle(request_id, failure if isinstance(failure, PoseError) else future.result())
            self._something_came.set()
