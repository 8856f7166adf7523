"""How many requests may wait at a time: each holds a thread, so fewer than there are threads.

`/health` and `/metrics` ask for no place, and always find a thread.
"""

import threading

from wire.errors import Busy

BUSY_RETRY_S = 1.0


class Admission:
    """So many places, held by `with`; one request more is refused, never kept waiting for its turn."""

    def __init__(self, limit: int) -> None:
        self._free = threading.BoundedSemaphore(limit)

    def __enter__(self) -> None:
        """Hold one place. Raises `Busy`."""
        if not self._free.acquire(blocking=False):
            raise Busy("the service has as many requests as it takes at a time", retry_after_s=BUSY_RETRY_S)

    def __exit__(self, *_: object) -> None:
        self._free.release()
