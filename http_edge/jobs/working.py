"""One video job, from wherever it was left to its end.

A job goes on after its last entry if the service still knows the video's past. That is found out, not
assumed: the last entry's frame is sent once more, and a session that has it gives the very same answer.
If not, or if an answer says that time went on without a frame, the video is begun anew in another session.
So a result is always that of an undisturbed run.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from client import footage, pictures
from client.footage import Footage
from client.pictures import Picture
from client.sending import Sending
from client.under_way import Interrupted, OrderLost, Outcome, Question
from http_edge.jobs import results
from http_edge.jobs.archive import Archive
from http_edge.jobs.catalogue import Job
from http_edge.jobs.entries import entry, failed_entry
from http_edge.jobs.results import FAILED, NOBODY, ResultFile
from http_edge.jobs.traffic import JobTraffic, Traffic
from http_edge.topology import BodyFile
from wire.connection import Connection
from wire.errors import (
    Internal,
    InvalidVideo,
    JobCancelled,
    PoseError,
    SessionLost,
    StorageFull,
    VideoTooLong,
)
from wire.settings import Settings
from wire.shelf import Shelf, can_lend

log = logging.getLogger(__name__)

#: How often a video is begun anew before its job is given up.
_MAX_ATTEMPTS = 5

#: How often a job may end its program without a new frame before it is given up.
_MAX_IDLE_STARTS = 3

#: Time between two looks at whether the job is to go on, which also write down how far it is.
_NOTE_S = 0.5

#: Time between two looks at the room on disk.
_ROOM_S = 2.0

_RETRY_S = 2.0
_STATUS_TIMEOUT_S = 0.5

#: A frame that waits has nobody who waits for it, so it may wait until the workers are back.
_FRAME_DEADLINE_S = 3600.0

#: Share of the broker's bytes that the frames of one job may take.
_WINDOW_SHARE = 8


class Stopped(Exception):
    """The program is to end; the job goes on when it starts again."""


class HistoryLost(Exception):
    """What the service knew of the video's past is gone."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What working on jobs stands on."""

    settings: Settings
    archive: Archive
    broker: Connection
    traffic: Traffic
    body: BodyFile
    stopping: threading.Event


