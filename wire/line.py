"""The client's side of the wire for threads that wait: each asks over a connection of its own.

`wire.connection` serves those who keep many requests in flight from one thread; what comes and goes there
passes a second thread, and each hand-over costs a wake-up. Here the thread that asks sends and receives.
Deadlines, and what a new connection to the broker means, are the same.
"""

import logging
import threading
import time
from collections.abc import Sequence
from math import inf

import zmq

from wire import parts
from wire.endpoints import check_endpoints
from wire.errors import DeadlineExceeded, Internal, ProtocolError
from wire.exchange import Answer, client_socket
from wire.homes import PATIENCE_S, Homes
from wire.keys import PeerKeys
from wire.links import Handshakes
from wire.messages import Buffer, Decoder, Failure, Frame, Result, encode, separate
from wire.rendezvous import key_of
from wire.requests import NO_ANSWER, check_size, error_of, with_time_left

log = logging.getLogger(__name__)


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
        check_size(image, self._max_frame_bytes)
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
        return _Line(self._context, broker, self._keys, has_others=len(self._endpoints) > 1)

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

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        keys: PeerKeys | None,
        *,
        has_others: bool,
    ) -> None:
        """`has_others`: there are brokers beside this one."""
        self.broker = endpoint
        self._has_others = has_others
        self._decode: Decoder[Result | Failure] = Decoder(Result | Failure)
        self._dealer = client_socket(context, keys)
        self._handshakes = Handshakes(self._dealer, endpoint, is_always_heard=False)
        self._dealer.connect(endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._handshakes.monitor, zmq.POLLIN)
        self._was_connected = False  # the first handshake is no reason to send again what went out with it

    def ask(self, frame: Frame, image: Buffer, ends_at: float) -> Answer:
        """The answer; `ends_at` is in seconds, `time.monotonic`.

        Raises `_BrokerGone` where another broker can be asked instead.
        """
        began_at = time.monotonic()
        self._is_connected_anew()  # before, which is of no interest: nothing was under way
        sent = self._was_connected and self._send(frame, image, ends_at)
        while (left_s := ends_at - time.monotonic()) > 0:
            waits_for_room = self._was_connected and not sent
            self._poller.register(self._dealer, zmq.POLLIN | zmq.POLLOUT if waits_for_room else zmq.POLLIN)
            patience_s = min(left_s, max(0.0, self._leaves_at(began_at) - time.monotonic()))
            ready = dict(self._poller.poll(int(patience_s * 1000) + 1))
            # A new broker may know nothing of what was sent before. If it does, it recognises the id.
            anew = self._handshakes.monitor in ready and self._is_connected_anew()
            if anew or waits_for_room:
                sent = self._send(frame, image, ends_at)
            if ready.get(self._dealer, 0) & zmq.POLLIN:
                answer = self._receive(frame.request_id)
                if answer is not None:
                    return answer
            if time.monotonic() >= self._leaves_at(began_at):
                raise _BrokerGone
        raise DeadlineExceeded(NO_ANSWER)

    def is_gone(self) -> bool:
        """Whether the broker is away for longer than one that is restarted; nobody waits here."""
        self._is_connected_anew()
        return time.monotonic() >= self._gone_at()

    def _gone_at(self) -> float:
        away_since = self._handshakes.away_since
        return inf if away_since is None or not self._has_others else away_since + PATIENCE_S

    def _leaves_at(self, began_at: float) -> float:
        """When to ask another broker; where none is there, each is waited for in turn."""
        return max(self._gone_at(), began_at + PATIENCE_S)

    def close(self) -> None:
        """Close; nobody waits here."""
        self._handshakes.close()
        self._dealer.close()

    def _is_connected_anew(self) -> bool:
        """Whether a handshake succeeded since the last time."""
        anew = self._handshakes.succeeded()
        self._was_connected |= anew
        return anew

    def _send(self, frame: Frame, image: Buffer, ends_at: float) -> bool:
        """Whether it could be sent at once; a frame that is sent again has less time left."""
        header = encode(with_time_left(frame, ends_at=ends_at, now=time.monotonic()))
        try:
            parts.send(self._dealer, [header, image])
        except zmq.Again:
            return False
        return True

    def _receive(self, request_id: bytes) -> Answer | None:
        """What came, if it is the answer: it may be an earlier one's that came too late."""
        header, *payload = parts.receive(self._dealer)
        try:
            message = self._decode(header.buffer)
        except ProtocolError as error:
            log.warning("the broker sent what cannot be read: %s", error)
            return None
        if message.request_id != request_id:
            return None
        if isinstance(message, Failure):
            raise error_of(message)
        return Answer(message, separate(message, [part.buffer for part in payload]))
