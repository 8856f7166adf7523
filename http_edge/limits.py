"""How much one token may ask for: frames and bytes a second, and sessions at a time.

Pure: times are arguments, seconds of one clock. A budget may be overdrawn once and is paid back before more
is given: one body larger than a second's share passes, and in the long run the rate is kept. Libraries for
limits count requests in windows; of bytes they would refuse such a body for ever, or keep an entry for each.
"""

from collections import OrderedDict

#: Seconds for which what was not used is saved up.
_SAVED_S = 2.0


class Budget:
    """So much a second."""

    def __init__(self, per_s: float, *, now: float) -> None:
        """`per_s` of 0 is no limit."""
        self._per_s = per_s
        self._most = max(1.0, per_s * _SAVED_S)
        self._left = self._most
        self._counted_at = now

    def take(self, cost: float, *, now: float) -> float:
        """Take `cost` and return 0; or take nothing and return the seconds until there is something again."""
        if not self._per_s:
            return 0.0
        self._left = min(self._most, self._left + (now - self._counted_at) * self._per_s)
        self._counted_at = now
        if self._left < (least := min(cost, 1.0)):
            return (least - self._left) / self._per_s
        self._left -= cost
        return 0.0


class OpenSessions:
    """The sessions that one token uses; those that are quiet for long count no more."""

    def __init__(self, most: int, *, idle_s: float) -> None:
        """`most` of 0 is no limit."""
        self._most = most
        self._idle_s = idle_s
        self._used_at: OrderedDict[str, float] = OrderedDict()  # the longest quiet first

    def __len__(self) -> int:
        return len(self._used_at)

    def refusal_s(self, session_id: str | None, *, now: float) -> float:
        """0 where a frame of the session may come; or the seconds until there is room for one more.

        The session of a frame that names none is known with its answer only, so such a frame may open one
        session too many, and none may open a second.
        """
        if not self._most:
            return 0.0
        self._forget_quiet(now)
        if session_id in self._used_at or len(self._used_at) < self._most + (session_id is None):
            return 0.0
        return max(1e-3, next(iter(self._used_at.values())) + self._idle_s - now)

    def used(self, session_id: str, *, now: float) -> None:
        """A frame belongs to that session."""
        if self._most:
            self._used_at[session_id] = now
            self._used_at.move_to_end(session_id)

    def _forget_quiet(self, now: float) -> None:
        while self._used_at and next(iter(self._used_at.values())) <= now - self._idle_s:
            self._used_at.popitem(last=False)
