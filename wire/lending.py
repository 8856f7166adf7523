"""Pictures that travel as a reference: their sender lends the memory they are in, on one machine.

A raw 1080p frame has 6 MB, and through two sockets it is copied four times. Where a worker can open its
sender's memory files (memfd_create(2), open files of no directory, which end with the last program that holds
them) the reference is sent instead. Here is what it looks like and who can read whose; `wire.shelf` lends,
`workers.borrowing` reads. Nothing here opens anything of another program.
"""

import hashlib
import os
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from isal import isal_zlib
from msgspec import Meta, Struct

from wire.errors import ProtocolError
from wire.messages import Buffer

#: Stands before a reference, where a picture would begin with its format's own.
MARK = b"EFMEM1\n"


class Reference(Struct, frozen=True, kw_only=True):
    """Where a picture is: the first `size` bytes of a memory file."""

    process: Annotated[int, Meta(gt=0)]  # that has it open
    descriptor: Annotated[int, Meta(ge=0)]  # as what
    name: Annotated[str, Meta(min_length=32, max_length=128)]  # random: who knows it may read the file
    size: Annotated[int, Meta(gt=0)]  # bytes
    digest: int  # CRC-32 of the picture


class Seen(NamedTuple):
    """What a picture is told from others by, without looking at it."""

    size_bytes: int
    digest: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Reference).decode


def payload(reference: Reference) -> bytes:
    """What travels in the picture's place."""
    return MARK + _encode(reference)


def reference_in(picture: Buffer) -> Reference | None:
    """The reference that came in a picture's place; None: it is a picture. Raises `ProtocolError`."""
    view = memoryview(picture)
    if view[: len(MARK)] != MARK:
        return None
    try:
        return _decode(view[len(MARK) :])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"unreadable reference to a picture: {error}") from None


def digest_of(picture: Buffer) -> int:
    """What tells one picture from another under the same frame number of one session."""
    return isal_zlib.crc32(picture)


def look(picture: Buffer) -> Seen:
    """At a picture, or at what its reference says of it. Raises `ProtocolError`."""
    reference = reference_in(picture)
    if reference is None:
        return Seen(memoryview(picture).nbytes, digest_of(picture))
    return Seen(reference.size, reference.digest)


def memory() -> str:
    """Names whose memory files this program can open; empty: nobody's.

    Two programs of one name are of one user, and see the same processes under the same numbers.
    """
    if not hasattr(os, "memfd_create"):
        return ""
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):  # a /proc of other numbers
            return ""
        machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        spaces = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("pid", "user")]
    except OSError:
        return ""
    text = " ".join((machine, *spaces, str(os.geteuid())))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
