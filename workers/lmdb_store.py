"""The store on this machine: one LMDB environment for each worker, written by it and read by all.

State and answer go in one transaction that is not synced: they survive the end of any process, kill -9
included, and not that of the machine. Workers share no lock but the one that a moment's registration
as a reader takes, once in each environment: one that is paused or killed in a write stops nobody.
"""

import logging
from pathlib import Path

import lmdb
from msgspec.structs import replace

from wire.messages import HeldSession, Origin, SeenFrame
from workers.lmdb_environments import Environments
from workers.lmdb_place import Unreadable
from workers.lmdb_records import (
    bury,
    delete_expired,
    every_head,
    name_of,
    put,
    read_answers,
    read_head,
    read_session,
    tick,
    used_bytes,
)
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

log = logging.getLogger(__name__)

#: Shares of the bound: past the first the longest quiet sessions go, until the second is met. LMDB needs the
#: rest: it overwrites nothing that the last transaction could read, and wants a state in one piece.
_FULL, _ROOMY = 0.75, 0.6

#: The largest state that is tried: it needs room beside the one that it takes the place of.
_LARGEST = 0.2


class LmdbStore:
    """One worker's way to the store in a directory; implements `Store`."""

    def __init__(
        self, root: Path, *, index: int, max_bytes: int, kept_answers: int, idle_s: float, now: float
    ) -> None:
        """Open the environment of worker `index`. Raises `OSError`, `lmdb.Error` where there can be none.

        What cannot be read in it is set aside, and the worker begins with nothing.
        """
        self._max_bytes = max_bytes
        self._kept_answers = kept_answers
        self._idle_s = idle_s
        self._sessions = 0
        self._evicted = 0
        self._failed_writes = 0
        self._environments = Environments(root, index=index, max_bytes=max_bytes)
        try:
            self._drop_expired(now)
            self._environments.shorten()
        except BaseException:
            self._environments.close()
            raise

    # --------------------------------------------------------------- what `Store` says

    def take_over(
        self, session_id: str, generation: int, epoch: int, *, known: Known | None = None, now: float
    ) -> StoredSession | None:
        """As `Store.take_over` says."""
        name = name_of(session_id, generation)
        places = self._places(name, now)
        counting = newest(places)
        check_owner(counting, epoch=epoch, known=known)
        if counting is None:
            return None
        found = self._environments.read(places[counting], lambda txn: read_session(txn, name))
        if found is None or found.head.dropped:
            return None
        if found.head.epoch != epoch:
            # Should this fail, nothing is lost yet: what was found still counts.
            self._write(name, replace(found, head=claimed(found.head, epoch=epoch, now=now)), now)
        return found

    def commit(self, head: SessionHead, state: bytes, answer: StoredAnswer) -> bool:
        """As `Store.commit` says."""
        name = name_of(head.session_id, head.generation)
        stored = self._write(name, StoredSession(head, state, (answer,)), head.stored_at)
        if not stored:
            self._failed_writes += 1
            self._disown(name, tombstone(head, now=head.stored_at))
        return stored

    def forget(self, session_id: str, generation: int, *, epoch: int | None, now: float) -> None:
        """As `Store.forget` says."""
        name = name_of(session_id, generation)
        counting = newest(self._places(name, now))
        if counting is None or counting.dropped or is_later(counting, epoch):
            return
        try:
            self._bury(name, tombstone(counting, now=now))
        except lmdb.Error as error:
            # It is quiet from now on, and goes as all that are.
            log.warning("session=%s could not be dropped from the store: %s", session_id, error)

    def held(self, *, now: float, max_sessions: int) -> list[HeldSession]:
        """As `Store.held` says."""
        places: dict[SessionHead, lmdb.Environment] = {}
        for environment, heads in self._environments.read_each(_heads):
            places |= dict.fromkeys(heads, environment)
        listed = to_be_listed(places, now=now, idle_s=self._idle_s, max_sessions=max_sessions)
        return [as_held(head, self._frames(places[head], head), now=now) for head in listed]

    def find(self, *, session_id: str | None, origin: Origin | None, now: float) -> list[HeldSession]:
        """As `Store.find` says."""
        every = self.held(now=now, max_sessions=ALL_SESSIONS)
        return matching(every, session_id=session_id, origin=origin)

    def sweep(self, *, now: float) -> None:
        """As `Store.sweep` says."""
        self._drop_expired(now)
        self._environments.remove_abandoned(now=now, idle_s=self._idle_s)

    def figures(self) -> Figures:
        """As `Store.figures` says."""
        used = self._environments.read(self._own, used_bytes) or 0
        return Figures(self._sessions, used, self._evicted, self._failed_writes)

    def close(self) -> None:
        """As `Store.close` says."""
        self._environments.close()

    @property
    def _own(self) -> lmdb.Environment:
        return self._environments.own

    # ------------------------------------------------------------------------ reading

    def _places(self, name: bytes, now: float) -> dict[SessionHead, lmdb.Environment]:
        """What is known of a video, and where."""
        places: dict[SessionHead, lmdb.Environment] = {}
        for environment, head in self._environments.read_each(lambda txn: read_head(txn, name)):
            if not is_expired(head, now=now, idle_s=self._idle_s):
                places[head] = environment
        return places

    def _frames(self, environment: lmdb.Environment, head: SessionHead) -> list[SeenFrame]:
        name = name_of(head.session_id, head.generation)
        answers = self._environments.read(environment, lambda txn: read_answers(txn, name)) or []
        return [answer.seen for answer in answers]

    # ------------------------------------------------------------------------ writing

    def _write(self, name: bytes, session: StoredSession, now: float) -> bool:
        """Put a session's state and newest answers; make room where there is none."""
        try:
            if len(session.state) > _LARGEST * self._max_bytes:
                raise lmdb.MapFullError(f"a state of {len(session.state)} bytes")
            if used_bytes(self._own) > _FULL * self._max_bytes:
                self._make_room(int(_ROOMY * self._max_bytes), keep=name, now=now)
            while not self._fits(name, session):
                # The room is in pieces, or a reader that ended in the middle keeps it from being used.
                self._own.reader_check()
                if not self._make_room(used_bytes(self._own) // 2, keep=name, now=now):
                    raise lmdb.MapFullError("nothing is left to drop")
        except lmdb.Error as error:
            log.error("session=%s could not be stored: %s", session.head.session_id, error)
            return False
        return True

    def _fits(self, name: bytes, session: StoredSession) -> bool:
        """Put it; False: there is no room."""
        try:
            with self._own.begin(write=True) as txn:
                is_new = put(txn, name, session, kept_answers=self._kept_answers)
        except lmdb.MapFullError:
            return False
        self._sessions += is_new
        return True

    def _drop_expired(self, now: float) -> None:
        try:
            self._own.reader_check()
            self._sessions = delete_expired(self._own, now=now, idle_s=self._idle_s)
        except lmdb.Error as error:
            log.warning("what is too old could not be dropped from the store: %s", error)

    def _bury(self, name: bytes, stone: SessionHead) -> None:
        with self._own.begin(write=True) as txn:
            was_there = bury(txn, name, stone)
        self._sessions -= was_there

    def _make_room(self, most_bytes: int, *, keep: bytes, now: float) -> int:
        """Drop the longest quiet sessions, but for `keep`, until `most_bytes` are used; how many went."""
        with self._own.begin() as txn:
            alive = [(name, head) for name, head in every_head(txn) if head and not head.dropped]
        count = 0
        for name, head in sorted(alive, key=lambda item: item[1].stored_at):
            if name != keep:
                self._bury(name, tombstone(head, now=now))
                count += 1
            if used_bytes(self._own) <= most_bytes:
                break
        self._evicted += count
        tick(self._own)
        log.warning("the store was full: %d sessions, the longest quiet, were dropped from it", count)
        return count

    def _disown(self, name: bytes, stone: SessionHead) -> None:
        """See to it that nobody goes on from a record that lacks a frame which was answered."""
        try:
            try:
                self._bury(name, stone)
            except lmdb.Error:
                # It cannot even be told what it must forget.
                self._environments.start_anew()
                self._sessions = 0
        except (lmdb.Error, Unreadable, OSError) as error:
            log.critical("the store cannot be written at all, sessions live in memory only: %s", error)


def _heads(txn: lmdb.Transaction) -> list[SessionHead]:
    """What is known of all videos in an environment, less what cannot be read."""
    return [head for _, head in every_head(txn) if head]
