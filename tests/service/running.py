"""What a test may do to a running service; everything goes through real processes and sockets."""

import subprocess
import sys
import time
from collections.abc import Callable

from client.private_service import PrivateService


def supervisorctl(service: PrivateService, *words: str) -> str:
    """What supervisorctl answers."""
    command = [sys.executable, "-m", "supervisor.supervisorctl"]
    command += ["-s", f"unix://{service.runtime_dir}/supervisor.sock", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def pids(service: PrivateService, program: str) -> list[int]:
    """Process ids of a program's running processes."""
    lines = [line.split() for line in supervisorctl(service, "status").splitlines()]
    return [
        int(words[words.index("pid") + 1].rstrip(","))
        for words in lines
        if words[0].startswith(program) and words[1] == "RUNNING"
    ]


def wait_for(condition: Callable[[], bool], *, within_s: float = 90.0) -> None:
    """Return when `condition` holds; fail the test if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {within_s} s"
        time.sleep(0.05)
