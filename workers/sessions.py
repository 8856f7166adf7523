"""The sessions that this worker folds: from memory while it owns them, else from the store, else fresh.

What a frame gave is stored before its answer may leave. A frame that comes again, with the same picture,
gets the answer it had; nothing is folded twice, by whomever it was folded first.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec
from isal import isal_zlib
from msgspec.structs import replace

from wire.messages import HeldSession, History, Options, Origin, SeenFrame, Work
from workers.store import (
    Known,
    SessionHead,
    Store,
    StoredAnswer,
    StoredSession,
    Superseded,
    claimed,
    is_later,
)

log = logging.getLogger(__name__)

_encode = msgspec.msgpack.Encoder().encode

ValueT = TypeVar("ValueT")
StateT = TypeVar("StateT")
AnswerT = TypeVar("AnswerT")

#: Number, digest of the picture, and what is asked of it: what makes a frame the same when it comes again.
FrameKey = tuple[int, int, int]

#: Sessions held in memory; the store has them all, and gives one back in less than a millisecond.
_HELD_SESSIONS = 64


def asked_of(options: Options) -> int:
    """What tells one question about a picture from another: the boxes and the target; 0: there are none.

    What else is wanted is drawn anew for each repeat and changes nothing of the session.
    """
    if options.boxes is None and options.target is None:
        return 0
    return isal_zlib.crc32(_encode((options.boxes, options.target)))


@dataclass(frozen=True, slots=True)
class Codec(Generic[ValueT]):
    """How values become bytes and come back; `decode` raises `ValueError` for what it cannot read."""

    encode: Callable[[ValueT], bytes]
    decode: Callable[[bytes], ValueT]


@dataclass(frozen=True, slots=True, eq=False)
class Given(Generic[AnswerT]):
    """An answer, with what was true of its session when it was given."""

    answer: AnswerT
    history: History
    skipped: int
    expired: int


@dataclass(slots=True, eq=False)
class Session(Generic[StateT, AnswerT]):
    """One video's state, and its last answers, the oldest first."""

    head: SessionHead
    state: StateT
    answers: OrderedDict[FrameKey, Given[AnswerT]] = field(default_factory=OrderedDict)


