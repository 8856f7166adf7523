"""The entries of a video on disk, one line each, and the JSON that is made of them.

Written as they come and never held in memory. The file is a JSON list but for its brackets: a line that ends
with its line feed is a whole entry, so what a killed program left can be gone on with.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

_READ_BYTES = 1 << 20

#: What lines begin with, by which lines are told from what a crash of the machine leaves in a file.
_BEGINNING = b'{"frame_number":%d,'

#: In the entries of frames with nobody, and in no others; and of those in the ones of frames that failed.
NOBODY = b'"persons":[]'
FAILED = NOBODY + b',"error":{'


class Kept(NamedTuple):
    """What a file holds already. last: its last entry."""

    entries: int
    failed: int
    last: bytes


class ResultFile:
    """The file while entries are added to it; leaving its context closes it."""

    def __init__(self, path: Path) -> None:
        """Goes on after the last whole entry; what follows it is cut off."""
        self._file = path.open("ab", buffering=0)
        self.kept, self._size_bytes = _read(path)
        self._file.truncate(self._size_bytes)

    @property
    def size_bytes(self) -> int:
        """Of all entries."""
        return self._size_bytes

    def add(self, entry: bytes) -> None:
        """Add the next entry. Raises `OSError` where there is no room."""
        line = (b"," if self._size_bytes else b"") + entry + b"\n"
        view = memoryview(line)
        while view:
            view = view[self._file.write(view) :]
        self._size_bytes += len(line)

    def clear(self) -> None:
        """Drop every entry."""
        self._file.truncate(0)
        self.kept, self._size_bytes = Kept(0, 0, b""), 0

    def __enter__(self) -> "ResultFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def modified_at(path: Path) -> float | None:
    """When the last entry was added, seconds of the wall clock; None: there is no file."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


class Body(NamedTuple):
    """A JSON text around the entries of a file, to be sent without being held."""

    size_bytes: int
    pieces: Iterator[bytes]


def surrounded(path: Path, before: bytes, after: bytes) -> Body:
    """`before`, the entries, `after`. Raises `FileNotFoundError` where the file is removed already."""
    file = path.open("rb")
    size_bytes = os.fstat(file.fileno()).st_size
    return Body(len(before) + size_bytes + len(after), _pieces(file, before, after))


def _pieces(file: BinaryIO, before: bytes, after: bytes) -> Iterator[bytes]:
    with file:
        yield before
        while piece := file.read(_READ_BYTES):
            yield piece
        yield after


def _read(path: Path) -> tuple[Kept, int]:
    entries = failed = size_bytes = 0
    last = b""
    with path.open("rb") as file:
        for line in file:
            entry = line.removeprefix(b",") if entries else line
            if not (entry.startswith(_BEGINNING % entries) and entry.endswith(b"}\n")):
                break
            entries += 1
            failed += FAILED in entry
            size_bytes += len(line)
            last = entry[:-1]
    return Kept(entries, failed, last), size_bytes
