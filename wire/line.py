"""The client's side of the wire for threads that wait: each asks over a connection of its own.

`wire.connection` serves those who keep many requests in flight from one thread; what comes and goes there
passes a second thread, and each hand-over costs a wake-up. Here the thread that asks sends and receives, by a
`wire.exchange` with one broker. Which broker a session's requests go to is decided for all threads together.
"""

import threading
import time
from collections.abc import Sequence
from math import inf

import zmq

from wire.endpoints import check_endpoints
from wire.errors import Internal, PoseError
from wire.exchange import Answer, Exchange
from wire.homes import PATIENCE_S, Homes
from wire.keys import PeerKeys
from wire.messages import Buffer, Frame, Status
from wire.rendezvous import key_of


class Lines:
    """Connections to the broker, as many as requests wait at a time; for any thread. They are kept.

    `max_frame_bytes` is the broker's limit, over which it would hang up.
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
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._lock = threading.Lock()
        # By broker; the last used last: few requests at a time use few lines.
        self._free: dict[str, list[_Line]] = {endpoint: [] for endpoint in self._endpoints}
        self._busy = 0
        self._closed = False

    def ask(self, frame: Frame, image: Buffer) -> Answer:
        """Send one picture and wait for its answer; `frame.deadline_ms` counts from now.

        Raises the `PoseError` by name.
        """
        ends_at = time.monotonic() + frame.deadline_ms / 1000
        key = key_of(frame)
        with self._lock:
            broker = self._homes.enter(key, is_there=self._is_there)
        try:
            while True:
                line = self._take(broker)
                try:
                    return line.ask(frame, image, ends_at)
                except _BrokerGone:
                    with self._lock:
                        broker = self._homes.move(key, away_from=broker, is_there=self._is_there)
                finally:
                    self._give_back(line)
        finally:
            with self._lock:
                self._homes.leave(key)

    def close(self) -> None:
        """Let nobody ask any more; whoever still waits is answered."""
        with self._lock:
            self._closed = True
            self._close_free()

    def _is_there(self, broker: str) -> bool:
        """As far as a connection knows that nobody uses now: it comes back by itself."""
        free = self._free[broker]
        return not free or not free[-1].is_gone()

    def _take(self, broker: str) -> "_Line":
        with self._lock:
            if self._closed:
                raise Internal("the connection is closed")
            free = self._free[broker]
            line = free.pop() if free else self._new(broker)
            self._busy += 1
            return line

    def _new(self, broker: str) -> "_Line":
        exchange = Exchange(
            self._context,
            [broker],
            max_frame_bytes=self._max_frame_bytes,
            keys=self._keys,
            is_always_heard=False,
        )
        return _Line(exchange, broker, has_others=len(self._endpoints) > 1)

    def _give_back(self, line: "_Line") -> None:
        with self._lock:
            self._busy -= 1
            self._free[line.broker].append(line)
            if self._closed:
                self._close_free()

    def _close_free(self) -> None:
        for free in self._free.values():
            while free:
                free.pop().close()
        if not self._busy:
            self._context.term()


class _BrokerGone(Exception):
    """Another broker can be asked."""


class _Line:
    """One connection, on which one request at a time waits."""

    def __init__(self, exchange: Exchange, broker: str, *, has_others: bool) -> None:
        """`has_others`: there are brokers beside this one."""
        self.broker = broker
        self._exchange = exchange
        self._has_others = has_others

    def ask(self, frame: Frame, image: Buffer, ends_at: float) -> Answer:
        """The answer; `ends_at` is in seconds, `time.monotonic`.

        Raises `_BrokerGone` where another broker can be asked instead.
        """
        began_at = time.monotonic()
        self._exchange.submit(frame, (image,), ends_at=ends_at)
        # Where no broker is there, each is waited for in turn.
        while (patience_s := max(self._gone_at(), began_at + PATIENCE_S) - time.monotonic()) > 0:
            for request_id, outcome in self._exchange.turn(patience_s):
                if request_id == frame.request_id:
                    return _answer(outcome)
        self._exchange.withdraw(frame.request_id)
        raise _BrokerGone

    def is_gone(self) -> bool:
        """Whether the broker is away for longer than one that is restarted; nobody waits here."""
        return time.monotonic() >= self._gone_at()

    def close(self) -> None:
        """Close; nobody waits here."""
        self._exchange.close()

    def _gone_at(self) -> float:
        return self._exchange.gone_at(self.broker) if self._has_others else inf


def _answer(outcome: Answer | Status | PoseError) -> Answer:
    if isinstance(outcome, PoseError):
        raise outcome
    assert isinstance(outcome, Answer)  # nothing but frames is asked
    return outcome
