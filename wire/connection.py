"""The client's side of the wire: one I/O thread, many requests in flight.

Any thread may submit; only the I/O thread touches its sockets. What is in flight, and what a new connection
to a broker means, is in `wire.exchange`. A thread that waits for what it asks has an `exchange` of its own:
what comes and goes there passes no other thread, and each hand-over costs a wake-up.
"""

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType

import zmq

from wire.endpoints import check_endpoints
from wire.errors import DeadlineExceeded, Internal, PoseError, ProtocolError
from wire.exchange import CLOSED, Answer, Exchange, Settled
from wire.keys import PeerKeys, for_endpoint
from wire.messages import Buffer, Frame, Status, StatusRequest
from wire.requests import NO_ANSWER, new_request_id
from wire.settings import Settings
from wire.statuses import merged

log = logging.getLogger(__name__)

#: Longest sleep of the I/O thread while nothing is due.
_IDLE_S = 60.0


@dataclass(slots=True, eq=False)
class _Submitted:
    """A request on its way to the I/O thread."""

    message: Frame | StatusRequest
    payload: Sequence[Buffer]
    ends_at: float  # seconds, `time.monotonic`
    broker: str | None  # that it is for; None: its session's
    future: "Future[Answer | Status]" = field(default_factory=Future)


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
        self._keys = keys
        self._max_frame_bytes = max_frame_bytes
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._submitted: deque[_Submitted] = deque()  # from any thread to the I/O thread
        self._lock = threading.Lock()  # nothing is submitted after the I/O thread looked for the last time
        self._exchanges: set[Exchange] = set()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._closing_by: float | None = None  # close() asks; seconds, `time.monotonic`

        # The I/O thread's own from here on.
        self._own = self._new_exchange(wakes=self._wake_reader.fileno())
        self._futures: dict[bytes, Future[Answer | Status]] = {}  # of what is in flight
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
        # A `Frame` is never answered with a `Status`: the exchange sees to it.
        return self._enqueue(frame, (image,), frame.deadline_ms / 1000)  # type: ignore[return-value]

    @contextmanager
    def exchange(self) -> Iterator[Exchange]:
        """Sockets of its own for a thread that waits for what it asks. Raises `Internal` once this is closed.

        What is in flight there fails when this is closed.
        """
        with self._lock:
            if self._closing_by is not None:
                raise Internal("the connection is closed")
            exchange = self._new_exchange(beside=self._own)
        try:
            yield exchange
        finally:
            self._end(exchange)

    def status(self, timeout_s: float) -> Status:
        """The state of the broker, or of all that are there.

        Raises `DeadlineExceeded` if none answers in time.
        """
        asked = [
            self._enqueue(StatusRequest(request_id=new_request_id()), (), timeout_s, broker=broker)
            for broker in self._endpoints
        ]
        statuses: list[Status] = []
        for future in asked:
            with suppress(DeadlineExceeded):
                status = future.result()
                assert isinstance(status, Status)
                statuses.append(status)
        if not statuses:
            raise DeadlineExceeded(NO_ANSWER)
        return merged(statuses)

    def close(self, linger_s: float = 0.0) -> None:
        """End the connection; what has no answer after `linger_s` fails."""
        with self._lock:
            if self._closing_by is None:
                self._closing_by = time.monotonic() + linger_s
            for exchange in self._exchanges:
                exchange.ends_at = self._closing_by
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
        submitted = _Submitted(message, payload, time.monotonic() + timeout_s, broker)
        # Running at once: a request that may be on the wire cannot be cancelled.
        submitted.future.set_running_or_notify_cancel()
        with self._lock:
            if self._closing_by is not None:
                raise Internal("the connection is closed")
            self._submitted.append(submitted)
        self._wake()
        return submitted.future

    def _wake(self) -> None:
        # A full pipe wakes as well as one byte more; a closed one has nobody to wake.
        with suppress(BlockingIOError, OSError):
            self._wake_writer.send(b"\0")

    def _new_exchange(self, *, wakes: int | None = None, beside: Exchange | None = None) -> Exchange:
        exchange = Exchange(
            self._context,
            self._endpoints,
            max_frame_bytes=self._max_frame_bytes,
            keys=self._keys,
            wakes=wakes,
            beside=beside,
        )
        self._exchanges.add(exchange)
        return exchange

    def _end(self, exchange: Exchange) -> None:
        """The last one that ends closes the context: sockets that are still open would be waited for."""
        exchange.close()
        with self._lock:
            self._exchanges.remove(exchange)
            if self._closing_by is not None and not self._exchanges:
                self._context.term()

    # ------------------------------------------------- for the I/O thread only

    def _run(self) -> None:
        try:
            while not self._done():
                self._settle(self._own.turn(self._sleep_s()))
                self._take_submitted()
        except Exception:
            log.exception("the connection to %s failed", ", ".join(self._endpoints))
        finally:
            self._fail_all()
            self._end(self._own)
            self._wake_reader.close()
            self._wake_writer.close()

    def _done(self) -> bool:
        with self._lock:
            if self._closing_by is None:
                return False
            return time.monotonic() >= self._closing_by or not (self._futures or self._submitted)

    def _sleep_s(self) -> float:
        if self._closing_by is None:
            return _IDLE_S
        return max(0.0, self._closing_by - time.monotonic())

    def _take_submitted(self) -> None:
        with suppress(BlockingIOError):
            while self._wake_reader.recv(4096):
                pass
        while self._submitted:
            submitted = self._submitted.popleft()
            message = submitted.message
            try:
                self._own.submit(
                    message, submitted.payload, ends_at=submitted.ends_at, broker=submitted.broker
                )
            except ProtocolError as error:
                submitted.future.set_exception(error)
            else:
                self._futures[message.request_id] = submitted.future

    def _settle(self, settled: Sequence[Settled]) -> None:
        for request_id, outcome in settled:
            future = self._futures.pop(request_id)
            if isinstance(outcome, PoseError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _fail_all(self) -> None:
        with self._lock:
            if self._closing_by is None:
                self._closing_by = time.monotonic()
            left = [*self._futures.values(), *(submitted.future for submitted in self._submitted)]
            self._futures.clear()
            self._submitted.clear()
        for future in left:
            future.set_exception(Internal(CLOSED))


def connect(endpoints: Sequence[str], settings: Settings) -> Connection:
    """A client's connection to the brokers there, with the bound and the keys of the settings.

    Raises `ValueError` for an endpoint that may not be used so, or keys that cannot be.
    """
    own_keys = for_endpoint(endpoints[0], settings, role="client")
    return Connection(endpoints, max_frame_bytes=settings.max_body_bytes, keys=own_keys)
