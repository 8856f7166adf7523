"""A video's frames on disk while they come in: appended, never held in memory, whole after any crash.

A folder of two files, `people` and `frames`; a frame's people are written before the frame, so whatever a
killed program leaves ends with a whole frame, once what follows it is cut off.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from client.records import FRAME, PERSON, Record, Records, checksum

#: Frames read at a time.
CHUNK = 512

#: A frame with more people than these is what a crash left.
_MOST_PEOPLE = 10_000


class Spool:
    """The folder while frames are added; leaving its context closes the files.

    frames, people: how many are in it. left_at_s: when it was left as it was found, seconds since 1970.
    """

    def __init__(self, folder: Path) -> None:
        """Goes on after the last whole frame; what follows it is cut off."""
        folder.mkdir(parents=True, exist_ok=True)
        self._frames_path, self._people_path = folder / "frames", folder / "people"
        self._frames = self._frames_path.open("ab", buffering=0)
        self._people = self._people_path.open("ab", buffering=0)
        self.left_at_s = self._frames_path.stat().st_mtime  # to cut a file, even by nothing, changes it
        self.frames, self.people = whole(folder)
        self._cut()

    def headers(self) -> Records:
        """The `FRAME` records of all frames."""
        return np.fromfile(self._frames_path, FRAME, self.frames)

    def record(self, number: int) -> Record:
        """A frame that is in the folder."""
        frames = self.headers()
        first = int(frames["people"][:number].sum())
        count = int(frames["people"][number])
        people = np.fromfile(self._people_path, PERSON, count, offset=first * PERSON.itemsize)
        return Record(frames[number].tobytes(), people.tobytes())

    def add(self, record: Record) -> None:
        """Add the next frame. Raises `OSError` where there is no room."""
        try:
            for file, content in ((self._people, record.people), (self._frames, record.frame)):
                view = memoryview(content)
                while view:
                    view = view[file.write(view) :]
        except OSError:
            self._cut()
            raise
        self.frames += 1
        self.people += len(record.people) // PERSON.itemsize

    def _cut(self) -> None:
        self._frames.truncate(self.frames * FRAME.itemsize)
        self._people.truncate(self.people * PERSON.itemsize)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames.close()
        self._people.close()


def whole(folder: Path) -> tuple[int, int]:
    """How many frames are whole from the first on, and how many people are in them."""
    frames = people = 0
    for chunk, persons in chunks(folder):
        first = 0
        for frame in chunk:
            last = first + int(frame["people"])
            found = persons[first:last]
            if len(found) < last - first or frame["checksum"] != checksum(frame.tobytes(), found.tobytes()):
                return frames, people
            frames, people, first = frames + 1, people + last - first, last
    return frames, people


def chunks(folder: Path, frames: int = -1) -> Iterator[tuple[Records, Records]]:
    """The records of up to `frames` frames (-1: of all), a few at a time, with those of their people."""
    with (folder / "frames").open("rb") as frames_file, (folder / "people").open("rb") as people_file:
        while frames:
            chunk = np.fromfile(frames_file, FRAME, CHUNK if frames < 0 else min(CHUNK, frames))
            if not len(chunk):
                return
            frames -= len(chunk) if frames > 0 else 0
            people = np.clip(chunk["people"], 0, _MOST_PEOPLE).sum()
            yield chunk, np.fromfile(people_file, PERSON, int(people))


def remove(folder: Path) -> None:
    """Drop every frame."""
    shutil.rmtree(folder, ignore_errors=True)
