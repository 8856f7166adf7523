"""Which video jobs there are and how far each is: one table in SQLite, for the edge and the job program.

The row is the queue as well as the record. A job is taken by a change of its status, not by being removed, so
one that was under way when its program died is still there; queues that hand out and delete lose it.
Times are arguments, in seconds of the wall clock.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from wire.errors import Busy, JobCancelled, PoseError

Status = Literal["queued", "processing", "complete", "error"]

#: Longest wait for another process that writes.
_LOCK_TIMEOUT_S = 10.0
_LOCK_RETRY_S = 0.02

_FULL_RETRY_S = 30.0

_TABLE = """
create table if not exists jobs (
    turn integer primary key autoincrement,
    job_id text not null unique,
    video_path text not null,
    file text not null,
    meshes integer not null,
    status text not null default 'queued',
    queued_at real not null,
    started_at real,
    completed_at real,
    frames_done integer not null default 0,
    frames_expected integer,
    frames_per_second real,
    attempt integer not null default 0,
    idle_starts integer not null default 0,
    error text,
    code text
)
"""
_INDEX = "create index if not exists jobs_by_status on jobs (status, turn)"


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is asked for. video_path: as its caller calls it; file: where it is."""

    job_id: str
    video_path: str
    file: str
    meshes: bool


@dataclass(frozen=True, slots=True)
class Job:
    """A row. attempt: how often the video was begun anew; idle_starts: starts since its last new frame."""

    turn: int
    job_id: str
    video_path: str
    file: str
    meshes: bool
    status: Status
    queued_at: float
    started_at: float | None
    completed_at: float | None
    frames_done: int
    frames_expected: int | None
    frames_per_second: float | None
    attempt: int
    idle_starts: int
    error: str | None
    code: str | None

    @property
    def session_id(self) -> str:
        """The session that its frames are sent in; another one each time the video is begun anew."""
        return f"job-{self.job_id}-{self.attempt}"

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ("complete", "error")


_COLUMNS = ", ".join(field.name for field in fields(Job))


