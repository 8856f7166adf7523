"""Where each worker's LMDB environment lies, and who may open it.

Under the store's directory, `2.lock` says by its flock that a process has place 2, and `2-NUMBER` is that
place's environment. Only who has a place opens its environment for writing. A compacted copy comes
into being by one rename and has a higher number; the lower one is removed. No number is used twice, so
others notice by the name, and never see the files of an environment change under them. Nothing
here knows what the environments contain.
"""

import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO

import lmdb

log = logging.getLogger(__name__)

#: First word of each environment's `about`; another one is another program's, or another version's.
_FORMAT = "everyframe-sessions-1"

#: Second word of `about` once everything was written out; until then it is the machine's boot.
_WRITTEN_OUT = "written-out"

#: Openings in a row that did not come to their end (the process died in them) until we stop trying.
_PATIENCE = 3

#: How long a place may be held by who looks whether its environment can be removed.
_WAIT_FOR_PLACE_S = 1.0
_ENVIRONMENT = re.compile(r"(\d+(?:\.\d+)?)-(\d+)")

#: Room that a file may have too much, whatever it contains, before it is worth a copy.
_SLACK_BYTES = 4 * 2**20


class Unreadable(Exception):
    """An environment's files are not, or no longer, what they should be."""


class Place:
    """A worker's own place in the store's directory, held until `close`."""

    def __init__(self, root: Path, index: int) -> None:
        """Take the place of worker `index`, or one beside it where a former process still holds that."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = root
        self.name, self._lock = _first_free(root, index)
        if self.name != str(index):
            log.warning("the store of worker %d is in use; this process has %s beside it", index, self.name)

    def environment(self) -> Path:
        """The directory of this place's environment, made if there is none; leftovers are removed."""
        for partial in self.root.glob(f"{self.name}-*.partial"):
            shutil.rmtree(partial, ignore_errors=True)
        present = sorted(number for name, number in _environments(self.root) if name == self.name)
        for number in present[:-1]:  # a copy was made, and its maker died before this was removed
            shutil.rmtree(self._directory(number), ignore_errors=True)
        if present:
            return self._directory(present[-1])
        directory = self._directory(time.time_ns())
        directory.mkdir(mode=0o700)
        mark(directory)
        return directory

    def compacted(self, environment: lmdb.Environment) -> Path:
        """A copy of `environment`, which is closed then, without the room that it does not need.

        Raises `lmdb.Error` or `OSError`, and leaves `environment` open, where there is no room for one.
        """
        before = Path(environment.path())
        after = self._directory(max(time.time_ns(), int(before.name.rpartition("-")[2]) + 1))
        partial = after.with_name(f"{after.name}.partial")
        partial.mkdir(mode=0o700)
        environment.copy(str(partial), compact=True)
        mark(partial)
        partial.rename(after)
        environment.close()
        shutil.rmtree(before, ignore_errors=True)
        return after

    def set_aside(self, directory: Path) -> Path:
        """Rename an environment that can't be read, for whoever wants to know why; one is kept."""
        aside = self.root / f"unreadable-{self.name}"
        shutil.rmtree(aside, ignore_errors=True)
        directory.rename(aside)
        return aside

    def others(self) -> dict[str, Path]:
        """The environments of all other places, by the place's name."""
        numbers: dict[str, int] = {}
        for name, number in _environments(self.root):
            if name != self.name:
                numbers[name] = max(number, numbers.get(name, 0))
        return {name: self.root / f"{name}-{number}" for name, number in numbers.items()}

    def remove_abandoned(self, *, now: float, idle_s: float) -> None:
        """Remove the environments of processes that are no more, once nothing in them can be wanted."""
        for name, directory in self.others().items():
            with suppress(FileNotFoundError):
                # The age of the file is that of its last record, or less.
                if now - (directory / "data.mdb").stat().st_mtime > idle_s:
                    self._remove_unless_held(name, directory)

    def close(self) -> None:
        """Give the place free."""
        self._lock.close()

    def _remove_unless_held(self, name: str, directory: Path) -> None:
        lock = _lock(self.root, name)
        if lock is not None:
            with lock:
                shutil.rmtree(directory, ignore_errors=True)
            log.info("the sessions that worker %s stored are too old; removed", name)

    def _directory(self, number: int) -> Path:
        return self.root / f"{self.name}-{number}"


def mark(directory: Path, *, written_out: bool = False) -> None:
    """Note when what is in the environment may be trusted: as long as the machine runs, or for good."""
    fresh = directory / "about.new"
    fresh.write_text(f"{_FORMAT} {_WRITTEN_OUT if written_out else _boot()}\n")
    fresh.replace(directory / "about")


def check(directory: Path) -> None:
    """Raises `Unreadable` for an environment that must not be opened."""
    try:
        form, _, state = (directory / "about").read_text().strip().partition(" ")
    except FileNotFoundError:
        raise Unreadable("it is not complete") from None
    if form != _FORMAT:
        raise Unreadable(f"its format is {form!r}, not {_FORMAT!r}")
    # Nothing is synced while the service runs, so a machine that stopped left pages of any age.
    if state not in (_boot(), _WRITTEN_OUT):
        raise Unreadable("the machine was started again since, and not all of it was written out before")


@contextmanager
def opening(directory: Path) -> Iterator[None]:
    """Around the first reading of one's own environment. Raises `Unreadable` if that ended processes before.

    LMDB aborts where it meets pages that contradict each other, and a file cut short is a SIGBUS:
    a worker that died of its store each time it starts would serve nobody.
    """
    attempts = directory / "openings"
    with attempts.open("ab") as file:
        if file.tell() >= _PATIENCE:
            raise Unreadable(f"{_PATIENCE} openings in a row did not come to their end")
        file.write(b".")
    try:
        yield
    finally:
        attempts.unlink(missing_ok=True)


def check_length(environment: lmdb.Environment) -> None:
    """Raises `Unreadable` if the file is shorter than it says: reading past its end would be a SIGBUS."""
    wanted = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    have = (Path(environment.path()) / "data.mdb").stat().st_size
    if have < wanted:
        raise Unreadable(f"{have} bytes of {wanted} are there")


def is_mostly_empty(environment: lmdb.Environment, used_bytes: int) -> bool:
    """Whether the file would be less than half as long if it held only what is used."""
    return (Path(environment.path()) / "data.mdb").stat().st_size > 2 * used_bytes + _SLACK_BYTES


def _first_free(root: Path, index: int) -> tuple[str, IO[bytes]]:
    deadline = time.monotonic() + _WAIT_FOR_PLACE_S
    while (lock := _lock(root, str(index))) is None:
        if time.monotonic() > deadline:
            return _first_free_beside(root, index)
        time.sleep(0.01)
    return str(index), lock


def _first_free_beside(root: Path, index: int) -> tuple[str, IO[bytes]]:
    for name in (f"{index}.{beside}" for beside in count(1)):
        if (lock := _lock(root, name)) is not None:
            return name, lock
    raise AssertionError("counting never ends")


def _lock(root: Path, name: str) -> IO[bytes] | None:
    """Hold a place until the file is closed or the process ends, however it ends; None: it is taken."""
    file = (root / f"{name}.lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _environments(root: Path) -> Iterator[tuple[str, int]]:
    for entry in os.scandir(root):
        if found := _ENVIRONMENT.fullmatch(entry.name):
            yield found[1], int(found[2])


def _boot() -> str:
    """What names the time since the machine was started; the same for all its containers."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "this-boot"
