"""Memory in which pictures are lent to workers of the same machine, used again and again.

Each picture is in a memory file of its own: who still reads one that was given up disturbs no other. Files
are let go of, not written again, where it is not sure that nobody reads them any more.
"""

import fcntl
import mmap
import os
import secrets
import threading
from collections.abc import Sequence

from isal import isal_zlib

from wire import lending
from wire.endpoints import is_tcp
from wire.lending import Reference
from wire.messages import Buffer, Status

#: Smaller pictures are sent sooner than opened.
_WORTH_BYTES = 64 * 1024

#: Files kept for pictures to come.
_MOST_FREE = 16


class Slot:
    """A memory file with one picture in it."""

    def __init__(self, capacity: int) -> None:
        """Raises `OSError` where there is no room for so many bytes, or no more files may be open."""
        self.capacity = capacity
        self._name = f"everyframe-{secrets.token_hex(16)}"
        self._descriptor = os.memfd_create(self._name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._descriptor, capacity)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, seals)
            self._memory = mmap.mmap(self._descriptor, capacity)
        except OSError:
            os.close(self._descriptor)
            raise
        self._size = 0
        self._digest = 0

    def fill(self, parts: Sequence[Buffer]) -> None:
        """Put a picture in."""
        self._size = self._digest = 0
        for part in parts:
            view = memoryview(part)
            self._memory[self._size : self._size + view.nbytes] = view
            self._digest = isal_zlib.crc32(view, self._digest)
            self._size += view.nbytes

    def reference(self) -> bytes:
        """What is sent in the picture's place."""
        return lending.payload(
            Reference(
                process=os.getpid(),
                descriptor=self._descriptor,
                name=self._name,
                size=self._size,
                digest=self._digest,
            )
        )

    def picture(self) -> bytes:
        """A copy of it."""
        return self._memory[: self._size]

    def close(self) -> None:
        """Nobody finds it any more; who reads it goes on reading."""
        os.close(self._descriptor)


class Shelf:
    """All slots of a program; for any thread."""

    def __init__(self, most: int) -> None:
        """most: files in all, each of which takes two descriptors; pictures beyond them travel as bytes."""
        self._most = most
        self._lock = threading.Lock()
        self._free: list[Slot] = []
        self._count = 0
        self._was_read = False
        self._is_of_use = True

    def put(self, parts: Sequence[Buffer]) -> Slot | None:
        """A slot with that picture in it; None: it is too small to be worth it, or there is no room."""
        size = sum(memoryview(part).nbytes for part in parts)
        if size < _WORTH_BYTES or not self._is_of_use:
            return None
        slot = self._slot(1 << (size - 1).bit_length())
        if slot is not None:
            slot.fill(parts)
        return slot

    def take_back(self, slot: Slot, *, read: bool) -> None:
        """A picture's answer has come, or is not waited for; `read`: nobody can still be reading it."""
        with self._lock:
            self._count -= 1
            self._was_read |= read
            if read:
                self._free.append(slot)
                if len(self._free) <= _MOST_FREE:
                    return
                slot = self._free.pop(0)  # of pictures of another size, as a rule
        slot.close()

    def refused(self, slot: Slot) -> None:
        """A worker could not open it. If none was ever read, none will be: nothing more is lent."""
        self.take_back(slot, read=False)
        with self._lock:
            self._is_of_use = self._was_read

    def close(self) -> None:
        """Let go of the free ones."""
        with self._lock:
            free, self._free = self._free, []
        for slot in free:
            slot.close()

    def _slot(self, capacity: int) -> Slot | None:
        with self._lock:
            if self._count >= self._most:
                return None
            self._count += 1
            for at in range(len(self._free) - 1, -1, -1):  # the last used is in the caches
                if self._free[at].capacity == capacity:
                    return self._free.pop(at)
        try:
            return Slot(capacity)
        except OSError:
            with self._lock:
                self._count -= 1
            return None


def can_lend(status: Status, endpoints: Sequence[str]) -> bool:
    """Whether all workers behind these brokers can open our memory, as far as they say."""
    ours = lending.memory()
    return (
        bool(ours and status.workers)
        and not any(map(is_tcp, endpoints))
        and all(worker.memory == ours for worker in status.workers)
    )
