"""A running service and what a test may do to it; everything goes through real processes and sockets."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from client.backend import Backend

READY_WITHIN_S = 90.0


@dataclass(frozen=True)
class Service:
    """One service under supervisord."""

    port: int
    runtime_dir: Path
    log: Path

    def backend(self) -> Backend:
        return Backend("127.0.0.1", self.port)

    def is_ready(self) -> bool:
        try:
            return self.backend().health().body["ready"]
        except OSError:
            return False  # the edge is not listening yet

    def supervisorctl(self, *words: str) -> str:
        socket_path = self.runtime_dir / "supervisor.sock"
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-s", f"unix://{socket_path}", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout

    def pids(self, program: str) -> list[int]:
        """Process ids of a program's running processes."""
        lines = [line.split() for line in self.supervisorctl("status").splitlines()]
        return [
            int(words[words.index("pid") + 1].rstrip(","))
            for words in lines
            if words[0].startswith(program) and words[1] == "RUNNING"
        ]


def wait_for(condition: Callable[[], bool], *, within_s: float = READY_WITHIN_S) -> None:
    """Return when `condition` holds; fail the test if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {within_s} s"
        time.sleep(0.05)
