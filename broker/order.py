"""When the next frame of a session may be handed out.

Pure: it learns from the numbers that arrive how the client counts (its step) and how many
requests it keeps open (its concurrency), and says how long a frame may wait for a missing
predecessor. It does not hold frames and reads no clock.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

#: Hand-outs from which the step is learned: the smallest of so many differences.
_STEPS = 8

#: So many of an earlier broker's hand-outs tell it as well.
_TELLING_STEPS = 4

#: Arrivals from which the concurrency is learned: the greatest of so many counts.
_ARRIVALS = 32


class FrameOrder:
    """The order of one session's frames, learned from what came so far."""

    def __init__(self, *, gap_wait_s: float) -> None:
        self._gap_wait_s = gap_wait_s
        self.restart()

    def restart(self) -> None:
        """Begin a new video, of which nothing is known: its client may count and send otherwise."""
        self._last: int | None = None
        self._next = 0  # the greatest number before which nothing is missing
        self._steps: deque[int] = deque(maxlen=_STEPS)
        self._outstanding: deque[int] = deque(maxlen=_ARRIVALS)
        self._arrivals_since_peak = 0
        self._concurrency_known = False

    @property
    def newest(self) -> int | None:
        """The greatest frame number that went out or was stepped over; None: none yet."""
        return self._last

    def resume(self, numbers: Sequence[int]) -> None:
        """Go on with a video of which these went out before anybody here counted, oldest first.

        Few of them do not tell the client's step from holes: then the next gap is waited for.
        """
        steps = [later - earlier for earlier, later in pairwise(numbers) if later > earlier]
        if len(steps) >= _TELLING_STEPS:
            self._steps.extend(steps)
        for number in numbers:
            self._advance(number)

    def arrived(self, number: int, *, outstanding: int) -> None:
        """Note an arrival; `outstanding` counts the session's open requests, this one included."""
        # A frame that was overtaken was open before it got here: one more than could be counted.
        overtaken = self._last is not None and number < self._last and outstanding > 1
        concurrency = outstanding + overtaken
        before = self._outstanding
        if not before or (concurrency > before[-1] and concurrency > max(before)):
            self._concurrency_known = False
            self._arrivals_since_peak = 0
        self._outstanding.append(concurrency)
        self._arrivals_since_peak += 1
        if self._arrivals_since_peak >= _ARRIVALS:
            self._concurrency_known = True

    def wait_s(self, number: int, *, outstanding: int) -> float:
        """Longest time that frame `number` waits for its predecessors; 0: none.

        It counts from when the client could last send: from its arrival or from an answer.

        A client that has all the requests open which it ever has open cannot be sending
        another: what is missing then will not come.
        """
        if not self._is_gap(number):
            return 0.0
        if self._concurrency_known and outstanding >= max(self._outstanding, default=0):
            return 0.0
        return self._gap_wait_s

    def handed_out(self, number: int, *, outstanding: int) -> bool:
        """Note that frame `number` goes out; True if that steps over a gap."""
        gap = self._is_gap(number)
        if gap:
            # Nobody filled the gap while we waited, so what is open now is all there is.
            self._outstanding.clear()
            self._outstanding.append(outstanding)
            self._concurrency_known = True
        if self._last is not None and number > self._last:
            self._steps.append(number - self._last)
        self._advance(number)
        return gap

    def stepped_over(self, number: int) -> None:
        """Note that frame `number` will never go out, so that nobody waits for it."""
        self._advance(number)

    def _is_gap(self, number: int) -> bool:
        return number > self._next

    def _advance(self, number: int) -> None:
        self._last = number if self._last is None else max(self._last, number)
        self._next = self._last + min(self._steps, default=1)
