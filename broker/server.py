"""The poll loop between the two doors (`door.py`) and the routing core.

It decodes headers, passes payloads through untouched, reads the clock, and takes no decision.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from uuid import uuid4

import msgspec
import zmq
from msgspec import Struct

from broker.door import Door, Sent
from broker.gatekeeper import Gatekeeper
from broker.outbox import Noted, ToClient, ToWorker
from broker.routing import Routing
from broker.streams import Streams
from wire import lending, runtime_dir
from wire.endpoints import Listen, is_tcp, listens
from wire.errors import NoImage, PoseError, ProtocolError
from wire.keys import Role
from wire.messages import (
    Decoder,
    Failure,
    Frame,
    FromBroker,
    Goodbye,
    Heartbeat,
    LoadFailed,
    Ready,
    Recalled,
    Result,
    StatusRequest,
    ToBroker,
    WorkerToBroker,
)
from wire.settings import Settings

log = logging.getLogger("broker")

#: Messages read from one socket before the other gets its turn.
_BURST = 32

#: Messages that are neither frames nor about sessions, and wait for a worker at the most.
_WORKER_HIGH_WATER = 64

#: Answers that are not of frames, and wait for a client at the most.
_CLIENT_HIGH_WATER = 64

#: One line at most in this time tells of unreadable messages.
_COMPLAIN_EVERY_S = 1.0

#: Stands for the request id where none could be read.
_NO_REQUEST_ID = bytes(16)

#: More than there can be brokers: each draws its epochs and generations from another remainder. With a
#: hundred thousand a second they stay below 2**53 until 2059.
_SERIALS_APART = 32


class _RequestId(Struct):
    """The one field that lets a refusal reach its request, read from a header that is otherwise wrong."""

    request_id: bytes


class Server:
    """The broker's sockets, bound from construction on; `run` serves until told to stop."""

    def __init__(self, settings: Settings) -> None:
        """Bind. Raises `AlreadyRunning`, `ValueError` for endpoint or key, `zmq.ZMQError`, `OSError`."""
        self._settings = settings
        self._resources = ExitStack()
        self._complained_at = 0.0
        self._to_broker: Decoder[Frame | StatusRequest] = Decoder(ToBroker)
        self._from_worker: Decoder[Ready | LoadFailed | Heartbeat | Goodbye | Result | Failure | Recalled] = (
            Decoder(WorkerToBroker)
        )
        self._request_id = msgspec.msgpack.Decoder(_RequestId)
        with self._resources:
            runtime_dir.make(settings)
            self._context = self._resources.enter_context(zmq.Context())
            self._gatekeeper = Gatekeeper(self._context, settings.allowed_keys)
            self._resources.callback(self._gatekeeper.close)
            self._clients = self._open(
                settings.frames_address(),
                settings.frames_listen,
                opens_to="client",
                send_high_water=_client_high_water(settings),
            )
            self._workers = self._open(
                settings.workers_address(),
                settings.workers_listen,
                opens_to="worker",
                send_high_water=_worker_high_water(settings),
            )
            self._routing = Routing(
                settings,
                streams=Streams(
                    new_session_id=lambda: f"stream-{uuid4().hex}", pause_s=settings.new_video_pause_s
                ),
                # Ownerships and videos of this broker come after those of the one before it.
                first_serial=_SERIALS_APART * (time.time_ns() // 10_000) + settings.broker_place(),
                serial_step=_SERIALS_APART,
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
        for door in (self._clients, self._workers):
            poller.register(door.socket, zmq.POLLIN)
            poller.register(door.hangups, zmq.POLLIN)
        poller.register(self._gatekeeper.socket, zmq.POLLIN)
        while True:
            wake_at = min(self._routing.wake_at(), self._gatekeeper.look_at)
            wait_s = max(0.0, wake_at - time.monotonic())
            ready = dict(poller.poll(int(wait_s * 1000) + 1))
            if stop_fd in ready:
                return
            self._gatekeeper.look(changed=self._turn_out)
            if self._gatekeeper.socket in ready:
                self._gatekeeper.answer()
                self._routing.counters["refused_keys"] = self._gatekeeper.refused
            if self._clients.hangups in ready:
                self._clients.hear_hangups()
            if self._workers.hangups in ready:
                self._hear_workers_hang_up()
            if self._workers.socket in ready:  # before clients: answers free credits for what waits
                self._receive(self._workers, self._from_a_worker)
            if self._clients.socket in ready:
                self._receive(self._clients, self._from_a_client)
            self._routing.tick(now=time.monotonic())
            self._act()

    # --------------------------------------------------------------------- receiving

    def _receive(self, door: Door, take: Callable[[bytes, list[zmq.Frame]], None]) -> None:
        for _ in range(_BURST):
            try:
                peer, frames = door.receive()
            except zmq.Again:
                return
            take(peer, frames)
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
        seen = lending.look(image)
        self._routing.frame(
            client, message, payload, payload_bytes=seen.size_bytes, digest=seen.digest, now=now
        )

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
            case Recalled():
                self._routing.recalled(worker, message, now=now)
            case LoadFailed():
                self._routing.load_failed(message)

    def _hear_workers_hang_up(self) -> None:
        """Whose connection closed isn't told if the worker never spoke, so the core asks everyone."""
        self._workers.hear_hangups()
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
        if self._clients.send(client, message, payload) is not Sent.ON_ITS_WAY:
            self._routing.counters["undelivered"] += 1

    def _send_to_worker(self, action: ToWorker) -> None:
        match self._workers.send(action.worker, action.message, action.payload):
            case Sent.NOBODY_THERE:
                self._routing.worker_unroutable(action.worker, now=time.monotonic())
            case Sent.NO_ROOM:
                self._routing.worker_blocked(action.worker, now=time.monotonic())

    # ------------------------------------------------------------------------- doors

    def _open(self, endpoint: str, listen: str, *, opens_to: Role, send_high_water: int) -> Door:
        key_file = self._settings.key_file
        where = [Listen(endpoint, key_file if is_tcp(endpoint) else ""), *listens(listen, key_file=key_file)]
        if any(listen.key_file for listen in where) and not self._settings.allowed_keys:
            raise ValueError("POSE_ALLOWED_KEYS is not set: whom the broker lets in over tcp")
        door = Door(
            self._context,
            self._settings,
            where,
            opens_to=opens_to,
            admission=self._gatekeeper.admission,
            send_high_water=send_high_water,
        )
        self._resources.callback(door.close)
        return door

    def _turn_out(self) -> None:
        self._clients.turn_out()
        self._workers.turn_out()


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
