"""How many frames of one video may be under way, found out by the broker's pushing back.

It opens by one with every answer, up to a limit, and closes to one frame when the broker is busy: then no
frame behind the refused one has been taken, and the video keeps its order.
"""

import threading
from collections.abc import Callable, Mapping

from wire.errors import Busy

#: More than a worker holds at a time (`POSE_WORKER_CREDITS`) only wait, and have to be sent again.
FRAMES = 8

#: A waiting frame holds back those behind it, for which the broker waits a second at most.
_LONGEST_BUSY_S = 0.25

_DEFAULT_QUEUE_BYTES = 256 * 2**20


class Window:
    """What one video may send: a `client.under_way.Traffic`."""

    def __init__(self, limits: Mapping[str, float], *, videos: int = 1) -> None:
        """`limits` are the broker's (`Status`), shared by so many videos; half is left to others."""
        share = 2 * videos
        queue_frames = int(limits.get("max_queue_frames", FRAMES * share))
        self._most = max(1, min(FRAMES, int(limits.get("max_session_frames", FRAMES)), queue_frames // share))
        self._most_bytes = int(limits.get("max_queue_bytes", _DEFAULT_QUEUE_BYTES)) // share
        self._lock = threading.Lock()
        self._frames = 1

    def has_room(self, frames: int, size_bytes: int) -> bool:
        """Whether so much may be under way."""
        with self._lock:
            return frames <= self._frames and size_bytes <= self._most_bytes

    def wait_for_turn(self, go_on: Callable[[], None]) -> None:
        """One frame may always go: the broker says if that is too much."""

    def came_back(self) -> None:
        """Open by one."""
        with self._lock:
            self._frames = min(self._frames + 1, self._most)

    def busy_for_s(self, error: Busy) -> float | None:
        """Close, and try again soon."""
        with self._lock:
            self._frames = 1
        return min(error.retry_after_s or _LONGEST_BUSY_S, _LONGEST_BUSY_S)
