"""How much of a video job may be under way: little, and nearly nothing while others wait for answers."""

import threading
import time
from collections.abc import Callable

from wire.connection import Connection
from wire.errors import Busy, PoseError

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

    def sent(self) -> None:
        """One more frame of ours is under way."""
        with self._lock:
            self._own += 1

    def came_back(self) -> None:
        """One less."""
        with self._lock:
            self._own -= 1

    def others(self) -> bool:
        """Whether the broker has frames that are not ours; no, where it does not say."""
        try:
            status = self._broker.status(timeout_s=_STATUS_TIMEOUT_S)
        except PoseError:
            return False
        return status.queued_frames + status.in_flight > self._own


class JobTraffic:
    """What one job may send: a `client.sending.Traffic`."""

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

    def sent(self) -> None:
        """One more."""
        self._traffic.sent()

    def came_back(self) -> None:
        """One less."""
        self._traffic.came_back()

    def busy_for_s(self, _error: Busy) -> float | None:
        """A job steps back as a whole: frames behind the refused one may have been taken."""
        return None
