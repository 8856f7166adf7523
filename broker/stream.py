"""One video that is being sent without a session id: what is remembered of it, and what a frame costs it.

Pure: time is an argument. Costs are minus log-likelihoods, in nats, so that they add up: how
well the frame's number continues the video, its picture, and the time of its coming.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, log, log1p

from broker.gallery import Details, Gallery

#: How far behind its video's newest frame a frame may arrive: the largest pool of a client.
REORDER = 16

#: Frames whose digests are remembered, frame 0's to the last, to know a repeat from another video.
_REMEMBERED = 64

#: Numbers from which the step is learned: the smallest of their differences.
_STEPS = 8

#: What the step may be as long as there are fewer.
_LONGEST_STEP = 4

#: Cost of each number that is left out, as long as they may be late.
_LEFT_OUT, _MANY_LEFT_OUT = 0.5, 8

#: A video that was quiet for longer than this, and than twice its longest pause, lost its turn.
_TURN_S = 1.0
_LOST_TURN = 3.0

#: Cost of a frame more than a pool ever had open, and how sure we get of a client with just one.
_FULL_POOL = 0.7
_SURE_AFTER = 20


@dataclass(slots=True, eq=False)
class Stream:
    """A video's frames so far. `number` is the frame number inside of the session."""

    session_id: str
    began_at: float  # seconds; before all time where an earlier broker saw it begin
    active_at: float  # of the last arrival or answer, seconds
    counts_zeros: bool = False  # its caller says 0 for every frame, and we count
    newest: int = -1  # greatest frame number so far
    size: int = 0  # frames that came, repeats not counted
    _step: int = 1
    _longest_pause_s: float = 0.0
    _digests: dict[int, int] = field(default_factory=dict)  # frame number -> digest, oldest first
    _gallery: Gallery = field(default_factory=Gallery)
    _most_open: int = 1  # frames that were unanswered at a time
    _since_more: int = 0  # frames that came since there were more than ever before

    @property
    def shows_something(self) -> bool:
        """Whether pictures of it are known."""
        return len(self._gallery) > 0

    def add(self, number: int, digest: int, picture: Details | None, *, now: float, unanswered: int) -> None:
        """A frame of this video; with it, so many are unanswered."""
        self._digests[number] = digest
        if len(self._digests) > _REMEMBERED:
            del self._digests[next(known for known in self._digests if known)]
        if picture is not None:
            self._gallery.add(number, picture)
        self.newest = max(self.newest, number)
        self.size += 1
        latest = sorted(self._digests)[-_STEPS:]
        self._step = min((after - before for before, after in pairwise(latest)), default=1)
        self._since_more = 0 if unanswered > self._most_open else self._since_more + 1
        self._most_open = max(self._most_open, unanswered)
        self.touch(now)

    def touch(self, now: float) -> None:
        """The video is alive."""
        self._longest_pause_s = max(self._longest_pause_s, now - self.active_at)
        self.active_at = max(self.active_at, now)

    def repeated(self, number: int, digest: int) -> int | None:
        """The frame that this very picture was before, as far as it is remembered; None: it is new."""
        if self.counts_zeros:
            return next((known for known, seen in self._digests.items() if seen == digest), None)
        return number if self._digests.get(number) == digest else None

    def shows_again(self, other: "Stream") -> bool:
        """Whether the newest frame that both remember is the same: the clip was sent twice."""
        both = self._digests.keys() & other._digests.keys()
        return bool(both) and self._digests[max(both)] == other._digests[max(both)]

    def may_take(self, number: int) -> bool:
        """Whether `number` can be a frame of this video that has not come yet."""
        if self.counts_zeros or number in self._digests:
            return False
        return self.newest <= REORDER if number == 0 else self.is_recent(number)

    def cost(self, number: int, picture: Details | None, *, now: float, unanswered: int) -> float:
        """Of taking a frame; `unanswered` counts this video's frames that wait for their answers."""
        if not self.may_take(number):
            return inf
        return (
            self._number_cost(number)
            + self._gallery.cost(number, picture)
            + self._time_cost(now, unanswered=unanswered)
        )

    def picture_cost(self, picture: Details | None) -> float:
        """Of the picture alone, as the next one."""
        return self._gallery.cost(self.newest + 1, picture)

    def has_turn(self, now: float) -> bool:
        """Whether frames of it have come lately, for its own pace."""
        return now - self.active_at <= max(_TURN_S, 2 * self._longest_pause_s)

    def is_recent(self, number: int) -> bool:
        """Whether `number` is not further behind the newest than frames overtake each other."""
        step = self._step if self.size >= _STEPS else _LONGEST_STEP
        return number > self.newest - REORDER * step

    def _number_cost(self, number: int) -> float:
        left_out = max(0.0, (number - self.newest) / self._step - 1)
        return _LEFT_OUT * min(left_out, _MANY_LEFT_OUT) + log1p(max(0.0, left_out - _MANY_LEFT_OUT))

    def _time_cost(self, now: float, *, unanswered: int) -> float:
        cost = 0.0
        if not self.has_turn(now):
            cost += _LOST_TURN
        if unanswered >= self._most_open:
            # The rule of succession: so often it was not more, so unlikely it is now. How many a
            # pool has open depends on what else it sends.
            alone = self._most_open == 1
            cost += log(2 + min(self._since_more, _SURE_AFTER)) if alone else _FULL_POOL
        return cost
