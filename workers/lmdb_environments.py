"""The LMDB environments of a store as one worker has them open: its own to write, the others' to read.

What cannot be read is set aside where it is one's own, and passed over where it is another's. What the
records in them are, and which of them counts, is not known here.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import lmdb

from workers import lmdb_place
from workers.lmdb_place import Place, Unreadable
from workers.lmdb_records import every_head, used_bytes

log = logging.getLogger(__name__)

T = TypeVar("T")

#: More than there can be workers, with tools that look at an environment.
_MAX_READERS = 256


class Environments:
    """Open from the start until `close`; others' are opened when they are first asked for."""

    own: lmdb.Environment

    def __init__(self, root: Path, *, index: int, max_bytes: int) -> None:
        """Open the environment of worker `index`. Raises `OSError`, `lmdb.Error` where there can be none.

        max_bytes: bound of each. What cannot be read in one's own is set aside; another one takes its place.
        """
        self._max_bytes = max_bytes
        self._others: dict[Path, lmdb.Environment] = {}
        self._unreadable: set[Path] = set()  # of which the log was told
        self._place = Place(root, index)
        try:
            self._open_own()
        except BaseException:
            self._place.close()
            raise

    def read_each(self, read: Callable[[lmdb.Transaction], T | None]) -> Iterator[tuple[lmdb.Environment, T]]:
        """What `read` finds in one's own environment, then in the others', where it finds something."""
        for environment in self._every():
            found = self.read(environment, read)
            if found is not None:
                yield environment, found

    def read(self, environment: lmdb.Environment, read: Callable[[lmdb.Transaction], T]) -> T | None:
        """What `read` finds in one transaction; None where the environment cannot be read."""
        try:
            with environment.begin() as txn:
                return read(txn)
        except lmdb.Error as error:
            log.warning("reading what a worker stored failed: %s", error)
            for directory in [known for known, opened in self._others.items() if opened is environment]:
                self._others.pop(directory).close()  # to be opened again when it is needed
            return None

    def shorten(self) -> None:
        """Give back what one's own takes on disk and does not need. Raises `lmdb.Error`, `Unreadable`."""
        if lmdb_place.is_mostly_empty(self.own, used_bytes(self.own)):
            try:
                self._directory = self._place.compacted(self.own)
            except (lmdb.Error, OSError) as error:
                log.warning("the store stays longer than it need be: %s", error)
            else:
                self.own = self._open(self._directory)

    def start_anew(self) -> None:
        """Part with what one's own contains. Raises `lmdb.Error`, `Unreadable`, `OSError`."""
        self.own.close()
        if self._directory.exists():
            aside = self._place.set_aside(self._directory)
            log.critical("the store is of no use any more, and is in %s from now on", aside)
        self._directory = self._place.environment()
        self.own = self._open(self._directory)

    def remove_abandoned(self, *, now: float, idle_s: float) -> None:
        """Remove those of workers that are no more, once they were not written for `idle_s`."""
        self._place.remove_abandoned(now=now, idle_s=idle_s)

    def close(self) -> None:
        """Write out one's own, and end."""
        for environment in self._others.values():
            environment.close()
        self._others.clear()
        with suppress(lmdb.Error, OSError):
            self.own.sync(True)
            self.own.close()
            lmdb_place.mark(self._directory, written_out=True)
        self._place.close()

    def _every(self) -> Iterator[lmdb.Environment]:
        """One's own environment, and those of the others as they are now."""
        yield self.own
        present = set(self._place.others().values())
        self._unreadable &= present
        for directory in self._others.keys() - present:
            self._others.pop(directory).close()
        for directory in present:
            if environment := self._others.get(directory) or self._open_other(directory):
                yield environment

    def _open_own(self) -> None:
        self._directory = self._place.environment()
        try:
            lmdb_place.check(self._directory)
            with lmdb_place.opening(self._directory):
                self.own = self._open(self._directory)
                with self.own.begin() as txn:
                    list(every_head(txn))  # whether they can all be read
        except (lmdb.Error, Unreadable) as error:
            aside = self._place.set_aside(self._directory)
            log.error("what was stored cannot be read, and is in %s from now on: %s", aside, error)
            self._directory = self._place.environment()
            self.own = self._open(self._directory)
        lmdb_place.mark(self._directory)

    def _open(self, directory: Path, *, readonly: bool = False) -> lmdb.Environment:
        """An environment of the right length. Raises `lmdb.Error`, `Unreadable`."""
        environment = lmdb.open(
            str(directory),
            map_size=self._max_bytes,
            readonly=readonly,
            create=not readonly,
            mode=0o600,
            sync=False,
            metasync=False,
            max_readers=_MAX_READERS,
            max_spare_txns=1,  # who registered as a reader stays registered
        )
        try:
            lmdb_place.check_length(environment)
        except BaseException:
            environment.close()
            raise
        return environment

    def _open_other(self, directory: Path) -> lmdb.Environment | None:
        try:
            lmdb_place.check(directory)
            environment = self._open(directory, readonly=True)
        except (lmdb.Error, Unreadable, OSError) as error:
            if directory not in self._unreadable:
                self._unreadable.add(directory)
                log.warning("what is stored in %s cannot be read: %s", directory.name, error)
            return None
        self._others[directory] = environment
        return environment
