"""The server that all workers share where there are several brokers, as `workers/redis_scripts.py` has it.

Its fence is the session's: an epoch that has taken any video of it over is known to all who come later.
"""

from workers.memory_store import Memory, MemoryStore
from workers.store import Known, SessionHead, StoredAnswer, StoredSession, superseded


class ServerMemory(Memory):
    """What the server has."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[str, int] = {}  # session -> the epoch that owns it


class ServerStore(MemoryStore):
    """One worker's way to it; implements `Store`."""

    def __init__(self, server: ServerMemory, *, kept_answers: int, idle_s: float) -> None:
        super().__init__(server, "server", kept_answers=kept_answers, idle_s=idle_s)
        self._owners = server.owners

    def take_over(
        self, session_id: str, generation: int, epoch: int, *, known: Known | None = None, now: float
    ) -> StoredSession | None:
        """As `Store.take_over` says."""
        owner = self._owners.get(session_id)
        if owner is not None and owner != epoch:
            is_stranger = known is not None and not known.has(owner)
            if owner > epoch or is_stranger:
                raise superseded(session_id, owner=owner, epoch=epoch)
        self._owners[session_id] = epoch
        return super().take_over(session_id, generation, epoch, now=now)

    def commit(self, head: SessionHead, state: bytes, answer: StoredAnswer) -> bool:
        """As `Store.commit` says."""
        owner = self._owners.get(head.session_id, 0)
        if owner > head.epoch:
            raise superseded(head.session_id, owner=owner, epoch=head.epoch)
        self._owners[head.session_id] = head.epoch
        return super().commit(head, state, answer)

    def forget(self, session_id: str, generation: int, *, epoch: int | None, now: float) -> None:
        """As `Store.forget` says."""
        if epoch is None or self._owners.get(session_id, 0) <= epoch:
            super().forget(session_id, generation, epoch=epoch, now=now)
