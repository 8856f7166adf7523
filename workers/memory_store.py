"""A store that lives as long as its process: for simulations of many workers on one memory."""

from collections import defaultdict

from msgspec.structs import replace

from wire.messages import HeldSession, Origin
from workers.store import (
    ALL_SESSIONS,
    Figures,
    Known,
    SessionHead,
    StoredAnswer,
    StoredSession,
    as_held,
    check_owner,
    claimed,
    is_expired,
    is_later,
    matching,
    newest,
    to_be_listed,
    tombstone,
)

#: A session and its generation: what names one video.
Video = tuple[str, int]


class Memory:
    """What all workers of one simulation have stored: a shelf of each, by its worker's name."""

    def __init__(self) -> None:
        self.shelves: defaultdict[str, dict[Video, StoredSession]] = defaultdict(dict)


class MemoryStore:
    """One worker's way to a `Memory`; implements `Store`."""

    def __init__(self, memory: Memory, worker: str, *, kept_answers: int, idle_s: float) -> None:
        self._memory = memory
        self._own = memory.shelves[worker]
        self._kept_answers = kept_answers
        self._idle_s = idle_s

    def take_over(
        self, session_id: str, generation: int, epoch: int, *, known: Known | None = None, now: float
    ) -> StoredSession | None:
        """As `Store.take_over` says."""
        video = (session_id, generation)
        records = self._records(video, now)
        counting = newest(record.head for record in records)
        check_owner(counting, epoch=epoch, known=known)
        if counting is None or counting.dropped:
            return None
        found = next(record for record in records if record.head is counting)
        self._own[video] = replace(found, head=claimed(counting, epoch=epoch, now=now))
        return found

    def commit(self, head: SessionHead, state: bytes, answer: StoredAnswer) -> bool:
        """As `Store.commit` says; memory is never full."""
        video = (head.session_id, head.generation)
        before = self._own.get(video)
        check_owner(before.head if before else None, epoch=head.epoch)
        goes_on = before is not None and before.head.folded + 1 == head.folded
        answers = [*(before.answers if before and goes_on else ()), answer]
        self._own[video] = StoredSession(head, state, answers[-self._kept_answers :])
        return True

    def forget(self, session_id: str, generation: int, *, epoch: int | None, now: float) -> None:
        """As `Store.forget` says."""
        video = (session_id, generation)
        counting = newest(record.head for record in self._records(video, now))
        if counting is not None and not counting.dropped and not is_later(counting, epoch):
            self._own[video] = StoredSession(tombstone(counting, now=now), b"", ())

    def held(self, *, now: float, max_sessions: int) -> list[HeldSession]:
        """As `Store.held` says."""
        frames = {
            (record.head.session_id, record.head.generation, record.head.epoch): [
                answer.seen for answer in record.answers
            ]
            for shelf in self._memory.shelves.values()
            for record in shelf.values()
        }
        heads = [record.head for shelf in self._memory.shelves.values() for record in shelf.values()]
        listed = to_be_listed(heads, now=now, idle_s=self._idle_s, max_sessions=max_sessions)
        return [
            as_held(head, frames[head.session_id, head.generation, head.epoch], now=now) for head in listed
        ]

    def find(self, *, session_id: str | None, origin: Origin | None, now: float) -> list[HeldSession]:
        """As `Store.find` says."""
        every = self.held(now=now, max_sessions=ALL_SESSIONS)
        return matching(every, session_id=session_id, origin=origin)

    def sweep(self, *, now: float) -> None:
        """As `Store.sweep` says."""
        for video in [video for video, record in self._own.items() if self._is_expired(record, now)]:
            del self._own[video]

    def figures(self) -> Figures:
        """As `Store.figures` says."""
        alive = [record for record in self._own.values() if not record.head.dropped]
        return Figures(len(alive), sum(len(record.state) for record in alive), evicted=0, failed_writes=0)

    def close(self) -> None:
        """Nothing to end."""

    def _records(self, video: Video, now: float) -> list[StoredSession]:
        records = [shelf[video] for shelf in self._memory.shelves.values() if video in shelf]
        return [record for record in records if not self._is_expired(record, now)]

    def _is_expired(self, record: StoredSession, now: float) -> bool:
        return is_expired(record.head, now=now, idle_s=self._idle_s)
