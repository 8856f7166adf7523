"""The sessions that this worker holds: their states, and the answers they gave last.

A frame that comes again, with the same picture, gets the answer it had; nothing is folded twice.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from isal import isal_zlib

from wire.messages import Buffer, History, Work

StateT = TypeVar("StateT")
AnswerT = TypeVar("AnswerT")

#: Frame number and digest of the picture: what makes a frame the same when it comes again.
FrameKey = tuple[int, int]


def digest_of(image: Buffer) -> int:
    """What tells one picture from another under the same frame number of one session; as the broker does."""
    return isal_zlib.crc32(image)


@dataclass(slots=True)
class Session(Generic[StateT, AnswerT]):
    """One video's state, and its last answers, the oldest first."""

    generation: int
    epoch: int
    history: History
    state: StateT
    answers: OrderedDict[FrameKey, AnswerT] = field(default_factory=OrderedDict)


class Sessions(Generic[StateT, AnswerT]):
    """Sessions by id, the least recently used forgotten first."""

    def __init__(self, *, max_sessions: int, kept_answers: int) -> None:
        self._max_sessions = max_sessions
        self._kept_answers = kept_answers
        self._held: OrderedDict[str, Session[StateT, AnswerT]] = OrderedDict()

    def open(self, work: Work, fresh: StateT) -> Session[StateT, AnswerT]:
        """The session that `work` belongs to; `fresh` is its state where none is held.

        A video that went on elsewhere, before or in between, comes without its past: `cold`.
        """
        session = self._held.get(work.session_id)
        if session is None or (session.generation, session.epoch) != (work.generation, work.epoch):
            history: History = "cold" if work.continues else "complete"
            session = Session(work.generation, work.epoch, history, fresh)
            self._held[work.session_id] = session
        self._held.move_to_end(work.session_id)
        while len(self._held) > self._max_sessions:
            self._held.popitem(last=False)
        return session

    def remember(self, session: Session[StateT, AnswerT], key: FrameKey, answer: AnswerT) -> None:
        """Keep an answer for a repeat of its frame."""
        session.answers[key] = answer
        while len(session.answers) > self._kept_answers:
            session.answers.popitem(last=False)

    def forget(self, session_id: str, generation: int) -> None:
        """Drop a session that nobody will ask for any more."""
        held = self._held.get(session_id)
        if held is not None and held.generation <= generation:
            del self._held[session_id]
