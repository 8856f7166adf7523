"""Clients that keep several frames in flight, and what they keep of the answers.

An answer is half a megabyte; kept is a digest of each of its fields, so that two answers can
be told apart by the names of the fields that differ.
"""

import hashlib
import http.client
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import orjson

from client.backend import Backend
from client.private_service import PrivateService
from tools.chaos.clips import Client, Video

#: What two runs may differ in: time, and what is true of one of them only.
_OF_THE_RUN = frozenset({"processing_time_ms", "tracking.session_id", "tracking.history"})


@dataclass(frozen=True, slots=True)
class Received:
    """What came back for one frame."""

    frame_number: int
    at_s: float  # `time.monotonic`
    status: int  # 0: the connection broke
    refusal: str = ""  # what was said in place of an answer
    session_id: str = ""
    history: str = ""
    fields: Mapping[str, bytes] = field(default_factory=dict)  # name -> digest


@dataclass(frozen=True, slots=True)
class Sent:
    """A video that a client sent, and what came back, in the order of its frames."""

    client: Client
    turn: int  # how many videos this client had sent before
    video: Video
    session_id: str | None  # as the client named it
    received: Sequence[Received]


class Sender:
    """One client's connections: as many as it keeps frames in flight. Leaving its context closes them."""

    def __init__(
        self, service: PrivateService, *, in_flight: int, on_answer: Callable[[], None] = lambda: None
    ) -> None:
        self._service = service
        self._in_flight = in_flight
        self._on_answer = on_answer
        self._connections = ExitStack()
        self._free = SimpleQueue[Backend]()
        for _ in range(in_flight):
            self._free.put(self._connect())

    def send(
        self, pictures: Sequence[bytes], *, session_id: str | None = None, order: Iterable[int] | None = None
    ) -> list[Received]:
        """Send a video, its frames in `order`, and wait for every answer; in the order of frame numbers."""
        with ThreadPoolExecutor(self._in_flight) as pool:
            numbers = range(len(pictures)) if order is None else order
            answers = pool.map(
                lambda number: self.ask(pictures[number], number, session_id=session_id), numbers
            )
            received = list(answers)
        return sorted(received, key=lambda answer: answer.frame_number)

    def ask(self, picture: bytes, number: int, *, session_id: str | None = None) -> Received:
        """Send one frame over a connection that is free, and wait for its answer."""
        backend = self._free.get()
        try:
            answer = backend.pose(picture, frame_number=number, session_id=session_id)
        except (OSError, http.client.HTTPException) as error:
            self._free.put(self._connect())
            return Received(number, time.monotonic(), status=0, refusal=repr(error))
        self._free.put(backend)
        at_s = time.monotonic()
        self._on_answer()
        body = answer.body()
        if answer.status != HTTPStatus.OK:
            return Received(number, at_s, answer.status, refusal=f"{body['code']}: {body['error']}")
        tracking = body["tracking"]
        return Received(
            number,
            at_s,
            answer.status,
            session_id=tracking["session_id"],
            history=tracking["history"],
            fields=digests(body),
        )

    def _connect(self) -> Backend:
        return self._connections.enter_context(self._service.backend())

    def __enter__(self) -> "Sender":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections.close()


def digests(body: Mapping[str, Any]) -> dict[str, bytes]:
    """A digest of each field of an answer, less those that differ from run to run by their nature."""
    fields = {name: value for name, value in body.items() if name != "tracking"}
    fields |= {f"tracking.{name}": value for name, value in body["tracking"].items()}
    return {
        name: hashlib.blake2b(orjson.dumps(value), digest_size=8).digest()
        for name, value in fields.items()
        if name not in _OF_THE_RUN
    }


class Traffic:
    """Several clients that send at once, each one video after the other."""

    def __init__(
        self, service: PrivateService, clients: Sequence[Client], *, in_flight: int, run: str
    ) -> None:
        """`run` makes the session ids this run's own."""
        self._service = service
        self._clients = clients
        self._in_flight = in_flight
        self._run = run
        self._lock = threading.Lock()
        self._answered = 0

    @property
    def answered(self) -> int:
        """How many answers came so far."""
        return self._answered

    def flow(self, more: Callable[[int], bool]) -> list[Sent]:
        """Send while `more(videos that the client has sent)` holds; returns when all have their answers."""
        with ThreadPoolExecutor(len(self._clients)) as pool:
            return [
                sent for videos in pool.map(lambda c: self._send(c, more), self._clients) for sent in videos
            ]

    def _send(self, client: Client, more: Callable[[int], bool]) -> list[Sent]:
        sent = []
        with Sender(self._service, in_flight=self._in_flight, on_answer=self._count) as sender:
            for turn in count():
                if not more(turn):
                    break
                video = client.videos[turn % len(client.videos)]
                session_id = f"{self._run}-{client.name}-{turn}" if client.named else None
                received = sender.send(video.pictures, session_id=session_id)
                sent.append(Sent(client, turn, video, session_id, received))
        return sent

    def _count(self) -> None:
        with self._lock:
            self._answered += 1
