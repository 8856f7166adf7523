"""The files of video jobs: what was uploaded for them, what came of them, and how much room both take."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from http_edge.jobs.catalogue import Catalogue
from wire.errors import StorageFull

log = logging.getLogger(__name__)

#: Files without a job are what a killed program left, once they are older than any upload takes.
_LEFT_OVER_S = 3600.0


class Archive:
    """One directory, with the catalogue in it; for any thread of any process."""

    def __init__(self, directory: Path, *, max_bytes: int, kept_s: float) -> None:
        """Makes what is missing. Raises `OSError` or `sqlite3.Error`."""
        self._uploads, self._results = directory / "uploads", directory / "results"
        for folder in (self._uploads, self._results):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._max_bytes = max_bytes
        self._kept_s = kept_s
        self.catalogue = Catalogue(directory / "jobs.sqlite")

    def upload(self, job_id: str) -> Path:
        """Where the upload of a job is."""
        return self._uploads / job_id

    def result(self, job_id: str) -> Path:
        """Where the entries of its frames are."""
        return self._results / job_id

    def used_bytes(self) -> int:
        """Of all files."""
        return sum(size_bytes for _, size_bytes, _ in self._files())

    def make_room(self, needed_bytes: int = 0, *, now: float) -> None:
        """Remove the oldest results until so much more fits. Raises `StorageFull` where it can't."""
        excess = self.used_bytes() + needed_bytes - self._max_bytes
        for job in self.catalogue.ended_before(now) if excess > 0 else []:
            excess -= sum(_size_bytes(path) for path in (self.upload(job.job_id), self.result(job.job_id)))
            log.warning("job=%s its result makes room for others", job.job_id)
            self.remove(job.job_id)
            self.catalogue.forget(job.job_id)
            if excess <= 0:
                return
        if excess > 0:
            raise StorageFull(f"videos and results may take {self._max_bytes} bytes, and do")

    def expire(self, *, now: float) -> None:
        """Remove what is older than it is kept, and what belongs to nobody."""
        for job in self.catalogue.ended_before(now - self._kept_s):
            log.info("job=%s expired", job.job_id)
            self.remove(job.job_id)
            self.catalogue.forget(job.job_id)
        for path, _, modified_at in list(self._files()):
            if modified_at < now - _LEFT_OVER_S and self.catalogue.find(path.name) is None:
                path.unlink(missing_ok=True)

    def remove_upload(self, job_id: str) -> None:
        """The video has been gone through."""
        self.upload(job_id).unlink(missing_ok=True)

    def remove(self, job_id: str) -> None:
        """Remove the files of a job."""
        self.remove_upload(job_id)
        self.result(job_id).unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[Path, int, float]]:
        """Each file with its size and when it was last written, seconds of the wall clock."""
        for folder in (self._uploads, self._results):
            with os.scandir(folder) as found:
                for entry in found:
                    try:
                        status = entry.stat()
                    except FileNotFoundError:
                        continue
                    yield Path(entry.path), status.st_size, status.st_mtime


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
