"""Which frames of a video time went on without, counted.

Pure. A frame is missing while its number, by the client's own step, lies between numbers that
came, and it has not gone out itself; so a client that sends every fifth frame misses none, and
one that comes late is missing no longer. The count is of what is known now: the step is the
smallest one seen.
"""

from bisect import bisect_left
from collections.abc import Iterable

#: Numbers of a video that are remembered; a frame that comes later than this is not counted again.
_REMEMBERED = 256


class Receipts:
    """The frames of one video that were stepped over, and those of them that had expired."""

    def __init__(self, *, skipped: int = 0, expired: int = 0, numbers: Iterable[int] = ()) -> None:
        """Begin a video, or go on with one of which `numbers` went out before, and no others since."""
        self._seen = sorted(set(numbers))  # went out, or was given up
        self._given_up: dict[int, bool] = {}  # number -> it had expired
        self._floor = self._seen[0] if self._seen else 0  # what is below was counted for good
        self._step: int | None = None  # smallest so far
        for lower, upper in zip(self._seen, self._seen[1:], strict=False):
            self._learn(upper - lower)
        self._skipped_before = skipped - self._skipped_in_sight()
        self._expired_before = expired

    @property
    def skipped(self) -> int:
        """Frames that time went on without."""
        return max(0, self._skipped_before + self._skipped_in_sight())

    @property
    def expired(self) -> int:
        """Those of them whose deadline had passed."""
        return self._expired_before + sum(self._given_up.values())

    def went_out(self, number: int) -> None:
        """Frame `number` is handed out, for the first time or again."""
        self._given_up.pop(number, None)
        self._see(number)

    def gave_up(self, number: int, *, expired: bool) -> None:
        """Frame `number` will not go out: its deadline passed, or it is refused."""
        if number >= self._floor:
            self._given_up[number] = expired or self._given_up.get(number, False)
        self._see(number)

    def _skipped_in_sight(self) -> int:
        if not self._seen:
            return 0
        expected = (self._seen[-1] - self._seen[0]) // (self._step or 1) + 1
        return expected - len(self._seen) + len(self._given_up)

    def _see(self, number: int) -> None:
        place = bisect_left(self._seen, number)
        if number < self._floor or (place < len(self._seen) and self._seen[place] == number):
            return
        self._seen.insert(place, number)
        if place > 0:
            self._learn(number - self._seen[place - 1])
        if place + 1 < len(self._seen):
            self._learn(self._seen[place + 1] - number)
        if len(self._seen) > _REMEMBERED:
            self._settle_oldest()

    def _learn(self, step: int) -> None:
        self._step = step if self._step is None else min(self._step, step)

    def _settle_oldest(self) -> None:
        in_sight = self._skipped_in_sight()
        self._expired_before += self._given_up.pop(self._seen.pop(0), False)
        self._floor = self._seen[0]
        self._skipped_before += in_sight - self._skipped_in_sight()
