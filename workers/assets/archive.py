"""Single files out of a tar that came from elsewhere.

Nothing is extracted by the archive's names: each wanted member is copied to a place of ours, so a path
in the archive leads nowhere. Whether a plain tar or a gzipped one is seen from its first bytes, not its
name: the published `hmr2_data.tar.gz` is a plain one.
"""

import gzip
import io
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from workers.assets.asset import FetchError

_GZIP = b"\x1f\x8b"
_CHUNK_BYTES = 2**20

#: tarfile reads a member's extended header at once; real ones have a few hundred bytes.
_LONGEST_READ_BYTES = 2 * _CHUNK_BYTES

#: What an archive may hold beside the wanted members' bounds, counted twice.
_SPARE_BYTES = 2**20

#: Members that are looked at before the archive is called unreasonable.
_MOST_MEMBERS = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where a member goes, and the most bytes that it may have."""

    place: Path
    most_bytes: int


def unpack(archive: Path, wanted: Mapping[str, Wanted]) -> None:
    """Copy the members named in `wanted` to their places. Raises `FetchError`, `OSError`."""
    missing = dict(wanted)
    most_bytes = _SPARE_BYTES + 2 * sum(each.most_bytes for each in wanted.values())
    try:
        with _opened(archive, most_bytes) as tar:
            for member in _members(tar):
                if place := missing.pop(member.name.removeprefix("./"), None):
                    _copy(tar, member, place)
                if not missing:
                    return
    # ValueError: numbers in a header that are none.
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise FetchError(f"{archive.name} is damaged: {error}") from None
    raise FetchError(f"{archive.name} holds no {', '.join(sorted(missing))}")


@contextmanager
def _opened(archive: Path, most_bytes: int) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as file:
        compressed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        contents = gzip.GzipFile(fileobj=file) if compressed else file
        with tarfile.open(fileobj=_Bounded(contents, most_bytes), mode="r:") as tar:
            yield tar


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for count, member in enumerate(tar):
        if count == _MOST_MEMBERS:
            raise FetchError(f"more than {_MOST_MEMBERS} members")
        yield member


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, wanted: Wanted) -> None:
    if not member.isreg() or member.issparse():
        raise FetchError(f"{member.name} is no plain file in the archive")
    if member.size > wanted.most_bytes:
        raise FetchError(
            f"{member.name} has {member.size} bytes, more than the {wanted.most_bytes} it may have"
        )
    source = tar.extractfile(member)
    assert source is not None, "a regular member has contents"
    with wanted.place.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK_BYTES)


class _Bounded(io.RawIOBase):
    """Bytes that are never read in one huge piece, nor beyond a bound, whatever a header claims."""

    def __init__(self, inner: BinaryIO | gzip.GzipFile, most_bytes: int) -> None:
        self._inner = inner
        self._most_bytes = most_bytes

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes. Raises `FetchError` where that is unreasonable."""
        if not 0 <= size <= _LONGEST_READ_BYTES:
            raise FetchError(f"a header of {size} bytes")
        return self._inner.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; in a compressed file this reads on, piece by piece. Raises `FetchError` beyond the bound."""
        if offset > self._most_bytes:
            raise FetchError(f"more than {self._most_bytes} bytes unpacked")
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        """The position in the uncompressed bytes."""
        return self._inner.tell()

    def seekable(self) -> bool:
        """Always."""
        return True

    def readable(self) -> bool:
        """Always."""
        return True
