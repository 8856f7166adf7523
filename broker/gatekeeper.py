"""Tells libzmq whether a peer's key is allowed (ZAP, ZeroMQ RFC 27), by a list read again when it changes.

It is asked in the broker's own loop: pyzmq's authenticators want a thread or an event loop of their own, and
do not tell who must leave when a key is taken off the list.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import zmq
from zmq.utils import z85

from broker.admission import Admission
from wire import keys

log = logging.getLogger("broker")

#: libzmq asks whoever is bound here in the socket's context.
_WHERE_IT_ASKS = "inproc://zeromq.zap.01"

_VERSION = b"1.0"
_ADMITTED = b"200"

#: "Temporary": libzmq tells the peer nothing, and lets it hang until the time for its handshake is over. Any
#: other refusal ends a libzmq peer's tries for good, also if its key is allowed by then.
_REFUSED = b"300"

#: How often it is looked whether the list has changed. It is read when two looks in a row agree, so that no
#: list is read that is half written.
_LOOK_EVERY_S = 0.5

#: Questions answered in a row, and lines in the log at most in this time.
_BURST = 32
_COMPLAIN_EVERY_S = 1.0


class Gatekeeper:
    """Bound from construction on; before the first door is opened that needs keys."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allowed_keys: str) -> None:
        """`allowed_keys` is a file or folder; empty: no door needs keys. Raises `ValueError` if it is bad."""
        self.admission = Admission()
        self.refused = 0  # handshakes
        self._complained_at = float("-inf")
        self._list = Path(allowed_keys) if allowed_keys else None
        self._read: tuple[object, ...] | None = None  # the version that was read
        self._seen: tuple[object, ...] | None = None  # the version at the last look
        self.look_at = float("inf")  # `time.monotonic`
        if self._list is not None:
            self._read = self._seen = keys.version(self._list)
            allowed = keys.read_allowed(self._list)
            if allowed.unreadable:
                raise ValueError(allowed.unreadable[0])
            self._admit(allowed)
            self.look_at = time.monotonic() + _LOOK_EVERY_S
        self.socket = context.socket(zmq.REP)
        self.socket.set(zmq.LINGER, 0)
        self.socket.bind(_WHERE_IT_ASKS)

    def close(self) -> None:
        """After the doors: without it libzmq lets nobody in."""
        self.socket.close()

    def answer(self) -> None:
        """Answer what libzmq has asked."""
        for _ in range(_BURST):
            try:
                request = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self.socket.send_multipart(self._judged(request))

    def look(self, changed: Callable[[], None]) -> None:
        """When it is time: see whether the list has changed, and if so, read it and call `changed`."""
        if self._list is None or time.monotonic() < self.look_at:
            return
        self.look_at = time.monotonic() + _LOOK_EVERY_S
        before, self._seen = self._seen, keys.version(self._list)
        if self._seen != before or self._seen == self._read:
            return
        self._read = self._seen  # before it is read: what cannot be read is told once
        try:
            allowed = keys.read_allowed(self._list)
        except ValueError as error:
            log.error("the allowed keys stay as they were: %s", error)
            return
        for complaint in allowed.unreadable:
            log.error("lets nobody in: %s", complaint)
        self._admit(allowed)
        changed()

    def _judged(self, request: list[bytes]) -> list[bytes]:
        """The reply. libzmq itself is who asks, after the peer has proved to have the key."""
        _, request_id, domain, address, _, mechanism, raw_key = request
        key = z85.encode(raw_key) if mechanism == b"CURVE" else b""
        if self.admission.may(key, domain.decode()):
            return [_VERSION, request_id, _ADMITTED, b"", key, b""]
        self._complain(
            f"{self.admission.whose(key)}, from {address.decode()}, at the door of {domain.decode()}s"
        )
        return [_VERSION, request_id, _REFUSED, b"", b"", b""]

    def _admit(self, allowed: keys.Allowed) -> None:
        peers = [key for key in allowed.keys if key.role != "broker"]  # its own, where all keys lie together
        self.admission.replace(peers)
        names = sorted(f"{key.role} {key.name}" for key in peers)
        log.info("keys are allowed of: %s", ", ".join(names) or "nobody")

    def _complain(self, refused: str) -> None:
        self.refused += 1
        if time.monotonic() - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = time.monotonic()
            log.warning("not let in: %s", refused)
