"""What need not be done between two frames is done while the networks look: in a thread of its own.

The pictures of frames that wait are decoded and summed up before their turn; the frames that were answered
get their lines in the log.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Made = TypeVar("Made")


class Ahead:
    """The thread; decoders and checksums let go of Python's lock. Leaving its work undone harms nobody."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")

    def begin(self, *all_of: "Once[Any]") -> None:
        """Make them soon, one after the other, those that nobody has begun to make."""
        fresh = [once for once in all_of if once.claimed()]
        if fresh:
            self._pool.submit(_make, fresh)

    def later(self, work: Callable[[], object]) -> None:
        """Do it soon."""
        self._pool.submit(work)


class Once(Generic[Made]):
    """What is made of a picture: in the other thread where that has begun, else by whoever asks first."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._made: Future[Made] | None = None

    def claimed(self) -> bool:
        """Whether it is up to the caller now to `make` it."""
        if self._made is not None:
            return False
        self._made = Future()
        return True

    def make(self) -> None:
        """Make it, for those who ask."""
        assert self._made is not None
        try:
            self._made.set_result(self._make())
        except Exception as error:
            self._made.set_exception(error)

    def __call__(self) -> Made:
        """It, or what making it raises."""
        if self.claimed():
            self.make()
        assert self._made is not None
        return self._made.result()


def _make(all_of: list[Once[Any]]) -> None:
    for once in all_of:
        once.make()
