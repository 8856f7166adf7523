"""Two calls at a time, on two cores.

Networks and OpenCV let go of Python's lock while they work, so a second thread has a core of its own.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

Item = TypeVar("Item")
One = TypeVar("One")
Other = TypeVar("Other")


class Together:
    """Runs pairs of calls, with a second thread where `threads` allows it. Not thread-safe itself."""

    def __init__(self, *, threads: int) -> None:
        self._second = ThreadPoolExecutor(1, "together") if threads > 1 else None

    def __call__(self, one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
        """What `one`, perhaps in the second thread, and `other`, in this one, return.

        Both have ended when this returns or raises; neither may call this object.
        """
        if self._second is None:
            return one(), other()
        first = self._second.submit(one)
        try:
            last = other()
        finally:
            wait([first])
        return first.result(), last

    def in_pairs(
        self,
        items: Sequence[Item],
        one: Callable[[Item], One],
        other: Callable[[Item], One],
        *,
        last: Callable[[Item], One],
    ) -> list[One]:
        """What is found for each of `items`, two at a time; `last` is for who is left without another."""
        found: list[One] = []
        for first, second in zip(items[::2], items[1::2], strict=False):
            found += self(partial(one, first), partial(other, second))
        return found + [last(item) for item in items[len(found) :]]
