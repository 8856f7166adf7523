"""What outlives a worker: its sessions, with the answers they gave last, and who may go on with them.

Every worker writes records of its own and reads everybody's. Of one video's records the one with the
highest epoch counts, so what a former owner writes late is never read: that is the fence, and it needs no
lock between workers. A video that was dropped leaves a tombstone, which fences as well as a session does.

Rules and values only; `lmdb_store.py` and `memory_store.py` keep the records. On a server all write one
record of a video, and the fence is the server's: `redis_store.py`. Times are seconds of the wall clock, the
only one that processes share.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from wire.errors import Internal
from wire.messages import HeldSession, History, Origin, SeenFrame, Source

#: More sessions than any store has.
ALL_SESSIONS = 10**9

#: Bytes of a `HeldSession` beside its id and thumbnails, and of a frame in it; from above.
_HELD_BYTES = 512
_SEEN_BYTES = 24


class Superseded(Internal):
    """A later owner has the session: whatever a former one still does with it is void.

    No caller hears of it: the broker drops the answers of former owners. epoch: the later owner's.
    """

    def __init__(self, message: str, *, epoch: int = 0) -> None:
        super().__init__(message)
        self.epoch = epoch


class Known(NamedTuple):
    """The owners of a session of whom its broker knows: up to an epoch, and some after it."""

    until: int
    tried: tuple[int, ...] = ()

    def has(self, epoch: int) -> bool:
        """Whether this owner is one of them."""
        return epoch <= self.until or epoch in self.tried


class SessionHead(Struct, frozen=True, array_like=True):
    """All that a store knows of one video, beside its state and its answers."""

    session_id: str
    generation: int
    epoch: int  # of the ownership under which it was written
    history: History
    stored_at: float
    folded: int = 0  # frames in the state, and before it where it began cold
    source: Source | None = None  # without its thumbnail; None: the caller named the session
    skipped: int = 0  # as last answered
    expired: int = 0
    first: SeenFrame | None = None  # frame 0, by which a video that is shown again is known
    dropped: bool = False  # a tombstone: neither state nor answers are left


class StoredAnswer(Struct, frozen=True, array_like=True):
    """An answer, and the frame that it answers."""

    seen: SeenFrame
    history: History  # of the session when it was given
    skipped: int
    expired: int
    answer: bytes
    asked: int = 0  # which boxes and target it is for, see `sessions.asked_of`


class StoredSession(Struct, frozen=True):
    """One video as it was stored; its last answers, the oldest first."""

    head: SessionHead
    state: bytes
    answers: Sequence[StoredAnswer]


class Figures(Struct, frozen=True):
    """How full one worker's part of the store is, and what has happened to it since the worker began."""

    sessions: int
    used_bytes: int
    evicted: int  # sessions dropped to make room
    failed_writes: int  # answers that left without having been stored


class Store(Protocol):
    """One worker's way to the store.

    Small enough for a remote one: its take-over and its commit are one script each.
    """

    def take_over(
        self, session_id: str, generation: int, epoch: int, *, known: Known | None = None, now: float
    ) -> StoredSession | None:
        """The record that counts, as it was found; from now on `epoch` owns the video.

        None: nothing that can be read. Raises `Superseded` where a higher epoch owns it, or one that who gave
        the video to us does not know of.
        """

    def commit(self, head: SessionHead, state: bytes, answer: StoredAnswer) -> bool:
        """Store a frame's state and answer, both or neither, before the answer leaves.

        False: it could not be stored, and the video's record, outdated now, was dropped: whoever takes the
        video over before a later commit starts cold. Raises `Superseded` where a higher epoch owns it.
        """

    def forget(self, session_id: str, generation: int, *, epoch: int | None, now: float) -> None:
        """Drop a video that nobody will ask for any more, unless its owner's epoch is later than this one."""

    def held(self, *, now: float, max_sessions: int) -> list[HeldSession]:
        """The sessions that could be gone on with, whoever stored them; the last used first."""

    def find(self, *, session_id: str | None, origin: Origin | None, now: float) -> list[HeldSession]:
        """The session of this id; without one, those of callers at `origin` who named none."""

    def sweep(self, *, now: float) -> None:
        """Drop what was quiet for too long; to be called now and then."""

    def figures(self) -> Figures:
        """For `/metrics`."""

    def close(self) -> None:
        """Write out and end; the records stay."""


