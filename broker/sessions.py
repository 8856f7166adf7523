"""The sessions that are alive, and which of them a frame belongs to.

Pure: time is an argument. A session begins with its first frame and is forgotten when it was
quiet for long, or when it is the longest quiet one and another needs its place.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from broker.dispatch import Dispatch
from broker.jobs import Session, Video
from broker.order import FrameOrder
from broker.outbox import Outbox
from broker.receipts import Receipts
from broker.serials import Serials
from broker.streams import Streams
from wire.errors import Busy
from wire.messages import Frame, HeldSession
from wire.settings import Settings


class SessionFull(Busy):
    """The session of a frame has as many requests open as it may. frame_number: in it."""

    def __init__(self, session: Session, frame_number: int) -> None:
        super().__init__(f"session {session.session_id} has {session.outstanding} frames waiting")
        self.session = session
        self.frame_number = frame_number


class Sessions:
    """At most `max_sessions`, longest quiet first."""

    def __init__(
        self, settings: Settings, outbox: Outbox, *, streams: Streams, serials: Serials, dispatch: Dispatch
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._streams = streams
        self._serials = serials
        self._dispatch = dispatch
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._owned_elsewhere: dict[str, int] = {}  # sessions that are learnt anew -> the epoch that has them

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def streams(self) -> int:
        """Videos whose callers name no session."""
        return len(self._streams)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def is_stranger(self, frame: Frame) -> bool:
        """Whether nothing is known of where the frame belongs: another broker may know it."""
        if frame.session_id is None:
            return not self._streams.knows(frame.source.origin)
        return frame.session_id not in self._sessions

    def place(self, frame: Frame, *, digest: int, now: float) -> tuple[Session, int]:
        """The session of a frame that arrived, and the frame's number in it.

        Raises `Busy` past a bound (`SessionFull`), `ThumbnailWanted`, and `Undecided`.
        """
        if frame.session_id is None:
            session, number = self._place_unnamed(frame, digest, now)
        else:
            session, number = self._find_or_begin(frame.session_id, now), frame.frame_number
        if session.outstanding >= self._settings.max_session_frames:
            raise SessionFull(session, number)
        if number == 0 and frame.session_id is not None:
            self._see_zero(session, digest)
        self._touch(session, now)
        return session, number

    def that_may_take(self, frame: Frame, *, digest: int) -> list[Session]:
        """The session that the frame names; without a name, those in which it could be placed now."""
        if frame.session_id is not None:
            ids = [frame.session_id]
        else:
            ids = self._streams.that_may_take(frame.source, frame.frame_number, digest=digest)
        return [self._sessions[session_id] for session_id in ids if session_id in self._sessions]

    def give_up(self, frame: Frame, *, digest: int) -> None:
        """A frame that was `Undecided` is not waited for any more."""
        self._streams.drop(frame.source, frame.frame_number, digest=digest)

    def answered(self, session: Session, *, now: float) -> None:
        """A frame of it was answered."""
        session.answered_at = now
        if session.is_gone:
            return
        self._touch(session, now)
        self._streams.answered(session.session_id, now=now)

    def recall(self, held: Sequence[HeldSession], *, now: float) -> None:
        """Go on with the sessions that an earlier broker left in the workers' store."""
        by_age = sorted(held, key=lambda session: session.epoch)
        for known in by_age:
            self._serials.rise_above(max(known.epoch, known.generation))
        taken = by_age[-self._settings.max_sessions :]
        for known in sorted(taken, key=lambda session: session.quiet_s, reverse=True):
            self._sessions[known.session_id] = self._recalled(known, now)
            self._streams.recall(known, now=now)
        self._outbox.counters["sessions_recalled"] += len(self._sessions)

    def learn(self, held: Sequence[HeldSession], *, now: float) -> None:
        """Go on with sessions of which another broker may know more than this one did."""
        for known in held:
            self._serials.rise_above(max(known.epoch, known.generation))
            if known.session_id in self._sessions:
                continue
            try:
                self._make_room()
            except Busy:
                return
            self._sessions[known.session_id] = self._recalled(known, now)
            self._streams.recall(known, now=now)
            self._outbox.counters["sessions_recalled"] += 1

    def superseded(self, session: Session, *, by: int) -> None:
        """Another broker has the session, under a later epoch: what is known here is outdated."""
        if not session.is_gone:
            self._outbox.counters["sessions_superseded"] += 1
            session.is_gone = True
            self._owned_elsewhere[session.session_id] = by
            self._dispatch.let_go(session)
            self._streams.forget(session.session_id)
            del self._sessions[session.session_id]

    def forget_idle(self, *, now: float) -> None:
        """Forget who was quiet for too long."""
        idle = []
        for session in self._quiet():
            if now - session.active_at <= self._settings.session_idle_s:
                break
            idle.append(session)
        for session in idle:
            self._forget(session)

    def _place_unnamed(self, frame: Frame, digest: int, now: float) -> tuple[Session, int]:
        placed = self._streams.place(
            frame.source, frame.frame_number, digest=digest, unanswered=self._unanswered, now=now
        )
        try:
            return self._find_or_begin(placed.session_id, now), placed.frame_number
        except Busy:
            if placed.begins:
                self._streams.forget(placed.session_id)
            raise

    def _unanswered(self, session_id: str) -> int:
        session = self._sessions.get(session_id)
        return session.outstanding if session else 0

    def _find_or_begin(self, session_id: str, now: float) -> Session:
        session = self._sessions.get(session_id)
        if session is None:
            self._make_room()
            session = self._sessions[session_id] = Session(
                session_id=session_id,
                order=self._order(),
                video=Video(self._serials.draw()),
                active_at=now,
                known_epoch=self._owned_elsewhere.pop(session_id, 0),
            )
        return session

    def _see_zero(self, session: Session, digest: int) -> None:
        """Note frame 0, which may begin another video of a session that its caller named.

        The first 0 is merely late where other frames are open that may have overtaken it. The
        same picture is a repeat while others are open or a worker still keeps its answer.
        """
        newest = session.order.newest
        if session.video.zero_digest is None:
            same_video = newest is None or session.outstanding > 0
        else:
            kept = session.video.frames_out <= self._settings.kept_answers
            same_video = session.video.zero_digest == digest and (kept or session.outstanding > 0)
        if not same_video:
            session.begin_video(self._serials.draw())
        session.video.zero_digest = digest

    def _recalled(self, known: HeldSession, now: float) -> Session:
        order = self._order()
        order.resume([frame.frame_number for frame in known.frames])
        # Frame 0 may be there for its digest alone, long before the others.
        numbers = {frame.frame_number for frame in known.frames}
        receipts = Receipts(
            skipped=known.skipped,
            expired=known.expired,
            numbers=numbers - {0} if len(numbers) > 1 else numbers,
        )
        zero_digest = next((frame.digest for frame in known.frames if frame.frame_number == 0), None)
        return Session(
            session_id=known.session_id,
            order=order,
            video=Video(known.generation, receipts, frames_out=len(numbers), zero_digest=zero_digest),
            active_at=now - known.quiet_s,
            epoch=known.epoch,
            known_epoch=max(known.epoch, self._owned_elsewhere.pop(known.session_id, 0)),
            had_owner=True,
        )

    def _order(self) -> FrameOrder:
        return FrameOrder(gap_wait_s=self._settings.gap_wait_s)

    def _touch(self, session: Session, now: float) -> None:
        session.active_at = now
        self._sessions.move_to_end(session.session_id)

    def _quiet(self) -> Iterator[Session]:
        return (session for session in self._sessions.values() if session.quiet)

    def _make_room(self) -> None:
        if len(self._sessions) < self._settings.max_sessions:
            return
        quietest = next(self._quiet(), None)
        if quietest is None:
            raise Busy(f"{len(self._sessions)} sessions have frames waiting")
        self._forget(quietest)

    def _forget(self, session: Session) -> None:
        self._outbox.counters["sessions_forgotten"] += 1
        self._dispatch.forget(session)
        self._streams.forget(session.session_id)
        del self._sessions[session.session_id]
