"""Which video a frame without a session id belongs to.

Pure: decides from the caller's address, the picture's size, the frame number, the picture's
digest and the time. Knows no sockets and no pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from wire.messages import HeldSession, Source

#: How far behind its video's newest frame a frame may arrive: the largest pool of a client.
_REORDER = 16

#: Frames whose digests are remembered in each stream, to know a repeat from another video.
_REMEMBERED = 32

#: A video that was quiet for longer than this, and than twice its longest pause, lost its turn.
_TURN_S = 1.0

#: By how many frame numbers a video that lost its turn must continue better than one that did not.
_TURN_FRAMES = 8

_Key = tuple[str, int, int]  # client address, width, height


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a frame without a session id belongs."""

    session_id: str
    frame_number: int  # in that session; not always the request's own
    begins: bool  # it is the first frame of a new session


@dataclass(slots=True, eq=False)
class _Stream:
    session_id: str
    key: _Key
    active_at: float  # of the last arrival or answer, seconds
    longest_pause_s: float = 0.0
    digests: dict[int, int] = field(default_factory=dict)  # frame number -> digest, oldest first
    newest: int = -1  # greatest frame number so far
    has_zero: bool = False

    def add(self, number: int, digest: int, now: float) -> None:
        self.digests.pop(number, None)
        self.digests[number] = digest
        if len(self.digests) > _REMEMBERED:
            del self.digests[next(iter(self.digests))]
        self.newest = max(self.newest, number)
        self.has_zero = self.has_zero or number == 0
        self.longest_pause_s = max(self.longest_pause_s, now - self.active_at)
        self.active_at = max(self.active_at, now)

    def may_take(self, number: int) -> bool:
        """Whether `number` can be a frame of this video that has not come yet."""
        if number == 0:
            return not self.has_zero and self.newest <= _REORDER
        return number not in self.digests and number > self.newest - _REORDER

    def distance(self, number: int, *, now: float) -> int:
        """How badly `number` continues this video, in frames; 0: it is what comes next."""
        in_turn = now - self.active_at <= max(_TURN_S, 2 * self.longest_pause_s)
        return abs(number - (self.newest + 1)) + (0 if in_turn else _TURN_FRAMES)


class Streams:
    """The videos that are being sent without a session id.

    A frame goes to the stream of its address and size whose numbers it continues best. A new
    stream begins where a 0 meets only streams that have theirs, after a pause, and where a
    number continues nothing.
    """

    def __init__(self, *, new_session_id: Callable[[], str], pause_s: float) -> None:
        self._new_session_id = new_session_id
        self._pause_s = pause_s
        self._by_key: dict[_Key, list[_Stream]] = {}
        self._by_session: dict[str, _Stream] = {}

    def place(self, source: Source, frame_number: int, *, digest: int, now: float) -> Placed:
        """The session of a frame, which counts as arrived; `now` is in seconds.

        Raises `ThumbnailWanted` where the numbers alone do not decide and `source` has no thumbnail.
        """
        key = _key(source)
        self._drop_paused(key, now)
        streams = self._by_key.get(key, [])
        stream = next((s for s in streams if s.digests.get(frame_number) == digest), None) or self._best(
            streams, frame_number, now
        )
        begins = stream is None
        if stream is None:
            stream = self._begin(key, self._new_session_id(), now)
        stream.add(frame_number, digest, now)
        return Placed(stream.session_id, frame_number, begins)

    def recall(self, held: HeldSession, *, now: float) -> None:
        """Go on with a stream that an earlier broker began; one whose caller named it is none."""
        if held.source is None or held.session_id in self._by_session:
            return
        stream = self._begin(_key(held.source), held.session_id, now)
        for frame in held.frames:
            stream.add(frame.frame_number, frame.digest, now)

    def answered(self, session_id: str, *, now: float) -> None:
        """Note an answer: a caller that waited for us did not pause."""
        if stream := self._by_session.get(session_id):
            stream.active_at = max(stream.active_at, now)

    def forget(self, session_id: str) -> None:
        """Drop the stream of a session that is gone."""
        if stream := self._by_session.pop(session_id, None):
            others = [s for s in self._by_key[stream.key] if s is not stream]
            if others:
                self._by_key[stream.key] = others
            else:
                del self._by_key[stream.key]

    def _drop_paused(self, key: _Key, now: float) -> None:
        for stream in self._by_key.get(key, []):
            if now - stream.active_at > self._pause_s:
                self.forget(stream.session_id)

    def _best(self, streams: list[_Stream], frame_number: int, now: float) -> _Stream | None:
        # Of two videos that expect the same number, the one that is quiet for longer is next:
        # a client that sends both takes turns.
        takers = [s for s in streams if s.may_take(frame_number)]
        return min(takers, key=lambda s: (s.distance(frame_number, now=now), s.active_at), default=None)

    def _begin(self, key: _Key, session_id: str, now: float) -> _Stream:
        stream = _Stream(session_id=session_id, key=key, active_at=now)
        self._by_key.setdefault(key, []).append(stream)
        self._by_session[stream.session_id] = stream
        return stream


def _key(source: Source) -> _Key:
    return (source.client, source.width_px, source.height_px)
