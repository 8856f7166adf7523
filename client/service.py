"""Which service does the work: the one that runs, or a private one for as long as it is needed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from client.private_service import DidNotStart, private_service
from wire import processors
from wire.connection import Connection, connect
from wire.errors import PoseError
from wire.messages import Status
from wire.settings import Settings

#: How long a running broker may take to answer, and its networks to load.
_ANSWER_S = 2.0
_LOADED_WITHIN_S = 120.0
_LOOK_S = 0.2

#: A private service forgets no video of its own run before it is gone on with, if that is within a month.
_IDLE_S = 30 * 86_400


class NoService(Exception):
    """Nothing answers where the work is to go, or it cannot work."""


class Running(NamedTuple):
    """A service that takes frames."""

    endpoints: tuple[str, ...]  # of its brokers

    def status(self, broker: Connection, go_on: Callable[[], None]) -> Status:
        """How it is, once a worker is ready; `go_on` is called meanwhile. Raises `NoService` if none gets."""
        until = time.monotonic() + _LOADED_WITHIN_S
        while True:
            go_on()
            status = _status(broker)
            if status is not None and any(worker.state == "ready" for worker in status.workers):
                return status
            if status is not None and status.load_error:
                raise NoService(f"no worker can load: {status.load_error}")
            if time.monotonic() > until:
                raise NoService(
                    f"no worker at {', '.join(self.endpoints)} got ready within {_LOADED_WITHIN_S:.0f} s"
                )
            time.sleep(_LOOK_S)


@contextmanager
def service(
    endpoint: str | None,
    workers: str | None,
    settings: Settings,
    *,
    folder: Path,
    videos: int,
    console: Console,
    go_on: Callable[[], None],
) -> Iterator[Running]:
    """The service at `endpoint`, or where the settings say; where none answers, one of our own, if allowed.

    workers: None (allowed, unless an endpoint is given), `auto`, or their number, 0: not allowed. `folder` is
    where a private service keeps its sessions and its log. `go_on` is called while it starts; it raises where
    nobody wants the service any more. Raises `NoService`, `ValueError`.
    """
    addresses = [endpoint] if endpoint else settings.broker_addresses()
    count = _count(workers if workers is not None else "0" if endpoint else "auto", videos)
    with connect(addresses, settings) as broker:
        answers = _status(broker) is not None
    if answers:
        yield Running(tuple(addresses))
    elif not count:
        where = ", ".join(addresses)
        raise NoService(f"no service answers at {where}; start one (make serve), or let --workers auto do it")
    else:
        console.print(f"no service runs here: starting one with {count} worker{'s' * (count > 1)}")
        own = {
            "POSE_WORKERS": str(count),
            "POSE_THREADS": str(max(1, processors.usable() // count)),
            "POSE_STORE_DIR": str((folder / ".sessions").resolve()),
            "POSE_SESSION_IDLE_S": str(_IDLE_S),
        }
        try:
            with private_service(folder / "service.log", own, go_on=go_on) as running:
                yield Running((f"ipc://{running.runtime_dir}/frames.ipc",))
        except DidNotStart as error:
            raise NoService(str(error)) from None


def _count(workers: str, videos: int) -> int:
    """How many workers a private service gets."""
    if workers == "auto":
        return max(1, min(processors.usable(), videos))
    if not workers.isdigit():
        raise ValueError(f"--workers {workers}: auto, or a number")
    return int(workers)


def _status(broker: Connection) -> Status | None:
    try:
        return broker.status(timeout_s=_ANSWER_S)
    except PoseError:
        return None
