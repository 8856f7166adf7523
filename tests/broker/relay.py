"""A TCP relay between a peer and the broker that keeps what passes, as a thief on the link would."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Relay:
    """Listens on `port` of the loopback until the `with` block ends."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._upstream: list[bytes] = []
        self._downstream: list[bytes] = []
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def upstream(self) -> bytes:
        """All that went to the broker."""
        return b"".join(self._upstream)

    @property
    def downstream(self) -> bytes:
        """All that came from the broker."""
        return b"".join(self._downstream)

    def __enter__(self) -> "Relay":
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        _shut(self._listener)
        self._threads[0].join()  # nobody is accepted any more
        for connection in self._open:
            _shut(connection)
        for thread in self._threads:
            thread.join()
        for connection in (self._listener, *self._open):
            connection.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self._to_port))
            self._open += [peer, broker]
            self._start(self._pump, peer, broker, self._upstream)
            self._start(self._pump, broker, peer, self._downstream)

    def _pump(self, source: socket.socket, target: socket.socket, kept: list[bytes]) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                kept.append(chunk)
                target.sendall(chunk)
        _shut(source)
        _shut(target)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
