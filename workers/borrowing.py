"""Pictures as they are handed to a worker: bytes that came, or memory that their sender lends.

What is lent is read where it lies. It may be another picture by the time it is read, if its sender no longer
waits for the answer; so it is summed up before it is folded, as every picture is, and must be what was said.
"""

import fcntl
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wire import lending
from wire.errors import PictureGone, ProtocolError
from wire.lending import Reference
from wire.messages import Buffer


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


def picture(payload: Sequence[Buffer], *, max_bytes: int) -> Handed:
    """The picture of a frame. Raises `PictureGone` where it cannot be reached, and `ProtocolError`."""
    if len(payload) != 1:
        raise ProtocolError(f"{len(payload)} payload frames, not 1")
    reference = lending.reference_in(payload[0])
    if reference is None:
        return Handed(payload[0])
    if reference.size > max_bytes:
        raise ProtocolError(f"{reference.size} bytes are lent, {max_bytes} are accepted")
    return Handed(memoryview(_mapped(reference)), reference.digest)


def _mapped(reference: Reference) -> mmap.mmap:
    path = Path(f"/proc/{reference.process}/fd/{reference.descriptor}")
    try:
        # Looked at before it is opened: the number may be anything's by now, and opening can have effects.
        if str(path.readlink()) != f"/memfd:{reference.name} (deleted)":
            raise PictureGone("the sender of the picture does not hold it any more")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
            # Else it could be cut off while it is read, which ends whoever reads it.
            whole = seals & fcntl.F_SEAL_SHRINK and os.fstat(descriptor).st_size >= reference.size
            if not whole:
                raise ProtocolError("memory that is lent has its size, and is sealed against shrinking")
            return mmap.mmap(descriptor, reference.size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise PictureGone(f"the picture's memory cannot be opened: {error.strerror}") from None