class Work:
    """One job under way."""

    def __init__(self, parts: Parts, job: Job, *, clock: Callable[[], float] = time.time) -> None:
        self._parts = parts
        self._catalogue = parts.archive.catalogue
        self._settings = parts.settings
        self._job = job
        self._clock = clock
        self._result = parts.archive.result(job.job_id)
        self._frames_done = 0
        self._frames_expected: int | None = None
        self._frames_per_second: float | None = None
        self._noted_at = self._looked_at = 0.0
        self._taken_over = True  # from a program that may have ended long ago

    def run(self) -> None:
        """Go through the video; every way in which that ends is in the catalogue afterwards."""
        job_id = self._job.job_id
        try:
            self._run()
        except Stopped:
            self._catalogue.put_back(job_id)
            return
        except JobCancelled:
            log.info("job=%s cancelled after %d frames", job_id, self._frames_done)
            self._parts.archive.remove(job_id)
        except PoseError as error:
            self._fail(error)
        except Exception:
            log.exception("job=%s failed", job_id)
            self._fail(Internal("an internal error; the log of the service tells more"))
        self._parts.archive.remove_upload(job_id)

    def _run(self) -> None:
        if self._job.idle_starts > _MAX_IDLE_STARTS:
            raise InvalidVideo(f"reading it ended the program {_MAX_IDLE_STARTS} times")
        while True:
            try:
                frames = self._go_through()
            except Interrupted as error:
                log.warning("job=%s waits at frame %d: %s", self._job.job_id, self._frames_done, error)
                self._pause(error.retry_after_s or _RETRY_S)
            except (HistoryLost, OrderLost):
                self._begin_anew()
            else:
                self._catalogue.complete(self._job.job_id, frames=frames, now=self._clock())
                log.info("job=%s complete frames=%d", self._job.job_id, frames)
                return

    def _go_through(self) -> int:
        """Add the entries that are missing; how many there are then."""
        limit = self._settings.max_video_frames
        with footage.opened(self._file(), max_pixels=self._settings.max_image_pixels) as video:
            self._frames_expected, self._frames_per_second = video.frame_count, video.frames_per_second
            if (video.frame_count or 0) > limit:
                raise VideoTooLong(f"the video has {video.frame_count} frames, the limit is {limit}")
            is_recent = self._is_recent()
            with ResultFile(self._result) as file, closing(Shelf(self._settings.max_lent_pictures)) as shelf:
                if file.kept.entries and not (is_recent and self._tells(file.kept.last)):
                    raise HistoryLost
                self._taken_over = False
                self._frames_done = file.kept.entries
                self._add_missing(video, file, shelf)
        return self._frames_done

    def _add_missing(self, video: Footage, file: ResultFile, shelf: Shelf) -> None:
        kept, failed = file.kept, file.kept.failed
        first = max(0, kept.entries - 1)
        for outcome in self._sending(shelf).outcomes(self._pictures(video, first)):
            line = self._entry(outcome)
            if outcome.picture.number < kept.entries:
                if line != kept.last:
                    raise HistoryLost
                continue
            failed += FAILED in line
            if not isinstance(outcome.answer, PoseError):
                result = outcome.answer.result
                if result.history == "cold" or result.skipped > failed:
                    raise HistoryLost
            self._add(file, line)

    def _add(self, file: ResultFile, line: bytes) -> None:
        try:
            file.add(line)
        except OSError as error:
            raise StorageFull(f"the entry cannot be written: {error.strerror}") from error
        self._frames_done += 1
        if (now := time.monotonic()) - self._looked_at > _ROOM_S:
            self._looked_at = now
            self._parts.archive.make_room(now=self._clock())

    def _pictures(self, video: Footage, first: int) -> Iterator[Picture]:
        """The frames from number `first` on; those before it are decoded as well, for they lead to it."""
        for shown in video.frames():
            if shown.number >= self._settings.max_video_frames:
                raise VideoTooLong(f"the video has more than {self._settings.max_video_frames} frames")
            if shown.number >= first:
                yield pictures.of_array(shown.image, number=shown.number, time_s=shown.time_s)
            else:
                self._go_on()

    def _entry(self, outcome: Outcome) -> bytes:
        number, time_s = outcome.picture.number, outcome.picture.time_s
        assert time_s is not None  # frames of videos have one
        if isinstance(outcome.answer, PoseError):
            log.warning("job=%s frame=%d: %s", self._job.job_id, number, outcome.answer)
            return failed_entry(outcome.answer, number=number, time_s=time_s)
        return entry(
            *outcome.answer,
            number=number,
            time_s=time_s,
            topology=self._parts.body.topology(),
            keypoints=self._settings.keypoints,
            meshes=self._job.meshes,
        )

    def _sending(self, shelf: Shelf) -> Sending:
        settings = self._settings
        # A frame is sent once more after all that were under way with it: its answer must still be kept.
        kept = max(settings.kept_answers, settings.worker_credits)
        traffic = JobTraffic(
            self._parts.traffic,
            window_frames=max(1, min(settings.job_window_frames, kept - 1)),
            window_bytes=settings.max_queue_bytes // _WINDOW_SHARE,
        )
        question = Question(
            self._job.session_id,
            client="jobs",
            frames_per_second=self._frames_per_second,
            meshes=self._job.meshes,
            deadline_s=_FRAME_DEADLINE_S,
        )
        lent = shelf if self._can_lend() else None
        return Sending(self._parts.traffic, traffic, question, go_on=self._go_on, shelf=lent)

    def _can_lend(self) -> bool:
        """Whether the workers can read our memory; no, where nobody says so."""
        try:
            status = self._parts.broker.status(timeout_s=_STATUS_TIMEOUT_S)
        except PoseError:
            return False
        return can_lend(status, self._settings.broker_addresses())

    def _go_on(self) -> None:
        """Note how far the job is. Raises `Stopped` or `JobCancelled` where it is not to go on."""
        if self._parts.stopping.is_set():
            raise Stopped
        if (now := time.monotonic()) - self._noted_at > _NOTE_S:
            self._noted_at = now
            self._catalogue.note(
                self._job.job_id,
                frames_done=self._frames_done,
                frames_expected=self._frames_expected,
                frames_per_second=self._frames_per_second,
            )

    def _is_recent(self) -> bool:
        """Whether the session cannot have been forgotten for being quiet."""
        modified_at = results.modified_at(self._result)
        return modified_at is None or self._clock() - modified_at < self._settings.session_idle_s / 2

    def _tells(self, last: bytes) -> bool:
        """Whether the same answer would show that its session is known: nobody is what any session sees."""
        return not (self._taken_over and NOBODY in last)

    def _begin_anew(self) -> None:
        if self._job.attempt + 1 >= _MAX_ATTEMPTS:
            raise SessionLost(f"what was known of the video's past was lost {_MAX_ATTEMPTS} times")
        log.warning("job=%s begins anew: its session is not known any more", self._job.job_id)
        self._result.unlink(missing_ok=True)
        self._frames_done = 0
        job = self._catalogue.begin_anew(self._job.job_id)
        if job is None:
            raise JobCancelled("the job is forgotten")
        self._job = job

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._parts.stopping.wait(_NOTE_S)
            self._go_on()

    def _file(self) -> Path:
        path = Path(self._job.file)
        if not path.is_file():
            raise InvalidVideo("the file is not there any more")
        return path

    def _fail(self, error: PoseError) -> None:
        log.info("job=%s failed: %s: %s", self._job.job_id, error.code, error)
        self._catalogue.fail(self._job.job_id, error, now=self._clock())
        self._parts.archive.remove(self._job.job_id)
