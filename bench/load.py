"""Frames over many connections, sent with as little work as can be: it shares the server's processors."""

import base64
import io
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from PIL import Image as PillowImage

from bench.render import frame_1080p

_JPEG_BYTES = 300_000
_TIMEOUT_S = 120.0
_RECEIVE_BYTES = 2**20
#: Digits that a frame number is written with, so that every request has one length.
_NUMBER_WIDTH = 12


@dataclass(slots=True)
class Load:
    """What came of it. waited_ms: of every answer. statuses: how many answers had each."""

    elapsed_s: float = 0.0
    waited_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    #: Statuses of answers that came with `Retry-After`.
    retried: Counter[int] = field(default_factory=Counter)
    broken: int = 0  # connections that ended in the middle of an answer


class Connection:
    """One keep-alive connection that sends a picture, over and over, under rising frame numbers."""

    def __init__(self, port: int, picture: bytes, *, headers: Mapping[str, str] | None = None) -> None:
        """Connects at the first request."""
        self._address = ("127.0.0.1", port)
        self._headers = dict(headers or {})
        self.carry(picture)
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._socket: socket.socket | None = None

    def carry(self, picture: bytes) -> None:
        """Send this picture from now on."""
        body = b'"image_base64": "' + base64.b64encode(picture) + b'", "visualize": false}'
        length = len(b'{"frame_number": , ') + _NUMBER_WIDTH + len(body)
        lines = {"Content-Type": "application/json", "Content-Length": str(length), **self._headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._head = f"POST /pose/hybrid HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode()
        self._body = body

    def ask(self, number: int) -> tuple[int, bool]:
        """The status of the answer, and whether it says when to come again. Raises `OSError`."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=_TIMEOUT_S)
        start = f'{{"frame_number": {number:>{_NUMBER_WIDTH}}, '.encode()
        _send_all(self._socket, self._head + start, self._body)
        return self._read(self._socket)

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _read(self, connection: socket.socket) -> tuple[int, bool]:
        view, got, end = memoryview(self._buffer), 0, -1
        while end < 0:
            received = connection.recv_into(view[got:])
            if not received:
                raise ConnectionError("the server hung up")
            got += received
            end = self._buffer.find(b"\r\n\r\n", 0, got)
        lines = bytes(view[:end]).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        left = end + 4 + int(headers["content-length"]) - got
        while left > 0:
            received = connection.recv_into(view[: min(left, _RECEIVE_BYTES)])
            if not received:
                raise ConnectionError("the server hung up")
            left -= received
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), "retry-after" in headers


def run(
    port: int,
    picture: bytes,
    *,
    connections: int,
    seconds: float,
    headers: Callable[[int], Mapping[str, str]] = lambda _: {},
    after_refusal_s: float = 0.0,
) -> Load:
    """Keep so many connections busy for a while, each with one request at a time.

    headers: of a connection, by its number. after_refusal_s: pause after a status other than 200.
    """
    load, lock = Load(), threading.Lock()
    started = time.perf_counter()

    def send(number: int) -> None:
        connection = Connection(port, picture, headers=headers(number))
        _keep_busy(connection, load, lock, ends_at=started + seconds, after_refusal_s=after_refusal_s)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.elapsed_s = time.perf_counter() - started
    return load


def _keep_busy(
    connection: Connection, load: Load, lock: threading.Lock, *, ends_at: float, after_refusal_s: float
) -> None:
    """One request after the other until `ends_at`, and what came of each; then hang up."""
    frame = 0
    while (asked_at := time.perf_counter()) < ends_at:
        try:
            status, retried = connection.ask(frame)
        except OSError:
            connection.close()
            with lock:
                load.broken += 1
            continue
        waited_ms = (time.perf_counter() - asked_at) * 1e3
        with lock:
            load.statuses[status] += 1
            load.retried[status] += retried
            if status == 200:
                load.waited_ms.append(waited_ms)
        frame += status == 200
        if status != 200:
            time.sleep(after_refusal_s)
    connection.close()


def picture_1080p() -> bytes:
    """The demo's first frame at 1080p, as the JPEG nearest to the usual size."""
    frame = PillowImage.fromarray(frame_1080p())
    pictures = []
    for quality in range(70, 90, 2):
        stream = io.BytesIO()
        frame.save(stream, "JPEG", quality=quality)
        pictures.append(stream.getvalue())
    return min(pictures, key=lambda picture: abs(len(picture) - _JPEG_BYTES))


def _send_all(connection: socket.socket, *parts: bytes) -> None:
    sent = connection.sendmsg(parts)
    rest = b"".join(parts)[sent:] if sent < sum(map(len, parts)) else b""
    if rest:
        connection.sendall(rest)
