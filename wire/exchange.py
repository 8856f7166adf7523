"""Requests in flight over sockets of one's own, for one thread: sent, sent again, answered, expired.

After a new connection to a broker everything unanswered is sent to it again under its old id. What a broker
that is gone did not answer goes to the next in the session's rank (`wire.homes`). That one may ask for it
once more, under a term of its own (`broker/terms.py`). All of that happens within `turn`: whoever has an
exchange calls it again and again while anything is in flight.
"""

import heapq
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import zmq

from wire import parts
from wire.arrays import separate
from wire.broker_link import BrokerLink
from wire.errors import DeadlineExceeded, Internal, PoseError, ProtocolError
from wire.homes import Homes
from wire.keys import PeerKeys
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
)
from wire.rendezvous import key_of
from wire.requests import NO_ANSWER, as_sent, error_of, too_large

log = logging.getLogger(__name__)

#: Answers read in a row before deadlines and new requests get their turn.
_BURST = 32

_READABLE = int(zmq.POLLIN)  # a plain integer: pyzmq's flags are enumerations, slow to combine

CLOSED = "the connection was closed before the answer came"


class Answer(NamedTuple):
    """A result and its payload frames, which `wire.arrays` reads without a copy."""

    result: Result
    payload: Sequence[Buffer]


class Settled(NamedTuple):
    """What became of a request."""

    request_id: bytes
    outcome: Answer | Status | PoseError


@dataclass(slots=True, eq=False)
class _Pending:
    """A request that has no answer yet."""

    message: Frame | StatusRequest
    payload: Sequence[Buffer]
    ends_at: float  # seconds, `time.monotonic`
    key: bytes | None  # of its session; None: it is for one broker
    link: BrokerLink  # that it was sent over, or will be
    term: int = 0  # of that link's broker, under which it was sent last, or will be

    def frames(self, now: float) -> list[Buffer]:
        """What goes over the wire; a request that is sent again has less time left."""
        message = self.message
        if isinstance(message, Frame):
            self.term = self.link.term
            message = as_sent(message, ends_at=self.ends_at, term=self.term, now=now)
        return [encode(message), *self.payload]


