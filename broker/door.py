"""One of the broker's two ROUTER sockets: where clients come in, or workers."""

import fcntl
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from enum import Enum, auto
from pathlib import Path
from typing import IO, cast

import zmq
from zmq.utils.monitor import recv_monitor_message

from broker.admission import Admission, Doorbook
from wire import keys, links, parts
from wire.endpoints import Listen, check_endpoint, is_tcp
from wire.keys import Role
from wire.messages import Message, encode
from wire.settings import Settings

log = logging.getLogger("broker")

_RECEIVE_HIGH_WATER = 32
_LINGER_MS = 500


class AlreadyRunning(Exception):
    """Another broker serves this endpoint."""


class Sent(Enum):
    """What became of a message."""

    ON_ITS_WAY = auto()
    NO_ROOM = auto()  # the peer does not read
    NOBODY_THERE = auto()  # its connection is closed


class Door:
    """Bound from construction on, at each of its endpoints with the key that belongs there."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        settings: Settings,
        listens: Sequence[Listen],
        *,
        opens_to: Role,
        admission: Admission,
        send_high_water: int,
    ) -> None:
        """Bind. Raises `AlreadyRunning`, `ValueError` for endpoint or key, `zmq.ZMQError`, `OSError`."""
        self._resources = ExitStack()
        self._book = Doorbook(opens_to, admission)
        self._guarded = any(listen.key_file for listen in listens)
        with self._resources:
            for listen in listens:
                check_endpoint(listen.endpoint, encrypted=bool(listen.key_file))
                self._resources.callback(_lock(listen.endpoint).close)
            self.socket = self._resources.enter_context(context.socket(zmq.ROUTER))
            self._bound_by(settings, send_high_water)
            self.hangups = self._resources.enter_context(
                self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            )
            self._resources.callback(self.socket.disable_monitor)
            for listen in sorted(listens, key=lambda listen: bool(listen.key_file)):  # in clear comes first
                self._bind(listen, opens_to)
            self._resources = self._resources.pop_all()

    def close(self) -> None:
        """Close; what is on its way gets a moment to leave."""
        self._resources.close()

    def receive(self) -> tuple[bytes, list[zmq.Frame]]:
        """Who says what. Raises `zmq.Again` where nothing was said."""
        while True:
            routing_id, *frames = parts.receive(self.socket)
            peer = routing_id.bytes
            if not self._guarded or self._listened_to(peer, routing_id):
                return peer, frames

    def send(self, peer: bytes, message: Message, payload: Sequence[object]) -> Sent:
        """Send without waiting."""
        try:
            # Without waiting: with ROUTER_MANDATORY a full peer would block everyone.
            frames = cast(Sequence[zmq.Frame], payload)  # the core passes on what it was given
            parts.send(self.socket, [peer, encode(message), *frames])
        except zmq.Again:
            return Sent.NO_ROOM
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return Sent.NOBODY_THERE
        return Sent.ON_ITS_WAY

    def hear_hangups(self) -> None:
        """Empty the monitor."""
        while self.hangups.poll(0):
            self._book.gone(recv_monitor_message(self.hangups)["value"])

    def turn_out(self) -> None:
        """Close the connections of those whose keys are not allowed any more."""
        self.hear_hangups()
        for peer, descriptor in self._book.unwelcome().items():
            log.warning("turned out: peer %s, its key is not allowed any more", peer.hex())
            _hang_up(descriptor)

    def _listened_to(self, peer: bytes, routing_id: zmq.Frame) -> bool:
        if not self._book.knows(peer):
            self.hear_hangups()  # first: the descriptor may have been another's before
            self._book.came(peer, key=_key_of(routing_id), descriptor=_descriptor_of(routing_id))
        if self._book.welcome(peer):
            return True
        _hang_up(_descriptor_of(routing_id))
        return False

    def _bind(self, listen: Listen, opens_to: Role) -> None:
        if listen.key_file:
            key = keys.read_secret(Path(listen.key_file), role="broker")
            links.seal_as_broker(self.socket, key, opens_to=opens_to)
        self.socket.bind(listen.endpoint)

    def _bound_by(self, settings: Settings, send_high_water: int) -> None:
        self.socket.set(zmq.ROUTER_MANDATORY, 1)  # a peer that is gone is an error, not silence
        self.socket.set(zmq.SNDHWM, send_high_water)
        self.socket.set(zmq.RCVHWM, _RECEIVE_HIGH_WATER)
        self.socket.set(zmq.MAXMSGSIZE, settings.max_body_bytes + links.SEALED_MORE_BYTES)
        self.socket.set(zmq.HANDSHAKE_IVL, round(settings.handshake_s * 1e3))
        self.socket.set(zmq.BACKLOG, settings.listen_backlog)
        self.socket.set(zmq.LINGER, _LINGER_MS)
        links.keep_alive(self.socket)


def _key_of(frame: zmq.Frame) -> bytes | None:
    """The key (Z85) of whom a message is from; None: it came where none is needed."""
    try:
        return str(frame.get("User-Id")).encode()
    except zmq.ZMQError:
        return None


def _descriptor_of(frame: zmq.Frame) -> int:
    return int(frame.get(zmq.SRCFD))


def _hang_up(descriptor: int) -> None:
    """End a connection that libzmq holds, which then notices.

    libzmq cannot end one connection of many itself. Should the descriptor be another's by now, that one
    connects again.
    """
    # Whoever has closed it already leaves nothing to do.
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)


def _lock(endpoint: str) -> IO[bytes]:
    """Hold the endpoint for this process: binding an ipc address that is taken would steal it.

    The lock ends with the process, however it ends. Raises `AlreadyRunning`.
    """
    path = Path(os.devnull if is_tcp(endpoint) else f"{endpoint.removeprefix('ipc://')}.lock")
    file = path.open("wb")
    try:
        if not is_tcp(endpoint):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise AlreadyRunning(f"another broker serves {endpoint}") from None
    return file