class Sessions(Generic[StateT, AnswerT]):
    """The sessions of one worker. `now` is in seconds of the wall clock, as the store's is.

    restored, cold: how many videos were taken over with their past, and how many without it. superseded:
    frames of videos that a later owner had by then.
    """

    def __init__(
        self,
        *,
        store: Store,
        start: Callable[[], StateT],
        states: Codec[StateT],
        answers: Codec[AnswerT],
        kept_answers: int,
        held_sessions: int = _HELD_SESSIONS,
    ) -> None:
        """`start` makes the state of a video that has seen nothing."""
        self._store = store
        self._start = start
        self._states = states
        self._answers = answers
        self._kept_answers = kept_answers
        self._held_sessions = held_sessions
        self._held: OrderedDict[str, Session[StateT, AnswerT]] = OrderedDict()
        self.restored = 0
        self.cold = 0
        self.superseded = 0

    def open(self, work: Work, *, now: float) -> Session[StateT, AnswerT]:
        """The session that `work` belongs to. Raises `Superseded` if it has a later owner.

        A video of which earlier frames went out, and whose state cannot be had, is `cold` for good.
        """
        session = self._held.get(work.session_id)
        if session is None or (session.head.generation, session.head.epoch) != (work.generation, work.epoch):
            with self._counting_superseded():
                session = self._take_over(work, session, now)
            self._held[work.session_id] = session
        self._held.move_to_end(work.session_id)
        while len(self._held) > self._held_sessions:
            self._held.popitem(last=False)
        return session

    def commit(
        self,
        session: Session[StateT, AnswerT],
        work: Work,
        key: FrameKey,
        *,
        state: StateT,
        answer: AnswerT,
        now: float,
    ) -> Given[AnswerT]:
        """Store what folding `work` gave; only then may the answer leave.

        An answer that could not be stored leaves as well: a caller is served better by a pose than by a
        failure. The store sees to it that nobody goes on from before it. Raises `Superseded`.
        """
        given = Given(answer, session.head.history, work.skipped, work.expired)
        frame_number, digest, asked = key
        seen = SeenFrame(frame_number, digest, work.source.thumbnail if work.source else None)
        head = _after(session.head, work, seen, now=now)
        stored = StoredAnswer(
            seen=seen,
            history=given.history,
            skipped=given.skipped,
            expired=given.expired,
            answer=self._answers.encode(answer),
            asked=asked,
        )
        with self._counting_superseded():
            self._store.commit(head, self._states.encode(state), stored)
        session.head, session.state = head, state
        session.answers[key] = given
        while len(session.answers) > self._kept_answers:
            session.answers.popitem(last=False)
        return given

    def forget(self, session_id: str, generation: int, *, epoch: int | None, now: float) -> None:
        """Drop a session that nobody will ask for any more, unless it has a later owner than `epoch`."""
        held = self._held.get(session_id)
        if held is not None and held.head.generation <= generation and not is_later(held.head, epoch):
            del self._held[session_id]
        self._store.forget(session_id, generation, epoch=epoch, now=now)

    def recalled(self, *, now: float, max_sessions: int) -> list[HeldSession]:
        """The sessions that a broker which has just started can go on with, the last used first."""
        return self._store.held(now=now, max_sessions=max_sessions)

    def find(self, *, session_id: str | None, origin: Origin | None, now: float) -> list[HeldSession]:
        """What a broker asks for that has not seen a session before."""
        return self._store.find(session_id=session_id, origin=origin, now=now)

    def sweep(self, *, now: float) -> None:
        """Drop what was quiet for too long from the store."""
        self._store.sweep(now=now)

    def figures(self) -> dict[str, int]:
        """What an operator may want to know, by name."""
        figures = self._store.figures()
        return {
            "sessions": figures.sessions,
            "used_bytes": figures.used_bytes,
            "evicted": figures.evicted,
            "failed_writes": figures.failed_writes,
            "restored": self.restored,
            "cold": self.cold,
            "superseded": self.superseded,
        }

    @contextmanager
    def _counting_superseded(self) -> Iterator[None]:
        try:
            yield
        except Superseded:
            self.superseded += 1
            raise

    def _take_over(
        self, work: Work, held: Session[StateT, AnswerT] | None, now: float
    ) -> Session[StateT, AnswerT]:
        known = None if work.known_epoch is None else Known(work.known_epoch, work.tried_epochs)
        stored = self._store.take_over(work.session_id, work.generation, work.epoch, known=known, now=now)
        if held is not None and _was_nobody_elses(held.head, stored, work):
            held.head = replace(held.head, epoch=work.epoch)
            return held
        if stored is None:
            return self._begin(work, now)
        if stored.head.folded < work.folded:
            # The store was away, or full, or is back with what it had before.
            missing = work.folded - stored.head.folded
            log.warning("session=%s: what is stored lacks %d answered frames", work.session_id, missing)
            return self._begin(work, now)
        return self._restore(stored, work.epoch, now)

    def _begin(self, work: Work, now: float) -> Session[StateT, AnswerT]:
        history: History = "complete"
        if work.continues:
            history = "cold"
            self.cold += 1
            log.warning("session=%s frame=%d starts cold", work.session_id, work.frame_number)
        head = SessionHead(
            work.session_id, work.generation, work.epoch, history, stored_at=now, folded=work.folded
        )
        return Session(head, self._start())

    def _restore(self, stored: StoredSession, epoch: int, now: float) -> Session[StateT, AnswerT]:
        head = claimed(stored.head, epoch=epoch, now=now)
        answers = self._readable_answers(stored)
        try:
            state = self._states.decode(stored.state)
        except ValueError as error:
            self.cold += 1
            log.warning("session=%s starts cold: %s: %s", head.session_id, type(error).__name__, error)
            return Session(replace(head, history="cold"), self._start(), answers)
        if head.epoch != stored.head.epoch:
            self.restored += 1
            log.info("session=%s restored with %d frames", head.session_id, head.folded)
        return Session(head, state, answers)

    def _readable_answers(self, stored: StoredSession) -> OrderedDict[FrameKey, Given[AnswerT]]:
        answers: OrderedDict[FrameKey, Given[AnswerT]] = OrderedDict()
        for kept in stored.answers:
            key = (kept.seen.frame_number, kept.seen.digest, kept.asked)
            try:
                answer = self._answers.decode(kept.answer)
            except ValueError as error:
                log.warning("session=%s frame=%d: %s", stored.head.session_id, key[0], error)
                continue
            answers[key] = Given(answer, kept.history, kept.skipped, kept.expired)
        return answers


def _after(head: SessionHead, work: Work, seen: SeenFrame, *, now: float) -> SessionHead:
    """What is known of a video once `work` was folded, whose frame is `seen`."""
    return replace(
        head,
        stored_at=now,
        folded=head.folded + 1,
        source=head.source if work.source is None else replace(work.source, thumbnail=None),
        skipped=work.skipped,
        expired=work.expired,
        first=seen if work.frame_number == 0 else head.first,
    )


def _was_nobody_elses(held: SessionHead, stored: StoredSession | None, work: Work) -> bool:
    """Whether nobody had the video since we held it: what is in memory is what is in the store, or newer.

    It is newer where a frame could not be stored; then the last result that the broker had was ours.
    """
    if held.generation != work.generation or held.folded < work.folded:
        return False
    if stored is not None and stored.head.epoch > held.epoch:
        return False
    if stored is not None and (stored.head.epoch, stored.head.folded) == (held.epoch, held.folded):
        return True
    return held.epoch == work.folded_under
