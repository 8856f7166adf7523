"""Which of a caller's streams takes a frame: the least cost, or a moment's patience.

Pure: time is an argument. `streams.py` keeps the streams, `stream.py` says what a frame costs each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, log
from typing import NamedTuple

from broker.gallery import Details
from broker.stream import REORDER, Stream

#: As long as a stream has fewer frames, each is looked at: another may begin beside it.
_YOUNG_FRAMES = 16

#: Numbers that a pool which counts in steps may send before its video's 0 is here.
_EARLY = 32

#: Streams whose numbers are further apart than this don't meet soon.
_MEETING = 64

#: What a new stream costs that begins with frame 0, with one that pools send at once, with another.
_NEW, _NEW_WITHOUT_0, _NEW_ANYWHERE = 4.0, 10.0, 13.0

#: What a frame may cost a stream if it was placed in another one long since.
_SEEN_BEFORE = 2.0

#: What the picture may cost a frame 0 that continues another one, and one that continues several.
_CONTINUES_ONE, _CONTINUES_SEVERAL = 1.2, 2.5

#: How sure we get, in frames, of a client that takes turns; a lost frame breaks the best habit.
_SURE_AFTER = 20

#: Cost past which a frame is unlike all that there is.
_STRANGE = 4.0

#: For so long after a video began, others that began with it may still send their first frames.
_BEGINNING_S = 0.1

#: How long a frame waits for its video's 0 at most: that nothing takes, and that is unlike all that
#: would, while others are open and while none is.
_ORPHAN_S, _STRANGER_S = 1.0, (0.3, 0.1)

#: How long a frame that two streams could take waits at most; and how long where nothing else is open.
_DOUBT_S, _LONELY_S = 0.25, 0.02
_LOOK_AGAIN_S = 0.01

#: By how much the best stream must be better than the next one; less and less as the frame waits.
_CLEAR = 2.0


class Undecided(Exception):
    """More will be known soon: the frame is to be placed again at `until`, seconds."""

    def __init__(self, until: float) -> None:
        super().__init__(until)
        self.until = until


class Moment(NamedTuple):
    """When a frame is placed, and what is open then."""

    now: float  # seconds
    unanswered: Callable[[str], int]  # session id -> its frames that wait for their answers


class Arrival(NamedTuple):
    """What is known of a frame."""

    number: int
    digest: int
    picture: Details | None


class _Waiting(NamedTuple):
    arrival: Arrival
    since: float  # seconds


@dataclass(slots=True)
class Caller:
    """One address and picture size: its streams, and the frames that wait to be placed."""

    streams: list[Stream] = field(default_factory=list)
    waiting: dict[tuple[int, int], _Waiting] = field(default_factory=dict)  # by number and digest
    _last: Stream | None = None  # that got a frame
    _last_at: float = inf  # seconds
    _turns: int = 0  # frames since a stream got two in a row, as long as they came one by one

    def taken(self, stream: Stream, *, at: Moment) -> None:
        """The stream gets a frame."""
        changes = stream is not self._last
        self._turns = self._turns + 1 if changes and self._all_answered(at) else 0
        self._last, self._last_at = stream, at.now

    def remove(self, stream: Stream) -> None:
        """The stream ends."""
        self.streams.remove(stream)
        if self._last is stream:
            self._last = None

    def repeated(self, number: int, digest: int) -> tuple[Stream, int] | None:
        """Where this very frame was placed before: the stream that came last, and the number."""
        for stream in sorted(self.streams, key=lambda stream: stream.active_at, reverse=True):
            known = stream.repeated(number, digest)
            # A clip that is sent a second time is another video, not a repeat of its first showing.
            others = (other for other in self.streams if other is not stream)
            if known is not None and not any(
                other.may_take(number) and other.shows_again(stream) for other in others
            ):
                return stream, known
        return None

    def is_plain_repeat(self, stream: Stream, number: int, *, at: Moment) -> bool:
        """Whether frame `number` is sent again so soon that nobody else's frame can be meant."""
        goes_on = number == 0 or stream.has_turn(at.now) or at.unanswered(stream.session_id) > 0
        return stream.is_recent(number) and goes_on

    def wants_thumbnail(self, number: int) -> bool:
        """Whether the numbers alone do not decide, now or soon."""
        if number == 0 or not self.streams:
            return True
        meeting = [stream for stream in self.streams if abs(number - stream.newest) <= _MEETING]
        if len(meeting) != 1:
            return True
        (stream,) = meeting
        return stream.size < _YOUNG_FRAMES or not stream.may_take(number) or number > stream.newest + REORDER

    def continued(self, picture: Details | None, *, at: Moment) -> Stream | None:
        """The stream that a frame 0 continues, if its client says 0 for every frame.

        Two videos that begin at the same time must not be taken for one, so the first one's 0 must
        be answered, and the pictures be neighbours.
        """
        if picture is None:
            return None
        costs = {
            stream: stream.picture_cost(picture)
            for stream in self.streams
            if stream.shows_something
            and (stream.counts_zeros or (stream.newest == 0 and not at.unanswered(stream.session_id)))
        }
        near = [
            stream
            for stream, cost in costs.items()
            if cost <= (_CONTINUES_SEVERAL if stream.counts_zeros else _CONTINUES_ONE)
        ]
        return min(near, key=costs.__getitem__, default=None)

    def choose(self, arrival: Arrival, *, seen_before: bool, at: Moment) -> Stream | None:
        """The stream that takes the frame; None: a new one, or that which has it already.

        `seen_before`: one has it, long since. Raises `Undecided`.
        """
        ranked = self._ranked(arrival, at)
        place = (arrival.number, arrival.digest)
        waiting = self.waiting.pop(place, _Waiting(arrival, at.now))
        until = self._waits_until(arrival, ranked, since=waiting.since, at=at)
        if until > at.now:
            self.waiting[place] = _Waiting(arrival, waiting.since)
            raise Undecided(until)
        if ranked and ranked[0][0] < (_SEEN_BEFORE if seen_before else _new_cost(arrival.number)):
            return ranked[0][1]
        return None

    def _ranked(self, arrival: Arrival, at: Moment) -> list[tuple[float, Stream]]:
        """The streams that may take the frame, with their costs, the best first."""
        costs = self._costs(arrival, at)
        for rival, _ in self.waiting.values():
            if rival.number == arrival.number and rival.digest != arrival.digest:
                new = _new_cost(rival.number)
                theirs = self._costs(rival, at)
                best = min([new, *theirs.values()])
                for stream in costs:  # what it costs the other frame of this number to go elsewhere
                    others = [cost for taker, cost in theirs.items() if taker is not stream]
                    costs[stream] += min([new, *others]) - best
        return sorted(((cost, stream) for stream, cost in costs.items()), key=lambda pair: pair[0])

    def _costs(self, arrival: Arrival, at: Moment) -> dict[Stream, float]:
        number, picture = arrival.number, arrival.picture
        # A pause in which nothing came, of any stream, tells of none that it lost its turn.
        now = min(at.now, self._last_at)
        costs = {
            stream: stream.cost(number, picture, now=now, unanswered=at.unanswered(stream.session_id))
            for stream in self.streams
            if stream.may_take(number)
        }
        if self._last in costs and self._all_answered(at):
            # Who sends frames one at a time, of several videos in turns, goes on to do so.
            costs[self._last] += log(1 + min(self._turns, _SURE_AFTER) / 2)
        return costs

    def _waits_until(
        self, arrival: Arrival, ranked: list[tuple[float, Stream]], *, since: float, at: Moment
    ) -> float:
        """Until when the frame waits for others, seconds; not after now: it does not."""
        number, now = arrival.number, at.now
        # Nor does a frame that others overtake by so much that its own video would not take it soon.
        if number == 0 or (ranked and number < ranked[0][1].newest - REORDER // 2):
            return now
        alone = self._all_answered(at)
        if number < _EARLY and (not ranked or ranked[0][0] > _STRANGE):
            patience_s = _STRANGER_S[alone] if ranked else _ORPHAN_S
            return min(since + patience_s, now + _LOOK_AGAIN_S)
        settled = since
        if number < _EARLY and not alone:
            settled = max(since, *(stream.began_at + _BEGINNING_S for stream in self.streams))
        if settled > now or arrival.picture is None or len(ranked) < 2:
            return settled
        patience_s = _LONELY_S if alone else _DOUBT_S
        lead = ranked[1][0] - ranked[0][0]
        if lead < _CLEAR * (1 - (now - settled) / patience_s):
            return min(settled + patience_s, now + _LOOK_AGAIN_S)
        return now

    def _all_answered(self, at: Moment) -> bool:
        """Whether nothing is open: then the client may be sending one frame at a time."""
        return not self.waiting and not any(at.unanswered(stream.session_id) for stream in self.streams)


def _new_cost(number: int) -> float:
    if number == 0:
        return _NEW
    return _NEW_WITHOUT_0 if number < _EARLY else _NEW_ANYWHERE
