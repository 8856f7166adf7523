"""The videos that are being sent without a session id, and which of them a frame belongs to.

Pure: decides from the caller's address, the picture's size, the frame number, the picture's
digest and thumbnail, and the time. Knows no sockets and reads no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from broker.choice import Arrival, Caller, Moment
from broker.gallery import details
from broker.stream import Stream
from wire import thumbnail
from wire.errors import ThumbnailWanted
from wire.messages import HeldSession, Origin, Source

#: Streams of one address and size; the longest quiet one gives way to another.
_STREAMS = 16


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a frame without a session id belongs."""

    session_id: str
    frame_number: int  # in that session; not always the request's own
    begins: bool  # it is the first frame of a new session


class Streams:
    """All streams, by the address and the picture size that they come with.

    A frame goes to the stream that it continues at the least cost, or begins a new one where
    that costs less. While it is in doubt, and others are on their way that may settle it, it
    waits for a moment: a video's second frame does so until no other video's first one can be
    late, and then those come first of which we are sure.
    """

    def __init__(self, *, new_session_id: Callable[[], str], pause_s: float) -> None:
        self._new_session_id = new_session_id
        self._pause_s = pause_s
        self._callers: dict[Origin, Caller] = {}
        self._by_session: dict[str, tuple[Origin, Stream]] = {}

    def __len__(self) -> int:
        return len(self._by_session)

    def knows(self, origin: Origin) -> bool:
        """Whether a video from there is open, or a frame waits to be placed."""
        return origin in self._callers

    def place(
        self,
        source: Source,
        frame_number: int,
        *,
        digest: int,
        unanswered: Callable[[str], int],
        now: float,
    ) -> Placed:
        """The session of a frame, which counts as arrived; `now` is in seconds.

        `unanswered` tells of a session how many of its frames wait for their answers. Raises
        `ThumbnailWanted` where the numbers alone do not decide and `source` has no thumbnail, and
        `Undecided` where waiting may help; then the frame is to be placed again, or dropped.
        """
        key, at = source.origin, Moment(now, unanswered)
        self._drop_paused(key, at)
        caller = self._callers.setdefault(key, Caller())
        try:
            return self._place(caller, source, frame_number, digest, at)
        finally:
            self._tidy(key)

    def that_may_take(self, source: Source, number: int, *, digest: int) -> list[str]:
        """The sessions in which a frame could be placed now."""
        caller = self._callers.get(source.origin)
        return [
            stream.session_id
            for stream in (caller.streams if caller else ())
            if stream.may_take(number) or stream.repeated(number, digest) is not None
        ]

    def drop(self, source: Source, frame_number: int, *, digest: int) -> None:
        """A frame that was `Undecided` will not be placed any more."""
        if caller := self._callers.get(source.origin):
            caller.waiting.pop((frame_number, digest), None)
            self._tidy(source.origin)

    def recall(self, held: HeldSession, *, now: float) -> None:
        """Go on with a stream that an earlier broker began; one whose caller named it is none.

        One that was quiet for so long that it would have been dropped stays dropped.
        """
        source, active_at = held.source, now - held.quiet_s
        if source is None or held.session_id in self._by_session or held.quiet_s > self._pause_s:
            return
        stream = self._begin(source.origin, held.session_id, began_at=-inf, now=active_at)
        shape = thumbnail.shape(source.width_px, source.height_px)
        for seen in held.frames:
            picture = details(seen.thumbnail or b"", shape)
            stream.add(seen.frame_number, seen.digest, picture, now=active_at, unanswered=0)

    def answered(self, session_id: str, *, now: float) -> None:
        """Note an answer: a caller that waited for us did not pause."""
        if session_id in self._by_session:
            self._by_session[session_id][1].touch(now)

    def forget(self, session_id: str) -> None:
        """Drop the stream of a session that is gone."""
        if session_id in self._by_session:
            key, stream = self._by_session.pop(session_id)
            self._callers[key].remove(stream)
            self._tidy(key)

    def _place(self, caller: Caller, source: Source, number: int, digest: int, at: Moment) -> Placed:
        repeated = caller.repeated(number, digest)
        if repeated and caller.is_plain_repeat(*repeated, at=at):
            return self._again(*repeated, at)
        if source.thumbnail is None and caller.wants_thumbnail(number):
            raise ThumbnailWanted("frames of several videos could be meant: send a thumbnail")
        picture = details(source.thumbnail or b"", thumbnail.shape(source.width_px, source.height_px))
        taker = caller.continued(picture, at=at) if number == 0 else None
        if taker:
            taker.counts_zeros = True
            number = taker.newest + 1
        else:
            taker = caller.choose(Arrival(number, digest, picture), seen_before=bool(repeated), at=at)
        if repeated and not taker and number > 0:  # if the clip were sent again, its 0 would be here by now
            return self._again(*repeated, at)
        stream = taker or self._begin(source.origin, self._new_session_id(), began_at=at.now, now=at.now)
        caller.taken(stream, at=at)
        unanswered = at.unanswered(stream.session_id) + 1
        stream.add(number, digest, picture, now=at.now, unanswered=unanswered)
        return Placed(stream.session_id, number, begins=taker is None)

    def _again(self, stream: Stream, number: int, at: Moment) -> Placed:
        stream.touch(at.now)
        return Placed(stream.session_id, number, begins=False)

    def _begin(self, key: Origin, session_id: str, *, began_at: float, now: float) -> Stream:
        caller = self._callers.setdefault(key, Caller())
        if len(caller.streams) >= _STREAMS:
            self.forget(min(caller.streams, key=lambda stream: stream.active_at).session_id)
        stream = Stream(session_id=session_id, began_at=began_at, active_at=now)
        caller.streams.append(stream)
        self._by_session[session_id] = (key, stream)
        return stream

    def _drop_paused(self, key: Origin, at: Moment) -> None:
        caller = self._callers.get(key, Caller())
        for stream in list(caller.streams):
            if at.now - stream.active_at > self._pause_s and not at.unanswered(stream.session_id):
                self.forget(stream.session_id)

    def _tidy(self, key: Origin) -> None:
        caller = self._callers.get(key)
        if caller and not caller.streams and not caller.waiting:
            del self._callers[key]
