"""A real Redis server in a process of its own, to be filled, paused, killed and started again."""

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

PATIENCE_S = 60.0

_NAMES = ("valkey-server", "redis-server")


def program() -> str:
    """Where the server's program is; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("NOT CHECKED: the remote store. Install a server (apt-get install redis-server)")
    return found


class RedisServer:
    """A server on the loopback whose data are in `directory`."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._command = [
            program(),
            "--dir",
            str(directory),
            "--save",
            "",
            "--rdbcompression",
            "no",
            "--daemonize",
            "no",
            *options,
        ]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self, *options: str) -> None:
        """Start the process and wait until it answers, if only to refuse."""
        self.process = subprocess.Popen(
            [*self._command, "--port", str(self.port), "--bind", "127.0.0.1", *options],
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except OSError:
                assert time.monotonic() < until, "the server never came"
                time.sleep(0.005)
            else:
                return

    def tell(self, *command: str) -> Any:
        """What the server says to a command."""
        with redis.Redis(port=self.port, decode_responses=True, socket_timeout=PATIENCE_S) as client:
            return client.execute_command(*command)

    def pause(self) -> None:
        """Let it stand still."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a pause, or start it again."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        else:
            self.start()

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def slow_way_to(server: RedisServer, *, delay_s: float) -> Iterator[str]:
    """The URL of a way to the server on which everything that is asked takes so long."""

    def carry(source: socket.socket, target: socket.socket, delay_s: float) -> None:
        with suppress(OSError):
            while content := source.recv(2**20):
                time.sleep(delay_s)
                target.sendall(content)
        for end in (source, target):
            end.close()

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                caller, _ = listener.accept()
                callee = socket.create_connection(("127.0.0.1", server.port))
                for source, target, delay in ((caller, callee, delay_s), (callee, caller, 0.0)):
                    threading.Thread(target=carry, args=(source, target, delay), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def redis_server(directory: Path, *options: str) -> Iterator[RedisServer]:
    """A server that is killed at the end."""
    server = RedisServer(directory, *options)
    try:
        yield server
    finally:
        server.kill()
