"""Ends a worker whose frame takes too long: what hangs cannot be asked to stop.

The kernel's timer raises SIGALRM; faulthandler writes every thread's traceback to stderr from within
the signal, also while a library holds Python's lock, and the signal's default action then ends the
process. The supervisor starts another one, and the broker gives the frame to somebody else.
"""

import faulthandler
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Watchdog:
    """The process's one timer, from when this is made on."""

    def __init__(self) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Let what is in the block take `seconds` at most."""
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
