"""A service of one's own: started under supervisord for as long as it is needed, stopped afterwards.

It ends with the thread that started it, however that ends: see `wire.owned`.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client.backend import Backend, is_ready
from wire import owned

#: Where the programs are.
_ROOT = Path(__file__).parents[1]

#: Longest wait for the networks to load, for the programs to be there, and for them to stop.
_READY_WITHIN_S = 120.0
_BEGUN_WITHIN_S = 20.0
_STOPPED_WITHIN_S = 60.0

#: Settings that say where the operator's services and their data are, and who may come in. With them a
#: private service would take up the operator's videos, refuse us for want of a token, or open a port. How to
#: work, and where the model files are, is as the operator says.
OPERATORS: Final = frozenset(
    {
        "POSE_ADMIN_LISTEN",
        "POSE_FRAMES_ENDPOINT",
        "POSE_WORKERS_ENDPOINT",
        "POSE_BROKERS",
        "POSE_WORKER_BROKERS",
        "POSE_BROKER_NUMBER",
        "POSE_FRAMES_LISTEN",
        "POSE_WORKERS_LISTEN",
        "POSE_STORE_DIR",
        "POSE_STORE_URL",
        "POSE_JOBS_DIR",
        "POSE_VIDEO_ROOT",
        "POSE_TOKENS_FILE",
        "POSE_KEY_FILE",
        "POSE_BROKER_KEY_FILE",
        "POSE_ALLOWED_KEYS",
    }
)


class DidNotStart(Exception):
    """The service did not become ready; the end of its log says why."""


@dataclass(frozen=True, slots=True)
class PrivateService:
    """A running service on the loopback; its files are in `runtime_dir`, its output in `log`."""

    port: int
    runtime_dir: Path
    log: Path

    def backend(self, *, timeout_s: float = 120.0) -> Backend:
        """A new connection to it."""
        return Backend("127.0.0.1", self.port, timeout_s=timeout_s)


@contextmanager
def private_service(
    log: Path, settings: Mapping[str, str] | None = None, *, go_on: Callable[[], None] = lambda: None
) -> Iterator[PrivateService]:
    """A service that is ready to answer; `settings` are `POSE_` variables, beside those it inherits.

    `go_on` is called while it starts; it raises where nobody wants the service any more. Raises
    `DidNotStart`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="everyframe-") as runtime_dir, log.open("wb") as output:
        own = {"POSE_HOST": "127.0.0.1", "POSE_PORT": str(port), "POSE_RUNTIME_DIR": runtime_dir}
        process = subprocess.Popen(
            owned.command(signal.SIGTERM, "tools.serve"),
            cwd=_ROOT,
            env={**inherited(os.environ), **own, **(settings or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us, who then stop it
        )
        service = PrivateService(port, Path(runtime_dir), log)
        try:
            _wait_until_ready(service, process, go_on)
            yield service
        finally:
            _wait_until_begun(service, process)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=_STOPPED_WITHIN_S)


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What of an environment a private service gets: all but what is the operator's."""
    return {name: value for name, value in environ.items() if name not in OPERATORS}


def _wait_until_begun(service: PrivateService, process: subprocess.Popen[bytes]) -> None:
    """Wait until its programs are themselves; the edge is the last to start.

    What supervisord signals between fork and exec never hears of it, and is killed half a minute later.
    """
    deadline = time.monotonic() + _BEGUN_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", service.port), timeout=1):
            return
        time.sleep(0.1)


def _wait_until_ready(
    service: PrivateService, process: subprocess.Popen[bytes], go_on: Callable[[], None]
) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not is_ready("127.0.0.1", service.port):
        go_on()
        if time.monotonic() > deadline or process.poll() is not None:
            raise DidNotStart(f"the service did not become ready:\n{service.log.read_text()[-4000:]}")
        time.sleep(0.1)
