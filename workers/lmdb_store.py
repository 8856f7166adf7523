"""The store on this machine: one LMDB environment for each worker, written by it and read by all.

State and answer go in one transaction that is not synced: they survive the end of any process, kill -9
included, and not that of the machine. Workers share no lock but the one that a moment's registration
as a reader takes, once in each environment: one that is paused or killed in a write stops nobody.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import lmdb
from msgspec.structs import replace

from wire.messages import HeldSession, Origin, SeenFrame
from workers import lmdb_place
from workers.lmdb_place import Place, Unreadable
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

T = TypeVar("T")

#: Shares of the bound: past the first the longest quiet sessions go, until the second is met. LMDB needs the
#: rest: it overwrites nothing that the last transaction could read, and wants a state in one piece.
_FULL, _ROOMY = 0.75, 0.6

#: The largest state that is tried: it needs room beside the one that it takes the place of.
_LARGEST = 0.2

#: More than there can be workers, with tools that look at an environment.
_MAX_READERS = 256


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
        self._others: dict[Path, lmdb.Environment] = {}
        self._unreadable: set[Path] = set()
        self._place = Place(root, index)
        try:
            self._own = self._open_own(now)
        except BaseException:
            self._place.close()
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
        found = (
            None if counting is None else self._read(places[counting], lambda txn: read_session(txn, name))
        )
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
        for environment in self._all():
            heads = self._read(environment, lambda txn: [head for _, head in every_head(txn) if head]) or []
            places |= dict.fromkeys(heads, environment)
        listed = to_be_listed(places, now=now, idle_s=self._idle_s, max_sessions=max_sessions)
        return [as_held(head, self._frames(places[head], head), now=now) for head in listed]

    def find(self, *, session_id: str | None, origin: Origin | None, now: float) -> list[HeldSession]:
        """As `Store.find` says."""
        every = self.held(now=now, max_sessions=ALL_SESSIONS)
        return matching(every, session_id=session_id, origin=origin)

    def sweep(self, *, now: float) -> None:
        """As `Store.sweep` says."""
        self._drop_expired(self._own, now)
        self._place.remove_abandoned(now=now, idle_s=self._idle_s)

    def figures(self) -> Figures:
        """As `Store.figures` says."""
        used = self._read(self._own, used_bytes) or 0
        return Figures(self._sessions, used, self._evicted, self._failed_writes)

    def close(self) -> None:
        """As `Store.close` says."""
        for environment in self._others.values():
            environment.close()
        self._others.clear()
        with suppress(lmdb.Error, OSError):
            self._own.sync(True)
            self._own.close()
            lmdb_place.mark(self._directory, written_out=True)
        self._place.close()

    # ------------------------------------------------------------------------ opening

    def _open_own(self, now: float) -> lmdb.Environment:
        directory = self._place.environment()
        try:
            lmdb_place.check(directory)
            with lmdb_place.opening(directory):
                environment = self._open(directory)
                with environment.begin() as txn:
                    list(every_head(txn))  # whether they can all be read
        except (lmdb.Error, Unreadable) as error:
            aside = self._place.set_aside(directory)
            log.error("what was stored cannot be read, and is in %s from now on: %s", aside, error)
            directory = self._place.environment()
            environment = self._open(directory)
        self._drop_expired(environment, now)
        if lmdb_place.is_mostly_empty(environment, used_bytes(environment)):
            try:
                directory = self._place.compacted(environment)
            except (lmdb.Error, OSError) as error:
                log.warning("the store stays longer than it need be: %s", error)
            else:
                environment = self._open(directory)
        lmdb_place.mark(directory)
        self._directory = directory
        return environment

    def _open(self, directory: Path, *, readonly: bool = False) -> lmdb.Environment:
        """An environment of the right length. Raises `lmdb.Error`, `Unreadable`."""
        environment = lmdb.open(
            str(directory),
            map_size=self._max_bytes,
            readonly=readonly,
            create=not readonly,
            mode=0o600,
            sync=False,
            metasync=False,
            max_readers=_MAX_READERS,
            max_spare_txns=1,  # who registered as a reader stays registered
        )
        try:
            lmdb_place.check_length(environment)
        except BaseException:
            environment.close()
            raise
        return environment

    def _all(self) -> Iterator[lmdb.Environment]:
        """One's own environment, and those of the others as they are now."""
        yield self._own
        present = set(self._place.others().values())
        for directory in self._others.keys() - present:
            self._others.pop(directory).close()
        for directory in present:
            if environment := self._others.get(directory) or self._open_other(directory):
                yield environment

    def _open_other(self, directory: Path) -> lmdb.Environment | None:
        try:
            lmdb_place.check(directory)
            environment = self._open(directory, readonly=True)
        except (lmdb.Error, Unreadable, OSError) as error:
            if directory not in self._unreadable:
                self._unreadable.add(directory)
                log.warning("what is stored in %s cannot be read: %s", directory.name, error)
            return None
        self._others[directory] = environment
        return environment

    def _drop_expired(self, environment: lmdb.Environment, now: float) -> None:
        try:
            environment.reader_check()
            self._sessions = delete_expired(environment, now=now, idle_s=self._idle_s)
        except lmdb.Error as error:
            log.warning("what is too old could not be dropped from the store: %s", error)

    # ------------------------------------------------------------------------ reading

    def _read(self, environment: lmdb.Environment, read: Callable[[lmdb.Transaction], T]) -> T | None:
        """What `read` finds in one transaction; None where the environment cannot be read."""
        try:
            with environment.begin() as txn:
                return read(txn)
        except lmdb.Error as error:
            log.warning("reading what a worker stored failed: %s", error)
            for directory in [known for known, opened in self._others.items() if opened is environment]:
                self._others.pop(directory).close()  # to be opened again when it is needed
            return None

    def _places(self, name: bytes, now: float) -> dict[SessionHead, lmdb.Environment]:
        """What is known of a video, and where."""
        places: dict[SessionHead, lmdb.Environment] = {}
        for environment in self._all():
            head = self._read(environment, lambda txn: read_head(txn, name))
            if head is not None and not is_expired(head, now=now, idle_s=self._idle_s):
                places[head] = environment
        return places

    def _frames(self, environment: lmdb.Environment, head: SessionHead) -> list[SeenFrame]:
        name = name_of(head.session_id, head.generation)
        return [answer.seen for answer in self._read(environment, lambda txn: read_answers(txn, name)) or []]

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
                self._start_anew()
        except (lmdb.Error, Unreadable, OSError) as error:
            log.critical("the store cannot be written at all, sessions live in memory only: %s", error)

    def _start_anew(self) -> None:
        """Part with an environment that cannot even be told what it must forget."""
        self._own.close()
        if self._directory.exists():
            aside = self._place.set_aside(self._directory)
            log.critical("the store is of no use any more, and is in %s from now on", aside)
        self._directory = self._place.environment()
        self._own = self._open(self._directory)
        self._sessions = 0
