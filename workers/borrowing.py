"""Pictures as they are handed to a worker: bytes that came, or memory that their sender lends.

What is lent is read where it lies. It may be another picture by the time it is read, if its sender no longer
waits for the answer; so it is summed up before it is folded, as every picture is, and must be what was said.
"""

import fcntl
import mmap
import os
from collections.abc import Sequence
from typing import NamedTuple

from wire import lending
from wire.errors import PictureGone, ProtocolError
from wire.lending import Reference
from wire.messages import Buffer

#: Files of senders that are mapped at a time, twice at the most; each takes a descriptor.
_MOST_MAPS = 64


class Handed(NamedTuple):
    """One encoded picture. said: the digest of one that is lent; None: its bytes came."""

    encoded: Buffer
    said: int | None = None

    def digest(self) -> int:
        """What tells it from other pictures. Raises `PictureGone` if what was lent is not there any more."""
        digest = lending.digest_of(self.encoded)
        if self.said is not None and digest != self.said:
            raise PictureGone("the memory that was lent holds something else by now")
        return digest


class Borrowing:
    """What is lent to this worker. Senders use memory again, so what was mapped stays so for a while."""

    def __init__(self, *, max_bytes: int) -> None:
        """`max_bytes` of a picture are accepted."""
        self._max_bytes = max_bytes
        self._recent: dict[str, mmap.mmap] = {}
        self._older: dict[str, mmap.mmap] = {}

    def picture(self, payload: Sequence[Buffer]) -> Handed:
        """The picture of a frame. Raises `PictureGone` where it cannot be reached, and `ProtocolError`."""
        if len(payload) != 1:
            raise ProtocolError(f"{len(payload)} payload frames, not 1")
        reference = lending.reference_in(payload[0])
        if reference is None:
            return Handed(payload[0])
        if reference.size > self._max_bytes:
            raise ProtocolError(f"{reference.size} bytes are lent, {self._max_bytes} are accepted")
        return Handed(memoryview(self._map(reference))[: reference.size], reference.digest)

    def let_go(self) -> None:
        """Of what was not read since the last time but one. What is still in use stays until it is not."""
        self._older, self._recent = self._recent, {}

    def _map(self, reference: Reference) -> mmap.mmap:
        name = reference.name
        known = self._recent.get(name) or self._older.get(name)
        # Also where it is mapped already: who is gone is gone with all that he lent, from one frame on.
        _check_held(reference)
        if known is None or len(known) < reference.size:
            known = _mapped(reference)
        if len(self._recent) >= _MOST_MAPS:
            self.let_go()
        self._recent[name] = known
        return known


def _check_held(reference: Reference) -> None:
    """Raises `PictureGone` where the sender does not hold the file any more."""
    try:
        # For each frame: a `Path` takes longer to make than the link to read.
        target = os.readlink(_path(reference))  # noqa: PTH115
    except OSError as error:
        raise PictureGone(f"the picture's memory cannot be found: {error.strerror}") from None
    if target != f"/memfd:{reference.name} (deleted)":
        raise PictureGone("the sender of the picture does not hold it any more")


def _mapped(reference: Reference) -> mmap.mmap:
    """The whole file. To be checked before: the number may be anything's by now, and opening has effects."""
    try:
        descriptor = os.open(_path(reference), os.O_RDONLY | os.O_CLOEXEC)
        try:
            seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
            # Else it could be cut off while it is read, which ends whoever reads it.
            size = os.fstat(descriptor).st_size
            if not seals & fcntl.F_SEAL_SHRINK or size < reference.size:
                raise ProtocolError("memory that is lent has its size, and is sealed against shrinking")
            return mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise PictureGone(f"the picture's memory cannot be opened: {error.strerror}") from None


def _path(reference: Reference) -> str:
    return f"/proc/{reference.process}/fd/{reference.descriptor}"
