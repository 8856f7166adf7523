"""One rising sequence of numbers for epochs and generations, so that each is unique for ever."""


class Serials:
    """Numbers that only rise, over restarts too where `first` comes from a clock."""

    def __init__(self, *, first: int) -> None:
        self._next = first

    def draw(self) -> int:
        """The next number."""
        drawn, self._next = self._next, self._next + 1
        return drawn

    def rise_above(self, used: int) -> None:
        """Go on above a number that an earlier broker used: its clock may have been ahead of ours."""
        self._next = max(self._next, used + 1)
