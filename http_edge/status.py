"""What is known of the service behind the edge, and how `/health` and `/warmup` say it.

One thread asks the broker again and again and keeps the answer, so that `/health` never
waits: it tells what was true less than a second ago, also while the broker is away.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from wire.connection import Connection
from wire.errors import DeadlineExceeded, PoseError
from wire.messages import Status

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: Time between two questions, and the longest wait for an answer: together under a second.
POLL_INTERVAL_S = 0.4
POLL_TIMEOUT_S = 0.5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The broker's last answer; None while it has not answered, or does so no longer."""

    status: Status | None
    ever_answered: bool

    @property
    def ready_workers(self) -> int:
        """Workers that take frames."""
        if self.status is None:
            return 0
        return sum(worker.state == "ready" for worker in self.status.workers)

    @property
    def trouble(self) -> str | None:
        """What keeps the service from being ready, as an operator would put it."""
        if self.status is not None:
            return None if self.ready_workers else self.status.load_error
        return "the broker does not answer" if self.ever_answered else "the broker has not answered yet"

    @property
    def state(self) -> Literal["ready", "warming_up", "not_ready"]:
        """`warming_up` as long as nothing says that readiness will not come by itself."""
        if self.ready_workers:
            return "ready"
        if self.status is None:
            return "not_ready" if self.ever_answered else "warming_up"
        return "not_ready" if self.status.load_error else "warming_up"


class StatusWatch:
    """Asks the broker for its status until closed, from a thread of its own."""

    def __init__(self, broker: Connection, *, on_broken: Callable[[], None]) -> None:
        """`on_broken` is called, from the thread, where the connection itself fails for good."""
        self._broker = broker
        self._on_broken = on_broken
        self._changed = threading.Condition()
        self._snapshot = Snapshot(status=None, ever_answered=False)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="status-watch", daemon=True)
        self._thread.start()

    @property
    def snapshot(self) -> Snapshot:
        """What was true at the last question."""
        return self._snapshot

    def wait_until_decided(self, timeout_s: float) -> Snapshot:
        """The first snapshot that is ready, or tells that loading failed; the last one after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._decided() and (left_s := deadline - time.monotonic()) > 0:
                self._changed.wait(left_s)
            return self._snapshot

    def close(self) -> None:
        """Stop asking."""
        self._closing.set()
        self._thread.join(timeout=POLL_INTERVAL_S + POLL_TIMEOUT_S)

    def _decided(self) -> bool:
        status = self._snapshot.status
        return self._snapshot.state == "ready" or (status is not None and status.load_error is not None)

    def _watch(self) -> None:
        while not self._closing.wait(POLL_INTERVAL_S):
            try:
                status = self._broker.status(timeout_s=POLL_TIMEOUT_S)
            except DeadlineExceeded:
                status = None
            except PoseError as error:
                if not self._closing.is_set():
                    log.critical("the connection to the broker is broken: %s", error)
                    self._on_broken()
                return
            with self._changed:
                ever = self._snapshot.ever_answered or status is not None
                self._snapshot = Snapshot(status=status, ever_answered=ever)
                self._changed.notify_all()


def health_body(snapshot: Snapshot) -> Json:
    """The answer of `/health`.

    A worker says READY only after its networks passed a self-test frame, so observer,
    tracker and detector are loaded together or not at all.
    """
    ready = snapshot.state == "ready"
    workers = snapshot.status.workers if snapshot.status else []
    loaded = "loaded" if ready else "not_loaded"
    return {
        "status": snapshot.state,
        "ready": ready,
        "models": {"hmr2": loaded, "phalp": loaded, "vitdet": loaded},
        "backend": workers[0].observer if workers else None,
        "tracker": workers[0].tracker if workers else None,
        "parts": workers[0].models if workers else {},
        "device": workers[0].device if workers else None,
        "workers": snapshot.ready_workers,
        "error": snapshot.trouble,
    }


def warmup_body(snapshot: Snapshot, *, expected_workers: int) -> Json:
    """The answer of `/warmup`: `partial` while some workers of the pool still load."""
    if snapshot.state != "ready":
        return {"status": "error", "message": snapshot.trouble or "no worker became ready in time"}
    count = snapshot.ready_workers
    return {
        "status": "ready" if count >= expected_workers else "partial",
        "message": f"{count} of {expected_workers} workers are ready",
    }
