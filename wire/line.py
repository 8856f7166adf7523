"""The client's side of the wire for threads that wait: each asks over a connection of its own.

`wire.connection` serves those who keep many requests in flight from one thread; what comes and goes there
passes a second thread, and each hand-over costs a wake-up. Here the thread that asks sends and receives.
Deadlines, and what a new connection to the broker means, are the same.
"""

import logging
import threading
import time

import msgspec
import zmq

from wire import parts
from wire.connection import Answer, client_socket
from wire.endpoints import check_endpoint
from wire.errors import BodyTooLarge, DeadlineExceeded, Internal, ProtocolError, named
from wire.keys import PeerKeys
from wire.links import Handshakes
from wire.messages import Buffer, Decoder, Failure, Frame, Result, encode

log = logging.getLogger(__name__)


class Lines:
    """Connections to the broker, as many as requests wait at a time; for any thread. They are kept.

    `max_frame_bytes` is the broker's limit, over which it would hang up.
    """

    def __init__(self, endpoint: str, *, max_frame_bytes: int, keys: PeerKeys | None = None) -> None:
        """`keys` are what `wire.keys.for_endpoint` says; None: unencrypted.

        Raises `ValueError` for an endpoint that may not be used so; no broker need be there yet.
        """
        self._endpoint = check_endpoint(endpoint, encrypted=keys is not None)
        self._keys = keys
        self._max_frame_bytes = max_frame_bytes
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._lock = threading.Lock()
        self._free: list[_Line] = []  # the last used last: few requests at a time use few lines
        self._busy = 0
        self._closed = False

    def ask(self, frame: Frame, image: Buffer) -> Answer:
        """Send one picture and wait for its answer; `frame.deadline_ms` counts from now.

        Raises the `PoseError` by name.
        """
        size = memoryview(image).nbytes
        if size > self._max_frame_bytes:
            raise BodyTooLarge(f"the picture has {size} bytes, {self._max_frame_bytes} are accepted")
        ends_at = time.monotonic() + frame.deadline_ms / 1000
        line = self._take()
        try:
            return line.ask(frame, image, ends_at)
        finally:
            self._give_back(line)

    def close(self) -> None:
        """Let nobody ask any more; whoever still waits is answered."""
        with self._lock:
            self._closed = True
            self._close_free()

    def _take(self) -> "_Line":
        with self._lock:
            if self._closed:
                raise Internal("the connection is closed")
            line = self._free.pop() if self._free else _Line(self._context, self._endpoint, self._keys)
            self._busy += 1
            return line

    def _give_back(self, line: "_Line") -> None:
        with self._lock:
            self._busy -= 1
            self._free.append(line)
            if self._closed:
                self._close_free()

    def _close_free(self) -> None:
        while self._free:
            self._free.pop().close()
        if not self._busy:
            self._context.term()


class _Line:
    """One connection, on which one request at a time waits."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, keys: PeerKeys | None
    ) -> None:
        self._decode: Decoder[Result | Failure] = Decoder(Result | Failure)
        self._dealer = client_socket(context, keys)
        self._handshakes = Handshakes(self._dealer, endpoint)
        self._dealer.connect(endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._handshakes.monitor, zmq.POLLIN)
        self._was_connected = False  # the first handshake is no reason to send again what went out with it

    def ask(self, frame: Frame, image: Buffer, ends_at: float) -> Answer:
        """The answer; `ends_at` is in seconds, `time.monotonic`."""
        self._is_connected_anew()  # before, which is of no interest: nothing was under way
        sent = self._was_connected and self._send(frame, image, ends_at)
        while (left_s := ends_at - time.monotonic()) > 0:
            waits_for_room = self._was_connected and not sent
            self._poller.register(self._dealer, zmq.POLLIN | zmq.POLLOUT if waits_for_room else zmq.POLLIN)
            ready = dict(self._poller.poll(int(left_s * 1000) + 1))
            # A new broker may know nothing of what was sent before. If it does, it recognises the id.
            anew = self._handshakes.monitor in ready and self._is_connected_anew()
            if anew or waits_for_room:
                sent = self._send(frame, image, ends_at)
            if ready.get(self._dealer, 0) & zmq.POLLIN:
                answer = self._receive(frame.request_id)
                if answer is not None:
                    return answer
        raise DeadlineExceeded("the broker gave no answer in time")

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
        left_ms = max(1, round((ends_at - time.monotonic()) * 1000))
        header = encode(msgspec.structs.replace(frame, deadline_ms=left_ms))
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
            raise named(message.code, message.message, retry_after_s=message.retry_after_s)
        return Answer(message, [part.buffer for part in payload])