class Catalogue:
    """The table; for any thread of any process."""

    def __init__(self, path: Path) -> None:
        """Raises `sqlite3.Error` where the file cannot be used."""
        self._path = path
        self._log_ahead()
        with self._writing() as database:
            database.execute(_TABLE)
            database.execute(_INDEX)

    # ------------------------------------------------------------------ for the edge

    def add(self, job: NewJob, *, now: float, max_queued: int) -> Job:
        """Queue a job. Raises `Busy` where so many wait already."""
        with self._writing() as database:
            (waiting,) = database.execute("select count(*) from jobs where status = 'queued'").fetchone()
            if waiting >= max_queued:
                raise Busy(f"{waiting} videos are waiting", retry_after_s=_FULL_RETRY_S)
            row = database.execute(
                "insert into jobs (job_id, video_path, file, meshes, queued_at)"
                f" values (?, ?, ?, ?, ?) returning {_COLUMNS}",
                (job.job_id, job.video_path, job.file, job.meshes, now),
            ).fetchone()
        return _job(row)

    def find(self, job_id: str) -> Job | None:
        """The job of that id, if there is one."""
        with self._connected() as database:
            row = database.execute(f"select {_COLUMNS} from jobs where job_id = ?", (job_id,)).fetchone()
        return row and _job(row)

    def position(self, job: Job) -> int:
        """How many jobs are waiting up to this one, itself included; 0 once it waits no longer."""
        if job.status != "queued":
            return 0
        with self._connected() as database:
            query = "select count(*) from jobs where status = 'queued' and turn <= ?"
            (waiting,) = database.execute(query, (job.turn,)).fetchone()
        return int(waiting)

    def counts(self) -> dict[Status, int]:
        """How many jobs there are of each status."""
        counts: dict[Status, int] = {"queued": 0, "processing": 0, "complete": 0, "error": 0}
        with self._connected() as database:
            counts.update(database.execute("select status, count(*) from jobs group by status").fetchall())
        return counts

    def typical_s(self) -> float | None:
        """How long the last few videos took, on average; None: none yet."""
        query = (
            "select avg(completed_at - started_at) from (select * from jobs"
            " where status = 'complete' order by completed_at desc limit 10)"
        )
        with self._connected() as database:
            (seconds,) = database.execute(query).fetchone()
        return None if seconds is None else float(seconds)

    def cancel(self, job_id: str, *, now: float) -> None:
        """End a job, whatever its state. Whoever works on it notices with the next frame."""
        cancelled = JobCancelled("the job was cancelled, and its files are removed")
        with self._writing() as database:
            _end(database, job_id, cancelled, now=now, of=("queued", "processing", "complete"))

    # ----------------------------------------------------------- for the job program

    def take_back(self) -> int:
        """Queue again, in their places, the jobs that a program which is no more was working on."""
        with self._writing() as database:
            return database.execute("update jobs set status = 'queued' where status = 'processing'").rowcount

    def put_back(self, job_id: str) -> None:
        """Queue one again, in its place, for its program stops in peace: that start does not count."""
        with self._writing() as database:
            database.execute(
                "update jobs set status = 'queued', idle_starts = max(0, idle_starts - 1)"
                " where job_id = ? and status = 'processing'",
                (job_id,),
            )

    def take(self, *, now: float) -> Job | None:
        """The next job, which is now processing; None: none waits."""
        with self._writing() as database:
            row = database.execute(
                "update jobs set status = 'processing', started_at = coalesce(started_at, ?),"
                " idle_starts = idle_starts + 1 where turn ="
                " (select turn from jobs where status = 'queued' order by turn limit 1)"
                f" returning {_COLUMNS}",
                (now,),
            ).fetchone()
        return row and _job(row)

    def note(
        self, job_id: str, *, frames_done: int, frames_expected: int | None, frames_per_second: float | None
    ) -> None:
        """Write down how far a job is. Raises `JobCancelled` where it is not to go on."""
        with self._writing() as database:
            changed = database.execute(
                "update jobs set idle_starts = iif(? > frames_done, 0, idle_starts), frames_done = ?,"
                " frames_expected = ?, frames_per_second = ? where job_id = ? and status = 'processing'",
                (frames_done, frames_done, frames_expected, frames_per_second, job_id),
            ).rowcount
        if not changed:
            raise JobCancelled("the job was cancelled")

    def begin_anew(self, job_id: str) -> Job | None:
        """Nothing counts of what was done so far: the same job with another session."""
        with self._writing() as database:
            row = database.execute(
                "update jobs set attempt = attempt + 1, frames_done = 0"
                f" where job_id = ? returning {_COLUMNS}",
                (job_id,),
            ).fetchone()
        return row and _job(row)

    def complete(self, job_id: str, *, frames: int, now: float) -> None:
        """A video is done, with so many entries."""
        with self._writing() as database:
            database.execute(
                "update jobs set status = 'complete', completed_at = ?, frames_done = ?, frames_expected = ?"
                " where job_id = ? and status = 'processing'",
                (now, frames, frames, job_id),
            )

    def fail(self, job_id: str, error: PoseError, *, now: float) -> None:
        """A job is over, by name."""
        with self._writing() as database:
            _end(database, job_id, error, now=now, of=("queued", "processing"))

    # --------------------------------------------------------------- for housekeeping

    def ended_before(self, moment: float) -> list[Job]:
        """The jobs that ended before then, the oldest first."""
        query = f"select {_COLUMNS} from jobs where completed_at < ? order by completed_at"
        with self._connected() as database:
            return [_job(row) for row in database.execute(query, (moment,)).fetchall()]

    def forget(self, job_id: str) -> None:
        """Nobody will ask for it any more."""
        with self._writing() as database:
            database.execute("delete from jobs where job_id = ?", (job_id,))

    def _log_ahead(self) -> None:
        """Let readers read while somebody writes; the file remembers it.

        SQLite does not wait for its lock here, and all programs of a service start at the same time.
        """
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                with self._connected() as database:
                    database.execute("pragma journal_mode = wal")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOCK_RETRY_S)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that is written as a whole, or not at all; nobody else writes meanwhile."""
        with self._connected() as database:
            database.execute("begin immediate")
            yield database
            database.execute("commit")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection for one thread; who reads over it waits for nobody."""
        database = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S, isolation_level=None)
        try:
            database.execute("pragma synchronous = normal")
            yield database
        finally:
            database.close()


def _end(
    database: sqlite3.Connection, job_id: str, error: PoseError, *, now: float, of: tuple[Status, ...]
) -> None:
    states = ", ".join("?" * len(of))
    database.execute(
        "update jobs set status = 'error', completed_at = ?, error = ?, code = ?"
        f" where job_id = ? and status in ({states})",
        (now, error.message, error.code, job_id, *of),
    )


def _job(row: tuple[Any, ...]) -> Job:
    named = dict(zip((field.name for field in fields(Job)), row, strict=True))
    return Job(**named | {"meshes": bool(named["meshes"])})
