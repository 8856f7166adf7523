"""The store beyond one machine: a Valkey or Redis server that all workers share.

All write the same record of a video, so the fence is the server's: the script that stores a frame compares
epochs in the same step. State and answer go in one script. What is quiet for too long the server drops by
itself. While it cannot be reached workers go on from memory; their answers count as not stored.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from wire.messages import HeldSession, Origin, SeenFrame
from workers.redis_link import Client, Link, StoreUnavailable
from workers.redis_records import (
    HEAD_FIELDS,
    Keys,
    encode,
    frame_fields,
    name_of,
    read_head,
    read_seen,
    read_session,
)
from workers.redis_scripts import COMMIT, DROP, SWEEP, TAKE_OVER
from workers.store import (
    Figures,
    Known,
    SessionHead,
    StoredAnswer,
    StoredSession,
    as_held,
    superseded,
    to_be_listed,
)

log = logging.getLogger(__name__)

#: The largest state or answer that is sent: the server works on one thing at a time.
_LARGEST_BYTES = 8 * 2**20

#: Videos that are dropped in one step; records that are looked through for each session that is wanted.
_SWEPT, _LOOKED_THROUGH = 500, 4

#: Above every epoch.
_ANY_EPOCH = 2**53

#: Videos from one origin that are looked at: the broker keeps no more apart.
_OF_ONE_ORIGIN = 16


class RedisStore:
    """One worker's way to the server; implements `Store`."""

    def __init__(self, url: str, space: str, *, kept_answers: int, idle_s: float, timeout_s: float) -> None:
        """`space` names those who read each other's records. The server need not be there yet.

        No call waits for it longer than `timeout_s`, and once more so long where it has to connect.
        Raises `ValueError` for a URL that cannot be.
        """
        self._link = Link(url, timeout_s=timeout_s)
        self._kept_answers = kept_answers
        self._idle_s = idle_s
        self._lifetime_ms = max(1, round(idle_s * 1000))
        self._keys = Keys(space)
        self._writer = uuid4().hex
        self._writes = 0
        self._figures = Figures(sessions=0, used_bytes=0, evicted=0, failed_writes=0)
        self._known_ahead_s: int | None = None  # see `_ahead_s`; None: the server was not asked yet

    # --------------------------------------------------------------- what `Store` says

    def take_over(
        self, session_id: str, generation: int, epoch: int, *, known: Known | None = None, now: float
    ) -> StoredSession | None:
        """As `Store.take_over` says."""
        name = name_of(session_id, generation)
        try:
            ahead_s = self._ahead_s()
            at = now + ahead_s
            owners = [epoch] if known is None else [known.until, *known.tried]
            quiet_since = at - self._idle_s
            arguments: list[str | float] = [epoch, at, self._lifetime_ms, name, quiet_since, *owners]
            owner, *found = self._link.run(TAKE_OVER, self._keys.of_video(session_id, generation), arguments)
        except StoreUnavailable as reason:
            log.warning("session=%s cannot be looked up in the store: %s", session_id, reason)
            return None
        _check_owner(session_id, owner, epoch=epoch)
        (listed,) = found
        fields = dict(zip(listed[::2], listed[1::2], strict=True))
        return read_session(fields, ahead_s=ahead_s, kept_answers=self._kept_answers)

    def commit(self, head: SessionHead, state: bytes, answer: StoredAnswer) -> bool:
        """As `Store.commit` says; what cannot be dropped is outdated, and `Work.folded` tells."""
        encoded = encode(answer)
        try:
            if max(len(state), len(encoded)) > _LARGEST_BYTES:
                raise StoreUnavailable(f"{len(state)} and {len(encoded)} bytes are too many")
            self._store(head, state, encoded, answer.seen)
        except StoreUnavailable as reason:
            self._count(failed_writes=self._figures.failed_writes + 1)
            log.log(_level(reason), "session=%s could not be stored: %s", head.session_id, reason)
            if not reason.is_away:
                self._forget(head.session_id, head.generation, epoch=head.epoch)
            return False
        return True

    def forget(self, session_id: str, generation: int, *, epoch: int | None, now: float) -> None:
        """As `Store.forget` says."""
        del now  # the server knows the time
        self._forget(session_id, generation, epoch=_ANY_EPOCH if epoch is None else epoch)

    def held(self, *, now: float, max_sessions: int) -> list[HeldSession]:
        """As `Store.held` says."""
        try:
            names = self._newest(self._keys.index, _LOOKED_THROUGH * max_sessions)
            return self._held(names, now=now, max_sessions=max_sessions)
        except StoreUnavailable as reason:
            log.warning("the sessions in the store cannot be listed: %s", reason)
            return []

    def find(self, *, session_id: str | None, origin: Origin | None, now: float) -> list[HeldSession]:
        """As `Store.find` says."""
        try:
            if session_id is not None:
                session = self._keys.session(session_id)
                newest: Any = self._link.ask(lambda client: client.hget(session, "g"))
                names = [] if newest is None else [name_of(session_id, int(newest))]
            else:
                names = self._newest(self._keys.origin(origin), _OF_ONE_ORIGIN)
            return self._held(names, now=now, max_sessions=_OF_ONE_ORIGIN)
        except StoreUnavailable as reason:
            log.warning("sessions in the store cannot be looked for: %s", reason)
            return []

    def sweep(self, *, now: float) -> None:
        """As `Store.sweep` says; records go by themselves, and this tidies the list of them."""
        try:
            self._known_ahead_s = None  # clocks drift
            quiet_since = now + self._ahead_s() - self._idle_s
            sessions = self._link.run(SWEEP, [self._keys.index], (quiet_since, self._keys.videos, _SWEPT))
            memory = self._link.ask(lambda client: client.info("memory"))
            self._count(sessions=sessions, used_bytes=int(memory["used_memory"]))
        except StoreUnavailable as reason:
            log.warning("the store cannot be tidied: %s", reason)

    def figures(self) -> Figures:
        """As `Store.figures` says, of the whole server, as far as its last answers told."""
        return self._figures

    def close(self) -> None:
        """As `Store.close` says."""
        self._link.close()

    # ------------------------------------------------------------------------ writing

    def _store(self, head: SessionHead, state: bytes, answer: bytes, seen: SeenFrame) -> None:
        """Raises `Superseded`, `StoreUnavailable`."""
        stored_at = head.stored_at + self._ahead_s()
        self._writes += 1
        origins = [] if head.source is None else [self._keys.origin(head.source.origin)]
        owner, *sessions = self._link.run(
            COMMIT,
            [*self._keys.of_video(head.session_id, head.generation), *origins],
            (
                head.epoch,
                stored_at,
                self._lifetime_ms,
                name_of(head.session_id, head.generation),
                self._writer,
                self._writes,
                head.folded,
                self._kept_answers,
                head.generation,
                encode(head),
                state,
                answer,
                encode(seen),
            ),
        )
        _check_owner(head.session_id, owner, epoch=head.epoch)
        self._count(sessions=sessions[0])

    def _forget(self, session_id: str, generation: int, *, epoch: int) -> None:
        """Leave nothing of a video, unless its session has a later owner."""
        arguments = (epoch, name_of(session_id, generation), generation)
        try:
            owner, *sessions = self._link.run(DROP, self._keys.of_video(session_id, generation), arguments)
        except StoreUnavailable as reason:
            # It is quiet from now on, and goes as all that are.
            log.log(_level(reason), "session=%s could not be dropped from the store: %s", session_id, reason)
            return
        if not owner:
            self._count(sessions=sessions[0])

    def _count(self, **figures: int) -> None:
        self._figures = replace(self._figures, **figures)

    # ------------------------------------------------------------------------ reading

    def _newest(self, index: bytes, most: int) -> list[str]:
        """The names of the videos in an index that were stored last. Raises `StoreUnavailable`."""
        names: Any = self._link.ask(lambda client: client.zrevrange(index, 0, most - 1))
        return [name.decode() for name in names]

    def _held(self, names: Sequence[str], *, now: float, max_sessions: int) -> list[HeldSession]:
        """The sessions of these videos that can be gone on with. Raises `StoreUnavailable`."""
        rows = self._fields([(name, HEAD_FIELDS) for name in names])
        ahead_s = self._ahead_s()
        heads = [head for row in rows if (head := read_head(row, ahead_s=ahead_s)) is not None]
        listed = to_be_listed(heads, now=now, idle_s=self._idle_s, max_sessions=max_sessions)
        frames = self._frames(listed)
        return [as_held(head, seen, now=now) for head, seen in zip(listed, frames, strict=True)]

    def _frames(self, heads: Sequence[SessionHead]) -> list[list[SeenFrame]]:
        """The last frames of each video, the oldest first. Raises `StoreUnavailable`."""
        wanted = [
            (name_of(head.session_id, head.generation), frame_fields(head, kept_answers=self._kept_answers))
            for head in heads
        ]
        return [[read_seen(seen) for seen in row if seen is not None] for row in self._fields(wanted)]

    def _fields(self, wanted: Sequence[tuple[str, Sequence[str]]]) -> list[list[bytes | None]]:
        """So many fields of so many videos, all at once. Raises `StoreUnavailable`."""
        named = [(name, fields) for name, fields in wanted if fields]

        def question(client: Client) -> list[list[bytes | None]]:
            with client.pipeline(transaction=False) as pipeline:
                for name, fields in named:
                    pipeline.hmget(self._keys.videos + name, fields)
                return pipeline.execute()

        found = iter(self._link.ask(question) if named else [])
        return [next(found) if fields else [] for _, fields in wanted]

    def _ahead_s(self) -> int:
        """How far the server's clock is ahead of ours: its workers may be of many machines.

        Raises `StoreUnavailable`.
        """
        if self._known_ahead_s is None:
            seconds, _ = self._link.ask(lambda client: client.time())
            self._known_ahead_s = round(seconds - time.time())
        return self._known_ahead_s


def _level(reason: StoreUnavailable) -> int:
    """Of a line in the log: that the server is away is said once, not for each frame."""
    return logging.DEBUG if reason.is_away else logging.ERROR


def _check_owner(session_id: str, owner: bytes, *, epoch: int) -> None:
    """Raises `Superseded` if a script told of an owner."""
    if owner:
        raise superseded(session_id, owner=int(owner), epoch=epoch)