def is_expired(head: SessionHead, *, now: float, idle_s: float) -> bool:
    """Whether the video was quiet for so long that the broker has forgotten it."""
    return now - head.stored_at > idle_s


def is_later(head: SessionHead, epoch: int | None) -> bool:
    """Whether the video has a later owner than `epoch`; None: whoever that is."""
    return epoch is not None and head.epoch > epoch


def newest(heads: Iterable[SessionHead]) -> SessionHead | None:
    """Of one video's records, the one that counts."""
    return max(heads, key=_rank, default=None)


def _rank(head: SessionHead) -> tuple[int, bool]:
    """A tombstone counts more than a record of its epoch: another worker may have had to leave it."""
    return (head.epoch, head.dropped)


def check_owner(counting: SessionHead | None, *, epoch: int, known: Known | None = None) -> None:
    """Raises `Superseded` if the record that counts has a later owner than `epoch`, or one not `known`.

    A broker that does not know of the owner before knows nothing of what that one folded, either.
    """
    if counting is None:
        return
    is_stranger = known is not None and counting.epoch != epoch and not known.has(counting.epoch)
    if counting.epoch > epoch or is_stranger:
        raise superseded(counting.session_id, owner=counting.epoch, epoch=epoch)


def superseded(session_id: str, *, owner: int, epoch: int) -> Superseded:
    """What `epoch` is told that does something with a session of the epoch `owner`."""
    return Superseded(
        f"session {session_id!r} belongs to epoch {owner}, not to {epoch} any more", epoch=owner
    )


def claimed(head: SessionHead, *, epoch: int, now: float) -> SessionHead:
    """`head` under its next owner, who has it from the store; the same where the owner is the same."""
    if head.epoch == epoch:
        return head
    history: History = "cold" if head.history == "cold" else "restored"
    return replace(head, epoch=epoch, history=history, stored_at=now)


def tombstone(head: SessionHead, *, now: float) -> SessionHead:
    """What a dropped video leaves, lest an older record that another worker wrote count instead."""
    return replace(head, stored_at=now, dropped=True, source=None, first=None)


def to_be_listed(
    heads: Iterable[SessionHead], *, now: float, idle_s: float, max_sessions: int
) -> list[SessionHead]:
    """One record for each session that could be gone on with, of its last video; the last used first."""
    counting: dict[str, SessionHead] = {}
    for head in heads:
        known = counting.get(head.session_id)
        if known is None or (head.generation, _rank(head)) > (known.generation, _rank(known)):
            counting[head.session_id] = head
    alive = [
        head
        for head in counting.values()
        if not head.dropped and not is_expired(head, now=now, idle_s=idle_s)
    ]
    return sorted(alive, key=lambda head: head.stored_at, reverse=True)[:max_sessions]


def as_held(head: SessionHead, seen: Iterable[SeenFrame], *, now: float) -> HeldSession:
    """A session as a broker that has just started learns of it; `seen` are its last frames, oldest first."""
    frames = list(seen)
    if head.first is not None and head.first not in frames:
        frames.insert(0, head.first)
    return HeldSession(
        session_id=head.session_id,
        generation=head.generation,
        epoch=head.epoch,
        frames=frames,
        quiet_s=max(0.0, now - head.stored_at),
        source=head.source,
        skipped=head.skipped,
        expired=head.expired,
    )


def matching(
    sessions: Iterable[HeldSession], *, session_id: str | None, origin: Origin | None
) -> list[HeldSession]:
    """Those that `Store.find` is asked for."""
    if session_id is not None:
        return [held for held in sessions if held.session_id == session_id]
    return [held for held in sessions if held.source is not None and held.source.origin == origin]


def first_within(sessions: Iterable[HeldSession], max_bytes: int) -> list[HeldSession]:
    """The first of `sessions`, as many as fit into a message of `max_bytes`."""
    fitting: list[HeldSession] = []
    for held in sessions:
        thumbnails = sum(len(frame.thumbnail or b"") for frame in held.frames)
        max_bytes -= _HELD_BYTES + 4 * len(held.session_id) + _SEEN_BYTES * len(held.frames) + thumbnails
        if max_bytes < 0:
            break
        fitting.append(held)
    return fitting
