"""The two ROUTER sockets and the poll loop that feeds the routing core.

It decodes headers, passes payloads through untouched, reads the clock, and takes no decision.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from enum import Enum, auto
from pathlib import Path
from typing import IO, cast
from uuid import uuid4

import msgspec
import zmq
from isal import isal_zlib
from msgspec import Struct

from broker.outbox import Noted, ToClient, ToWorker
from broker.routing import Routing
from broker.streams import Streams
from wire import parts
from wire.endpoints import check_endpoint
from wire.errors import NoImage, PoseError, ProtocolError
from wire.messages import (
    Decoder,
    Failure,
    Frame,
    FromBroker,
    Goodbye,
    Heartbeat,
    LoadFailed,
    Message,
    Ready,
    Result,
    StatusRequest,
    ToBroker,
    WorkerToBroker,
    encode,
)
from wire.settings import Settings, make_runtime_dir

log = logging.getLogger("broker")

#: Messages read from one socket before the other gets its turn.
_BURST = 32

#: Messages that are neither frames nor about sessions, and wait for a worker at the most.
_WORKER_HIGH_WATER = 64

#: Answers that are not of frames, and wait for a client at the most.
_CLIENT_HIGH_WATER = 64

_RECEIVE_HIGH_WATER = 32

_HANDSHAKE_MS = 5_000
_HEARTBEAT_MS = 2_000
_HEARTBEAT_TIMEOUT_MS = 6_000
_LINGER_MS = 500
_KEEPALIVE_IDLE_S = 30

#: One line at most in this time tells of unreadable messages.
_COMPLAIN_EVERY_S = 1.0

#: Stands for the request id where none could be read.
_NO_REQUEST_ID = bytes(16)


class AlreadyRunning(Exception):
    """Another broker serves this endpoint."""


class _RequestId(Struct):
    """The one field that lets a refusal reach its request, read from a header that is otherwise wrong."""

    request_id: bytes


class _Sent(Enum):
    ON_ITS_WAY = auto()
    NO_ROOM = auto()  # the peer does not read
    NOBODY_THERE = auto()  # its connection is closed


class Server:
    """The broker's sockets, bound from construction on; `run` serves until told to stop."""

    def __init__(self, settings: Settings) -> None:
        """Bind. Raises `AlreadyRunning`, `ValueError` for an endpoint, `zmq.ZMQError`, `OSError`."""
        self._settings = settings
        self._resources = ExitStack()
        self._complained_at = 0.0
        self._to_broker: Decoder[Frame | StatusRequest] = Decoder(ToBroker)
        self._from_worker: Decoder[Ready | LoadFailed | Heartbeat | Goodbye | Result | Failure] = Decoder(
            WorkerToBroker
        )
        self._request_id = msgspec.msgpack.Decoder(_RequestId)
        with self._resources:
            make_runtime_dir(settings)
            for endpoint in (settings.frames_address(), settings.workers_address()):
                self._resources.callback(_lock(check_endpoint(endpoint)).close)
            self._context = self._resources.enter_context(zmq.Context())
            self._clients = self._bind(settings.frames_address(), _client_high_water(settings))
            self._workers = self._bind(settings.workers_address(), _worker_high_water(settings))
            self._hangups = self._watch_hangups(self._workers)
            self._routing = Routing(
                settings,
                streams=Streams(
                    new_session_id=lambda: f"stream-{uuid4().hex}", pause_s=settings.new_video_pause_s
                ),
                # Ownerships and videos of this broker come after those of the one before it.
                first_serial=time.time_ns() // 1000,
                now=time.monotonic(),
            )
            self._resources = self._resources.pop_all()

    def close(self) -> None:
        """Close the sockets; answers on their way get a moment to leave."""
        self._resources.close()

    def run(self, stop_fd: int) -> None:
        """Serve until `stop_fd` is readable."""
        poller = zmq.Poller()
        poller.register(stop_fd, zmq.POLLIN)
        poller.register(self._clients, zmq.POLLIN)
        poller.register(self._workers, zmq.POLLIN)
        poller.register(self._hangups, zmq.POLLIN)
        while True:
            wait_s = max(0.0, self._routing.wake_at() - time.monotonic())
            ready = dict(poller.poll(int(wait_s * 1000) + 1))
            if stop_fd in ready:
                return
            if self._hangups in ready:
                self._hear_hangups()
            if self._workers in ready:  # before clients: answers free credits for what waits
                self._receive(self._workers, self._from_a_worker)
            if self._clients in ready:
                self._receive(self._clients, self._from_a_client)
            self._routing.tick(now=time.monotonic())
            self._act()

    # --------------------------------------------------------------------- receiving

    def _receive(self, socket: zmq.Socket[bytes], take: Callable[[bytes, list[zmq.Frame]], None]) -> None:
        for _ in range(_BURST):
            try:
                peer, *frames = parts.receive(socket)
            except zmq.Again:
                return
            take(peer.bytes, frames)
            self._act()

    def _from_a_client(self, client: bytes, frames: list[zmq.Frame]) -> None:
        try:
            self._take_request(client, frames)
        except PoseError as refusal:
            self._routing.counters["protocol_errors"] += 1
            self._complain("a client sent what cannot be read: %s", refusal)
            self._send_to_client(
                client,
                Failure(
                    request_id=self._salvage_request_id(frames), code=refusal.code, message=refusal.message
                ),
            )

    def _take_request(self, client: bytes, frames: list[zmq.Frame]) -> None:
        if not frames:
            raise ProtocolError("a message has a header frame")
        message = self._to_broker(frames[0].buffer)
        payload = frames[1:]
        now = time.monotonic()
        if isinstance(message, StatusRequest):
            self._routing.status(client, message, now=now)
            return
        if len(payload) != 1:
            raise ProtocolError(f"a frame message has one payload frame, not {len(payload)}")
        image = payload[0].buffer
        if not image.nbytes:
            raise NoImage("the payload is empty")
        digest = isal_zlib.crc32(image)
        self._routing.frame(client, message, payload, payload_bytes=image.nbytes, digest=digest, now=now)

    def _salvage_request_id(self, frames: list[zmq.Frame]) -> bytes:
        with suppress(IndexError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._request_id.decode(frames[0].buffer).request_id.ljust(16, b"\0")[:16]
        return _NO_REQUEST_ID

    def _from_a_worker(self, worker: bytes, frames: list[zmq.Frame]) -> None:
        now = time.monotonic()
        try:
            if not frames:
                raise ProtocolError("a message has a header frame")
            message = self._from_worker(frames[0].buffer)
        except ProtocolError as refusal:
            self._routing.counters["protocol_errors"] += 1
            self._complain("a worker sent what cannot be read: %s", refusal)
            return
        match message:
            case Result() | Failure():
                self._routing.answer(worker, message, frames[1:], now=now)
            case Heartbeat():
                self._routing.heartbeat(worker, store=message.store, now=now)
            case Ready():
                self._routing.ready(worker, message, now=now)
            case Goodbye():
                self._routing.goodbye(worker, now=now)
            case LoadFailed():
                self._routing.load_failed(message)

    def _hear_hangups(self) -> None:
        """Empty the monitor; which connection closed it can't say, so the core asks everyone."""
        with suppress(zmq.Again):
            while True:
                self._hangups.recv_multipart(zmq.DONTWAIT)
        self._routing.connection_closed(now=time.monotonic())
        self._act()

    def _complain(self, text: str, refusal: PoseError) -> None:
        if time.monotonic() - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = time.monotonic()
            log.warning(text, refusal)

    # ----------------------------------------------------------------------- sending

    def _act(self) -> None:
        # A worker that cannot be reached gives rise to more actions, for other workers.
        while actions := self._routing.take_actions():
            for action in actions:
                match action:
                    case ToClient():
                        self._send_to_client(action.client, action.message, action.payload)
                    case Noted():
                        log.log(action.level, action.text, *action.details)
                    case ToWorker():
                        self._send_to_worker(action)

    def _send_to_client(self, client: bytes, message: FromBroker, payload: Sequence[object] = ()) -> None:
        if _send(self._clients, client, message, payload) is not _Sent.ON_ITS_WAY:
            self._routing.counters["undelivered"] += 1

    def _send_to_worker(self, action: ToWorker) -> None:
        match _send(self._workers, action.worker, action.message, action.payload):
            case _Sent.NOBODY_THERE:
                self._routing.worker_unroutable(action.worker, now=time.monotonic())
            case _Sent.NO_ROOM:
                self._routing.worker_blocked(action.worker, now=time.monotonic())

    # ----------------------------------------------------------------------- binding

    def _bind(self, endpoint: str, send_high_water: int) -> zmq.Socket[bytes]:
        socket = self._resources.enter_context(self._context.socket(zmq.ROUTER))
        socket.set(zmq.ROUTER_MANDATORY, 1)  # a peer that is gone is an error, not silence
        socket.set(zmq.SNDHWM, send_high_water)
        socket.set(zmq.RCVHWM, _RECEIVE_HIGH_WATER)
        socket.set(zmq.MAXMSGSIZE, self._settings.max_body_bytes)
        socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        socket.set(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        socket.set(zmq.HEARTBEAT_TTL, _HEARTBEAT_TIMEOUT_MS)
        socket.set(zmq.TCP_KEEPALIVE, 1)
        socket.set(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        socket.set(zmq.LINGER, _LINGER_MS)
        socket.bind(endpoint)
        return socket

    def _watch_hangups(self, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        """A socket that receives a message whenever a connection of `socket` closes."""
        monitor = self._resources.enter_context(socket.get_monitor_socket(zmq.EVENT_DISCONNECTED))
        self._resources.callback(socket.disable_monitor)
        return monitor


def _client_high_water(settings: Settings) -> int:
    """Messages that wait in memory for a client: all requests may be its own, and be answered at once.

    Twice as many, as ZeroMQ hears of what was read once it is half of its mark, and counts it till then.
    """
    return 2 * (settings.max_queue_frames + _CLIENT_HIGH_WATER)


def _worker_high_water(settings: Settings) -> int:
    """Messages that wait in memory for a worker before it counts as not reading.

    One that reads never gets there, not even when all sessions are forgotten at once. Twice, as above.
    """
    return 2 * (settings.max_queue_frames + settings.max_sessions + _WORKER_HIGH_WATER)


def _send(socket: zmq.Socket[bytes], peer: bytes, message: Message, payload: Sequence[object]) -> _Sent:
    """Send without waiting."""
    try:
        # Without waiting: with ROUTER_MANDATORY a full peer would block everyone.
        frames = cast(Sequence[zmq.Frame], payload)  # the core passes on what it was given
        parts.send(socket, [peer, encode(message), *frames])
    except zmq.Again:
        return _Sent.NO_ROOM
    except zmq.ZMQError as error:
        if error.errno != zmq.EHOSTUNREACH:
            raise
        return _Sent.NOBODY_THERE
    return _Sent.ON_ITS_WAY


def _lock(endpoint: str) -> IO[bytes]:
    """Hold the endpoint for this process: binding an ipc address that is taken would steal it.

    The lock ends with the process, however it ends. Raises `AlreadyRunning`.
    """
    transport, _, address = endpoint.partition("://")
    path = Path(f"{address}.lock") if transport == "ipc" else Path(os.devnull)
    file = path.open("wb")
    try:
        if transport == "ipc":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise AlreadyRunning(f"another broker serves {endpoint}") from None
    return file
