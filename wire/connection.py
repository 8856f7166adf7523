"""The client's side of the wire: one I/O thread, many requests in flight.

Any thread may submit; only the I/O thread touches the sockets. Deadlines are kept here, and
after a new connection to a broker everything unanswered is sent to it again under its old id. What a broker
that is gone did not answer goes to the next in the session's rank (`wire.homes`).
"""

import heapq
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from types import TracebackType
from typing import NamedTuple
from uuid import uuid4

import msgspec
import zmq

from wire import links, parts
from wire.endpoints import check_endpoints
from wire.errors import BodyTooLarge, DeadlineExceeded, Internal, PoseError, ProtocolError, named
from wire.homes import PATIENCE_S, Homes
from wire.keys import PeerKeys
from wire.links import Handshakes
from wire.messages import (
    Buffer,
    Decoder,
    Failure,
    Frame,
    FromBroker,
    Result,
    Status,
    StatusRequest,
    encode,
    separate,
)
from wire.rendezvous import key_of
from wire.statuses import merged

log = logging.getLogger(__name__)

_RECONNECT_MS = 50
_RECONNECT_MAX_MS = 1_000
_HIGH_WATER = 64

#: Parts up to this are copied when they are sent: to lend one to ZeroMQ costs a wake-up of the thread that
#: takes it back, which is more than a copy of a 1080p JPEG.
_COPIED_BYTES = 2**20

#: Answers read in a row before deadlines and new requests get their turn.
_BURST = 32

_NO_ANSWER = "the broker gave no answer in time"

#: Longest sleep of the I/O thread while nothing is due.
_IDLE_MS = 60_000


class Answer(NamedTuple):
    """A result and its payload frames, which `unpack_arrays` reads without a copy."""

    result: Result
    payload: Sequence[Buffer]


@dataclass(slots=True, eq=False)
class _Pending:
    """A request that has no answer yet."""

    message: Frame | StatusRequest
    payload: Sequence[Buffer]
    deadline: float  # seconds, `time.monotonic`
    key: bytes | None = None  # of its session; None: it is for one broker
    broker: str | None = None  # that one
    link: "_Link | None" = None  # that it was sent over, or will be
    future: "Future[Answer | Status]" = field(default_factory=Future)

    def frames(self, now: float) -> list[Buffer]:
        """What goes over the wire; a request that is sent again has less time left."""
        message = self.message
        if isinstance(message, Frame):
            left_ms = max(1, round((self.deadline - now) * 1000))
            message = msgspec.structs.replace(message, deadline_ms=left_ms)
        return [encode(message), *self.payload]


