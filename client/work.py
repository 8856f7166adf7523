"""One video, from wherever it was left to its end.

It goes on after the last frame that is on disk if the service still knows the video's past. That is found
out, not assumed: the last frame that shows somebody is sent once more with those after it, and a session
that has them gives the very same answers. If not, or if an answer says that time went on without a frame,
the video is begun anew in another session. So a result is always that of an undisturbed run. Once all frames
are on disk nothing is asked any more.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from client import motion, records, spool
from client.inputs import Opened, Video
from client.motion import About
from client.place import Notes, Place, begun
from client.records import Record, Records
from client.second_pass import story as second_pass
from client.sending import Sending
from client.spool import Spool
from client.under_way import Interrupted, OrderLost, Outcome, Question
from client.window import FRAMES, Window
from wire.connection import Connection
from wire.errors import (
    ImageTooLarge,
    InvalidVideo,
    PoseError,
    SessionLost,
    StorageFull,
    TruncatedVideo,
    named,
)
from wire.shelf import Shelf

log = logging.getLogger(__name__)

#: How often a video is begun anew before it is given up.
_MAX_ATTEMPTS = 5

#: Nobody waits for a single frame, so it may wait until broker and workers are back.
_FRAME_DEADLINE_S = 3600.0

#: Answers that workers keep for each session where the broker does not say (`POSE_KEPT_ANSWERS`).
_KEPT_ANSWERS = 16

_IDLE_S = 300.0
_RETRY_S = 2.0
_LOOK_S = 0.2

#: What a video is found to be only on the way; what came before it is a result.
_OF_THE_VIDEO = (InvalidVideo, TruncatedVideo, ImageTooLarge)


class Stopped(Exception):
    """Somebody wants to stop; the video can be gone on with."""


class HistoryLost(Exception):
    """What the service knew of the video's past is gone."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What all videos of one run share.

    limits: the broker's. rate: of folders of pictures, frames per second. at_once: videos worked on at a
    time. body: the workers', as `body.stated` says it. shelf: from which the workers can read pictures; None:
    there is none.
    """

    broker: Connection
    limits: Mapping[str, float]
    max_pixels: int
    rate: float
    at_once: int
    stopping: threading.Event
    body: str = ""
    shelf: Shelf | None = None


class Watcher:
    """Whoever wants to see how a video gets on; this one looks away."""

    def began(self, frames: int | None) -> None:
        """The video is open and announces so many frames."""

    def kept(self, folder: Path) -> None:
        """So much of it was on disk already."""

    def came(self, record: Record) -> None:
        """One more frame is on disk."""

    def anew(self) -> None:
        """All frames are dropped."""

    def ended(self) -> None:
        """Nothing more comes in this run."""


class Work:
    """One video under way."""

    def __init__(self, parts: Parts, video: Video, place: Place, watcher: Watcher) -> None:
        self._parts = parts
        self._video = video
        self._place = place
        self._watcher = watcher
        self._identity = video.identity()
        self._notes = self._kept_notes()
        self.came = 0  # frames on disk of this run

    def run(self) -> None:
        """Go through the video and write its result.

        Raises `Stopped`, or the `PoseError` that keeps the video from having a result. One that ends before
        its end has a result that says so, and raises as well.
        """
        while True:
            try:
                self._go_through()
                return
            except Interrupted as error:
                log.warning("%s waits: %s", self._video.name, error)
                self._pause(error.retry_after_s or _RETRY_S)
            except (HistoryLost, OrderLost):
                self._begin_anew()

    def _go_through(self) -> None:
        with self._video.opened(max_pixels=self._parts.max_pixels, rate=self._parts.rate) as opened:
            self._watcher.began(opened.frame_count)
            with self._spool() as frames:
                self._watcher.kept(self._place.folder)
                if frames.frames != self._notes.frames:
                    self._add_all(opened, frames)
            error = self._noted_error()
            self._finish(opened, error)
        if error is not None:
            raise error

    def _add_all(self, opened: Opened, frames: Spool) -> None:
        """Add the frames that are missing, and note that they are all there."""
        if frames.frames and not self._is_recent(frames):
            raise HistoryLost
        error = self._add_missing(opened, frames)
        if error is not None and not frames.frames:
            raise error
        self._note(frames=frames.frames, error=None if error is None else (error.code, error.message))

    def _noted_error(self) -> PoseError | None:
        """What was wrong with the video, of which all frames are there."""
        return None if self._notes.error is None else named(*self._notes.error)

    def _add_missing(self, opened: Opened, frames: Spool) -> PoseError | None:
        """Add the frames that are missing; what was wrong with the video where it ends too early."""
        known = frames.frames
        headers = frames.headers()
        first = _telling(headers, self._most_repeated())
        failed = int((headers["errors"][:first] != b"").sum())
        window = Window(self._parts.limits, videos=self._parts.at_once)
        sending = Sending(
            self._parts.broker, window, self._question(opened), go_on=self._go_on, shelf=self._parts.shelf
        )
        try:
            for outcome in sending.outcomes(opened.pictures(first, self._go_on)):
                record = records.of_outcome(outcome)
                failed += isinstance(outcome.answer, PoseError)
                if outcome.picture.number < known:
                    if record != frames.record(outcome.picture.number):
                        raise HistoryLost
                    continue
                self._check_history(outcome, failed)
                self._add(frames, record)
        except _OF_THE_VIDEO as error:
            return error
        return None

    def _check_history(self, outcome: Outcome, failed: int) -> None:
        if isinstance(outcome.answer, PoseError):
            log.warning("%s frame=%d: %s", self._video.name, outcome.picture.number, outcome.answer)
            return
        result = outcome.answer.result
        if result.history == "cold" or result.skipped > failed:
            raise HistoryLost
        if result.model_version != self._notes.model_version:
            self._note(model_version=result.model_version)

    def _add(self, frames: Spool, record: Record) -> None:
        try:
            frames.add(record)
        except OSError as error:
            raise StorageFull(f"the result cannot be written: {error.strerror}") from error
        self.came += 1
        self._watcher.came(record)

    def _finish(self, opened: Opened, error: PoseError | None) -> None:
        told = About(
            source=self._video.name,
            frames_per_second=opened.frames_per_second,
            model_version=self._notes.model_version,
            error=None if error is None else f"{error.code}: {error.message}",
            body=self._parts.body,
        )
        before_s = self._place.before_s
        if before_s is None:
            rows = motion.as_answered(self._place.folder)
        else:
            rows, merged = second_pass.finish(self._place.folder, before_s=before_s)
            told = told._replace(passes=2, merged=merged, before_s=before_s)
        motion.write(rows, self._place.result, told, identity=self._identity)
        spool.remove(self._place.folder)

    def _question(self, opened: Opened) -> Question:
        return Question(
            self._notes.session_id,
            client="bulk",
            frames_per_second=opened.frames_per_second,
            deadline_s=_FRAME_DEADLINE_S,
        )

    # ------------------------------------------------------------ what is on disk

    def _spool(self) -> Spool:
        frames = Spool(self._place.folder)
        self._place.note(self._notes)
        return frames

    def _kept_notes(self) -> Notes:
        """What an earlier run noted of this very video; else new notes, and what is there is dropped."""
        notes = self._place.notes()
        if notes is not None and notes.identity == self._identity:
            return notes
        spool.remove(self._place.folder)
        return begun(self._identity)

    def _note(self, **changes: object) -> None:
        self._notes = replace(self._notes, **changes)
        self._place.note(self._notes)

    # ------------------------------------------------------------ whether it can be gone on with

    def _is_recent(self, frames: Spool) -> bool:
        """Whether the session cannot have been forgotten for being quiet."""
        idle_s = self._parts.limits.get("session_idle_s", _IDLE_S)
        return time.time() - frames.left_at_s < idle_s / 2

    def _most_repeated(self) -> int:
        """How many frames may be sent again so that their answers are still kept.

        All that were under way when the last run ended came after them.
        """
        return max(1, int(self._parts.limits.get("kept_answers", _KEPT_ANSWERS)) - FRAMES)

    def _begin_anew(self) -> None:
        attempt = self._notes.attempt + 1
        if attempt >= _MAX_ATTEMPTS:
            raise SessionLost(f"what was known of the video's past was lost {_MAX_ATTEMPTS} times")
        log.warning("%s begins anew: its session is not known any more", self._video.name)
        self._watcher.anew()
        self.came = 0
        spool.remove(self._place.folder)
        self._notes = begun(self._identity, attempt=attempt)

    # ------------------------------------------------------------ stopping

    def _go_on(self) -> None:
        if self._parts.stopping.is_set():
            raise Stopped

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._parts.stopping.wait(_LOOK_S)
            self._go_on()


def _telling(headers: Records, most: int) -> int:
    """The frame to go on with: the last one with people, of the last `most`. Raises `HistoryLost`.

    Nobody is what any session sees, so frames without people tell nothing of theirs.
    """
    if not len(headers):
        return 0
    populated = np.flatnonzero(headers["people"][-most:])
    if not len(populated):
        raise HistoryLost
    return max(0, len(headers) - most) + int(populated[-1])
