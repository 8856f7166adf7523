"""How much of a video job may be under way: little, and nearly nothing while others wait for answers."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from wire.connection import Connection
from wire.errors import Busy, PoseError
from wire.exchange import Answer, Settled
from wire.messages import Buffer, Frame

#: How long a frame lets others go first: a job beside constant traffic still goes on.
_PATIENCE_S = 0.25
_PATIENCE_STEP_S = 0.02
_STATUS_TIMEOUT_S = 0.2


class Traffic:
    """What the jobs of this program have under way, and whether others have something; for any thread."""

    def __init__(self, broker: Connection) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._own = 0

    @contextmanager
    def exchange(self) -> Iterator["_Counted"]:
        """For one job's frames."""
        yield _Counted(self)

    def submit(self, frame: Frame, image: Buffer) -> "Future[Answer]":
        """Send one, and count it until its answer comes: before any status that does not count it."""
        future = self._broker.submit(frame, image)
        with self._lock:
            self._own += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: "Future[Answer]") -> None:
        with self._lock:
            self._own -= 1

    def others(self) -> bool:
        """Whether the broker has frames that are not ours; no, where it does not say."""
        try:
            status = self._broker.status(timeout_s=_STATUS_TIMEOUT_S)
        except PoseError:
            return False
        return status.queued_frames + status.in_flight > self._own


class _Counted:
    """A job's frames over the connection that `Traffic` asks: a `client.sending.Way`."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._settled: SimpleQueue[Settled] = SimpleQueue()

    def submit(self, message: Frame, payload: Sequence[Buffer], *, ends_at: float) -> None:  # noqa: ARG002
        """As `Way.submit`; the frame says itself how long it may take."""
        (image,) = payload
        future = self._traffic.submit(message, image)
        future.add_done_callback(lambda done: self._settled.put(_settled(message.request_id, done)))

    def turn(self, timeout_s: float) -> list[Settled]:
        """As `Way.turn`."""
        with suppress(Empty):
            return [self._settled.get(timeout=timeout_s)]
        return []


class JobTraffic:
    """What one job may send: a `client.under_way.Traffic`."""

    def __init__(self, traffic: Traffic, *, window_frames: int, window_bytes: int) -> None:
        self._traffic = traffic
        self._window_frames = window_frames
        self._window_bytes = window_bytes

    def has_room(self, frames: int, size_bytes: int) -> bool:
        """Within the window, and with others about only one at a time."""
        fits = frames <= self._window_frames and size_bytes <= self._window_bytes
        return fits and not self._traffic.others()

    def wait_for_turn(self, go_on: Callable[[], None]) -> None:
        """Let others go first, for a moment."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until and self._traffic.others():
            go_on()
            time.sleep(_PATIENCE_STEP_S)

    def came_back(self) -> None:
        """`Traffic` counts."""

    def busy_for_s(self, _error: Busy) -> float | None:
        """A job steps back as a whole: frames behind the refused one may have been taken."""
        return None


def _settled(request_id: bytes, done: "Future[Answer]") -> Settled:
    failure = done.exception()
    return Settled(request_id, failure if isinstance(failure, PoseError) else done.result())
