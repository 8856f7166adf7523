"""Pictures are decoded while the networks look at those before them: a thread of its own for what waits."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Ahead:
    """The thread; decoders and checksums let go of Python's lock. Leaving its work undone harms nobody."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")

    def begin(self, once: "Once[Made]") -> None:
        """Make it soon, in the thread, if nobody has begun to."""
        once.begin(self._pool)


class Once(Generic[Made]):
    """What is made of a picture: in the other thread where that has begun, else by whoever asks first."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._made: Future[Made] | None = None

    def begin(self, pool: ThreadPoolExecutor) -> None:
        """Have it made by `pool`, unless it is made already."""
        if self._made is None:
            self._made = pool.submit(self._make)

    def __call__(self) -> Made:
        """It, or what making it raises."""
        if self._made is None:
            self._made = Future()
            try:
                self._made.set_result(self._make())
            except Exception as error:
                self._made.set_exception(error)
        return self._made.result()
