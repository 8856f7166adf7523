"""What need not be done between two frames is done while the networks look: in a thread of its own.

The pictures of frames that wait are decoded and summed up before their turn; the frames that were answered
get their lines in the log.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

Made = TypeVar("Made")
Task = Callable[[], object]


class Ahead:
    """The thread; decoders and checksums let go of Python's lock. Leaving its work undone harms nobody."""

    def __init__(self) -> None:
        self._put: list[Task] = []
        self._begun: SimpleQueue[Sequence[Task] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def put(self, *tasks: Task) -> None:
        """To be done soon: to begin with each wakes the thread, which costs more than most of them."""
        self._put += tasks

    def begin(self) -> None:
        """Do now what was put, one after the other."""
        if self._put:
            self._begun.put(self._put)
            self._put = []

    def close(self) -> None:
        """Do what was put, and end."""
        self.begin()
        self._begun.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._did_next():
            pass

    def _did_next(self) -> bool:
        """Whether there is more to come; nothing is held on to while it waits, for tasks hold pictures."""
        tasks = self._begun.get()
        for task in tasks or ():
            try:
                task()
            except Exception:
                log.exception("what is done beside the frames failed")
        return tasks is not None


class Once(Generic[Made]):
    """What is made of a picture, by whoever comes first: the other thread, or who asks for it."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[Made] = []  # or `_failure`
        self._failure: Exception | None = None

    def make(self) -> None:
        """Make it, for those who ask, unless that was done; wait where somebody is at it."""
        with self._lock:
            if self._made or self._failure:
                return
            try:
                self._made.append(self._make())
            except Exception as error:
                self._failure = error

    def __call__(self) -> Made:
        """It, or what making it raises."""
        self.make()
        if self._failure:
            raise self._failure
        return self._made[0]