def client_socket(
    context: "zmq.Context[zmq.Socket[bytes]]", keys: PeerKeys | None = None
) -> "zmq.Socket[bytes]":
    """A socket for a broker's client, not yet connected."""
    dealer = context.socket(zmq.DEALER)
    dealer.set(zmq.IMMEDIATE, 1)  # nothing waits in a connection that never came about
    dealer.set(zmq.LINGER, 0)
    dealer.set(zmq.SNDHWM, _HIGH_WATER)
    dealer.set(zmq.RCVHWM, _HIGH_WATER)
    dealer.set(zmq.RECONNECT_IVL, _RECONNECT_MS)
    dealer.set(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
    links.keep_alive(dealer)
    links.seal_as_peer(dealer, keys)
    dealer.copy_threshold = _COPIED_BYTES
    return dealer


class _Link:
    """The connection to one broker."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, keys: PeerKeys | None
    ) -> None:
        self.endpoint = endpoint
        self.dealer = client_socket(context, keys)
        self.handshakes = Handshakes(self.dealer, endpoint)
        self.unsent: deque[bytes] = deque()
        self.dealer.connect(endpoint)

    def gone_at(self) -> float:
        """When its broker counts as gone, unless it comes back before, seconds (`time.monotonic`)."""
        away_since = self.handshakes.away_since
        return inf if away_since is None else away_since + PATIENCE_S

    def close(self) -> None:
        """Close both sockets."""
        self.handshakes.close()
        self.dealer.close()


class Connection:
    """A connection to the broker, or to each of several, that outlives the brokers' restarts.

    Open it after any fork. `max_frame_bytes` is the brokers' limit, over which they would hang up.
    """

    def __init__(
        self, endpoints: str | Sequence[str], *, max_frame_bytes: int, keys: PeerKeys | None = None
    ) -> None:
        """`keys` are what `wire.keys.for_endpoint` says; None: unencrypted.

        Raises `ValueError` for an endpoint that may not be used so; no broker need be there yet.
        """
        self._endpoints = check_endpoints(endpoints, encrypted=keys is not None)
        self._homes = Homes(self._endpoints)
        self._keys = keys
        self._max_frame_bytes = max_frame_bytes
        self._submitted: deque[_Pending] = deque()  # from any thread to the I/O thread
        self._lock = threading.Lock()  # nothing is submitted after the I/O thread looked for the last time
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._closing_by: float | None = None  # close() asks; seconds, `time.monotonic`
        self._decode: Decoder[Result | Failure | Status] = Decoder(FromBroker)

        # The I/O thread's own from here on.
        self._pending: dict[bytes, _Pending] = {}  # unanswered, in the order of submission
        self._links: dict[str, _Link] = {}  # by endpoint
        self._deadlines: list[tuple[float, bytes]] = []
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------- for any thread

    def submit(self, frame: Frame, image: Buffer) -> "Future[Answer]":
        """Send one picture; the future gives its `Answer` or raises the `PoseError` by name.

        `image` is not copied: leave it unchanged until the future is done. `frame.deadline_ms`
        counts from now. Callbacks of the future run in the I/O thread and must not block.
        """
        size = memoryview(image).nbytes
        if size > self._max_frame_bytes:
            raise BodyTooLarge(f"the picture has {size} bytes, {self._max_frame_bytes} are accepted")
        # A `Frame` is never answered with a `Status`: `_resolve` sees to it.
        return self._enqueue(frame, (image,), frame.deadline_ms / 1000)  # type: ignore[return-value]

    def status(self, timeout_s: float) -> Status:
        """The state of the broker, or of all that are there.

        Raises `DeadlineExceeded` if none answers in time.
        """
        asked = [
            self._enqueue(StatusRequest(request_id=uuid4().bytes), (), timeout_s, broker=broker)
            for broker in self._endpoints
        ]
        statuses: list[Status] = []
        for future in asked:
            with suppress(DeadlineExceeded):
                status = future.result()
                assert isinstance(status, Status)
                statuses.append(status)
        if not statuses:
            raise DeadlineExceeded(_NO_ANSWER)
        return merged(statuses)

    def close(self, linger_s: float = 0.0) -> None:
        """End the connection; what has no answer after `linger_s` fails."""
        with self._lock:
            if self._closing_by is None:
                self._closing_by = time.monotonic() + linger_s
        self._wake()
        self._thread.join()

    def _enqueue(
        self,
        message: Frame | StatusRequest,
        payload: Sequence[Buffer],
        timeout_s: float,
        *,
        broker: str | None = None,
    ) -> "Future[Answer | Status]":
        key = key_of(message) if isinstance(message, Frame) else None
        pending = _Pending(message, payload, time.monotonic() + timeout_s, key, broker)
        # Running at once: a request that may be on the wire cannot be cancelled.
        pending.future.set_running_or_notify_cancel()
        with self._lock:
            if self._closing_by is not None:
                raise Internal("the connection is closed")
            self._submitted.append(pending)
        self._wake()
        return pending.future

    def _wake(self) -> None:
        # A full pipe wakes as well as one byte more; a closed one has nobody to wake.
        with suppress(BlockingIOError, OSError):
            self._wake_writer.send(b"\0")

    # ------------------------------------------------- for the I/O thread only

    def _run(self) -> None:
        try:
            with self._connected():
                self._serve()
        except Exception:
            log.exception("the connection to %s failed", ", ".join(self._endpoints))
        finally:
            self._fail_all()
            self._wake_reader.close()
            self._wake_writer.close()

    @contextmanager
    def _connected(self) -> Iterator[None]:
        with zmq.Context() as context, ExitStack() as links:
            for endpoint in self._endpoints:
                link = self._links[endpoint] = _Link(context, endpoint, self._keys)
                links.callback(link.close)
            yield

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._wake_reader, zmq.POLLIN)
        for link in self._links.values():
            poller.register(link.handshakes.monitor, zmq.POLLIN)
        while not self._done():
            for link in self._links.values():
                poller.register(link.dealer, zmq.POLLIN | zmq.POLLOUT if link.unsent else zmq.POLLIN)
            ready = dict(poller.poll(self._sleep_ms()))
            if self._wake_reader.fileno() in ready:
                self._take_submitted()
            for link in self._links.values():
                if link.handshakes.monitor in ready and link.handshakes.succeeded():
                    self._send_again(link)
            if len(self._links) > 1:
                self._move_from_who_is_gone()
            for link in self._links.values():
                self._send_unsent(link)
                if ready.get(link.dealer, 0) & zmq.POLLIN:
                    self._receive(link.dealer)
            self._expire()

    def _done(self) -> bool:
        with self._lock:
            if self._closing_by is None:
                return False
            return time.monotonic() >= self._closing_by or not (self._pending or self._submitted)

    def _sleep_ms(self) -> int:
        due = [self._deadlines[0][0]] if self._deadlines else []
        if self._closing_by is not None:
            due.append(self._closing_by)
        if len(self._links) > 1:
            waiting = {pending.link for pending in self._pending.values() if pending.link is not None}
            due += [link.gone_at() for link in waiting if not self._is_gone(link)]
        if not due:
            return _IDLE_MS
        return min(_IDLE_MS, int(max(0.0, min(due) - time.monotonic()) * 1000) + 1)

    def _take_submitted(self) -> None:
        with suppress(BlockingIOError):
            while self._wake_reader.recv(4096):
                pass
        while self._submitted:
            pending = self._submitted.popleft()
            request_id = pending.message.request_id
            if request_id in self._pending:
                pending.future.set_exception(ProtocolError("request_id is in flight already"))
                continue
            self._pending[request_id] = pending
            link = self._link_for(pending)
            if pending.key is None and self._is_gone(link) and len(self._links) > 1:
                self._settle(request_id, DeadlineExceeded(_NO_ANSWER))
                continue
            self._hand_to(link, request_id, pending)
            heapq.heappush(self._deadlines, (pending.deadline, request_id))

    def _link_for(self, pending: _Pending) -> _Link:
        """The broker that serves the request's session, or that was named."""
        if pending.key is None:
            return self._links[pending.broker or self._endpoints[0]]
        return self._links[self._homes.enter(pending.key, is_there=self._is_there)]

    def _hand_to(self, link: _Link, request_id: bytes, pending: _Pending) -> None:
        pending.link = link
        link.unsent.append(request_id)

    def _is_gone(self, link: _Link) -> bool:
        return time.monotonic() >= link.gone_at()

    def _is_there(self, broker: str) -> bool:
        return not self._is_gone(self._links[broker])

    def _move_from_who_is_gone(self) -> None:
        """What a broker that is gone did not answer goes to the next; that one recalls the session."""
        gone = {link for link in self._links.values() if self._is_gone(link)}
        if not gone or len(gone) == len(self._links):
            return
        for request_id, pending in self._pending.items():
            if pending.link in gone and pending.key is not None:
                link = pending.link
                broker = self._homes.move(pending.key, away_from=link.endpoint, is_there=self._is_there)
                self._hand_to(self._links[broker], request_id, pending)

    def _send_again(self, link: _Link) -> None:
        """A handshake succeeded: this broker may know nothing of what was sent before.

        If it does, it recognises the ids.
        """
        link.unsent = deque(
            request_id for request_id, pending in self._pending.items() if pending.link is link
        )

    def _send_unsent(self, link: _Link) -> None:
        now = time.monotonic()
        while link.unsent:
            pending = self._pending.get(link.unsent[0])
            if pending is not None and pending.link is link:
                try:
                    parts.send(link.dealer, pending.frames(now))
                except zmq.Again:
                    return
            link.unsent.popleft()

    def _receive(self, dealer: "zmq.Socket[bytes]") -> None:
        for _ in range(_BURST):
            try:
                header, *payload = parts.receive(dealer)
            except zmq.Again:
                return
            try:
                self._resolve(self._decode(header.buffer), [frame.buffer for frame in payload])
            except ProtocolError as error:
                log.warning("the broker sent what cannot be read: %s", error)

    def _resolve(self, message: Result | Failure | Status, payload: Sequence[Buffer]) -> None:
        pending = self._pending.get(message.request_id)
        if pending is None:  # answered before, or its deadline has passed
            return
        if isinstance(message, Failure):
            error = named(message.code, message.message, retry_after_s=message.retry_after_s)
            self._settle(message.request_id, error)
        elif isinstance(message, Result) and isinstance(pending.message, Frame):
            self._settle(message.request_id, Answer(message, separate(message, payload)))
        elif isinstance(message, Status) and isinstance(pending.message, StatusRequest):
            self._settle(message.request_id, message)
        else:
            raise ProtocolError(f"a {type(message).__name__} answers a {type(pending.message).__name__}")

    def _settle(self, request_id: bytes, outcome: Answer | Status | PoseError) -> None:
        pending = self._pending.pop(request_id)
        if pending.key is not None:
            self._homes.leave(pending.key)
        if isinstance(outcome, PoseError):
            pending.future.set_exception(outcome)
        else:
            pending.future.set_result(outcome)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, request_id = heapq.heappop(self._deadlines)
            pending = self._pending.get(request_id)
            if pending is not None and pending.deadline <= now:
                self._settle(request_id, DeadlineExceeded(_NO_ANSWER))
        # Answered requests leave their timers behind; without this they would stay until they are due.
        if len(self._deadlines) > 2 * len(self._pending) + 64:
            self._deadlines = [timer for timer in self._deadlines if timer[1] in self._pending]
            heapq.heapify(self._deadlines)

    def _fail_all(self) -> None:
        with self._lock:
            if self._closing_by is None:
                self._closing_by = time.monotonic()
            left = [*self._pending.values(), *self._submitted]
            self._pending.clear()
            self._submitted.clear()
        for pending in left:
            pending.future.set_exception(Internal("the connection was closed before the answer came"))