class Exchange:
    """Requests to the broker, or to each of several; outlives the brokers' restarts."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoints: Sequence[str],
        *,
        max_frame_bytes: int,
        keys: PeerKeys | None = None,
        wakes: int | None = None,
        beside: "Exchange | None" = None,
        is_always_heard: bool = True,
    ) -> None:
        """`max_frame_bytes` is the brokers' limit.

        wakes: a file descriptor that ends a wait when it can be read; whoever gives it reads it.
        beside: another one, of any thread, which knows already which brokers are away, and their terms.
        is_always_heard: it never stays long without a `turn`, so the log can tell of brokers that are away.
        """
        self._endpoints = endpoints
        self._max_frame_bytes = max_frame_bytes
        self._homes = Homes(endpoints)
        self._decode: Decoder[Result | Failure | Status] = Decoder(FromBroker)
        self._pending: dict[bytes, _Pending] = {}  # unanswered, in the order of submission
        self._deadlines: list[tuple[float, bytes]] = []
        self._settled: list[Settled] = []
        self.ends_at = inf  # set by any thread: what is in flight then fails; seconds, `time.monotonic`
        self._poller = zmq.Poller()
        if wakes is not None:
            self._poller.register(wakes, zmq.POLLIN)
        self._links = {
            endpoint: BrokerLink(context, endpoint, keys, is_always_heard=is_always_heard)
            for endpoint in endpoints
        }
        self._waiting_for_room: set[BrokerLink] = set()
        for link in self._links.values():
            self._poller.register(link.handshakes.monitor, zmq.POLLIN)
            self._poller.register(link.dealer, zmq.POLLIN)
            if beside is not None:
                link.learn_from(beside._links[link.endpoint])

    def submit(
        self,
        message: Frame | StatusRequest,
        payload: Sequence[Buffer],
        *,
        ends_at: float,
        broker: str | None = None,
    ) -> None:
        """Send a request, which settles by `ends_at`, seconds (`time.monotonic`).

        `payload` is not copied: leave it unchanged until then. broker: for a request of no session. Raises
        `ProtocolError` for an id that is in flight already.
        """
        request_id = message.request_id
        if request_id in self._pending:
            raise ProtocolError("request_id is in flight already")
        self._hear()
        key = key_of(message) if isinstance(message, Frame) else None
        if key is not None:
            broker = self._homes.enter(key, is_there=self._is_there)
        link = self._links[broker or self._endpoints[0]]
        self._pending[request_id] = _Pending(message, payload, ends_at, key, link)
        for part in payload:
            if refusal := too_large(part, self._max_frame_bytes):
                self._settle(request_id, refusal)
                return
        if key is None and len(self._links) > 1 and link.is_gone():
            self._settle(request_id, DeadlineExceeded(NO_ANSWER))
            return
        heapq.heappush(self._deadlines, (ends_at, request_id))
        link.unsent.append(request_id)
        self._send_unsent(link)

    def turn(self, timeout_s: float) -> list[Settled]:
        """Do what is due, and wait up to `timeout_s` for more; what has settled since the last time."""
        if time.monotonic() >= self.ends_at:
            self._fail_all()
        ready = dict(self._poller.poll(0 if self._settled else self._wait_ms(timeout_s)))
        if any(link.handshakes.monitor in ready for link in self._links.values()):
            self._hear()
        if len(self._links) > 1:
            self._move_from_who_is_gone()
        for link in self._links.values():
            if ready.get(link.dealer, 0) & _READABLE:
                self._receive(link)
            if link.unsent:
                self._send_unsent(link)
        self._expire()
        settled, self._settled = self._settled, []
        return settled

    def withdraw(self, request_id: bytes) -> None:
        """Wait no more for a request that is in flight; it does not settle."""
        pending = self._pending.pop(request_id)
        if pending.key is not None:
            self._homes.leave(pending.key)

    def gone_at(self, broker: str) -> float:
        """When a broker counts as gone, unless it comes back before, seconds (`time.monotonic`)."""
        self._hear()
        return self._links[broker].gone_at()

    def close(self) -> None:
        """Close all sockets."""
        for link in self._links.values():
            link.close()

    def _hear(self) -> None:
        """Note which brokers went and came."""
        for link in self._links.values():
            if link.handshakes.succeeded():
                self._send_again(link)

    def _wait_ms(self, timeout_s: float) -> int:
        due = [self._deadlines[0][0]] if self._deadlines else []
        if len(self._links) > 1:
            waiting = {pending.link for pending in self._pending.values()}
            due += [link.gone_at() for link in waiting if not link.is_gone()]
        if due:
            timeout_s = min(timeout_s, max(0.0, min(due) - time.monotonic()))
        return int(timeout_s * 1000) + 1 if timeout_s > 0 else 0

    def _is_there(self, broker: str) -> bool:
        return not self._links[broker].is_gone()

    def _move_from_who_is_gone(self) -> None:
        """What a broker that is gone did not answer goes to the next; that one recalls the session."""
        gone = {link for link in self._links.values() if link.is_gone()}
        if not gone or len(gone) == len(self._links):
            return
        for request_id, pending in self._pending.items():
            if pending.link in gone and pending.key is not None:
                away_from = pending.link.endpoint
                broker = self._homes.move(pending.key, away_from=away_from, is_there=self._is_there)
                pending.link = self._links[broker]
                pending.link.unsent.append(request_id)

    def _send_again(self, link: BrokerLink) -> None:
        """A handshake succeeded: this broker may know nothing of what was sent before.

        If it does, it recognises the ids.
        """
        link.unsent = deque(
            request_id for request_id, pending in self._pending.items() if pending.link is link
        )

    def _send_unsent(self, link: BrokerLink) -> None:
        """Nothing leaves before a handshake is heard of: after it all would be sent twice."""
        now = time.monotonic()
        while link.unsent and link.is_connected:
            pending = self._pending.get(link.unsent[0])
            if pending is not None and pending.link is link:
                try:
                    parts.send(link.dealer, pending.frames(now))
                except zmq.Again:
                    self._wait_for_room(link, True)
                    return
            link.unsent.popleft()
        self._wait_for_room(link, False)

    def _wait_for_room(self, link: BrokerLink, waits: bool) -> None:
        if waits != (link in self._waiting_for_room):
            self._waiting_for_room ^= {link}
            self._poller.register(link.dealer, zmq.POLLIN | zmq.POLLOUT if waits else zmq.POLLIN)

    def _receive(self, link: BrokerLink) -> None:
        for _ in range(_BURST):
            header, *payload = parts.receive(link.dealer)
            try:
                self._resolve(link, self._decode(header.buffer), [frame.buffer for frame in payload])
            except ProtocolError as error:
                log.warning("the broker sent what cannot be read: %s", error)
            # To be told that there are no more is cheaper than to run into it.
            if not self._pending or not int(link.dealer.get(zmq.EVENTS)) & _READABLE:
                return

    def _resolve(
        self, link: BrokerLink, message: Result | Failure | Status, payload: Sequence[Buffer]
    ) -> None:
        pending = self._pending.get(message.request_id)
        if isinstance(message, Failure) and message.term is not None:
            self._sent_back(link, message.request_id, message.term)
        elif pending is None:  # answered before, or its deadline has passed
            return
        elif isinstance(message, Failure):
            self._settle(message.request_id, error_of(message))
        elif isinstance(message, Result) and isinstance(pending.message, Frame):
            self._settle(message.request_id, Answer(message, separate(message, payload)))
        elif isinstance(message, Status) and isinstance(pending.message, StatusRequest):
            self._settle(message.request_id, message)
        else:
            raise ProtocolError(f"a {type(message).__name__} answers a {type(pending.message).__name__}")

    def _sent_back(self, link: BrokerLink, request_id: bytes, term: int) -> None:
        """The broker takes a request only as of this term; what another one has by now is not meant."""
        link.term = max(link.term, term)
        pending = self._pending.get(request_id)
        if pending is not None and pending.link is link and pending.term < term:
            pending.term = term
            link.unsent.append(request_id)

    def _settle(self, request_id: bytes, outcome: Answer | Status | PoseError) -> None:
        self.withdraw(request_id)
        self._settled.append(Settled(request_id, outcome))

    def _fail_all(self) -> None:
        for request_id in list(self._pending):
            self._settle(request_id, Internal(CLOSED))

    def _expire(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, request_id = heapq.heappop(self._deadlines)
            pending = self._pending.get(request_id)
            if pending is not None and pending.ends_at <= now:
                self._settle(request_id, DeadlineExceeded(NO_ANSWER))
        # Answered requests leave their timers behind; without this they would stay until they are due.
        if len(self._deadlines) > 2 * len(self._pending) + 64:
            self._deadlines = [timer for timer in self._deadlines if timer[1] in self._pending]
            heapq.heapify(self._deadlines)
