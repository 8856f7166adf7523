"""One rising sequence of numbers for epochs and generations, so that each is unique for ever."""


class Serials:
    """Numbers that only rise, over restarts too where `first` comes from a clock.

    Brokers that draw `step` apart, each from a remainder of its own, never draw the same.
    """

    def __init__(self, *, first: int, step: int = 1) -> None:
        self._next = first
        self._step = step

    def draw(self) -> int:
        """The next number."""
        drawn, self._next = self._next, self._next + self._step
        return drawn

    def rise_above(self, used: int) -> None:
        """Go on above a number that another broker used: its clock may have been ahead of ours."""
        if used >= self._next:
            self._next += ((used - self._next) // self._step + 1) * self._step
