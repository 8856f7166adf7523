"""Many videos, several at a time, each a session of its own; what came of each.

Knows nothing of terminals: who shows how things get on is told (`work.Watcher`).
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from client import motion, spool
from client.inputs import Video
from client.place import Place
from client.second_pass.story import BEFORE_S
from client.work import Parts, Stopped, Watcher, Work
from wire.errors import PoseError

#: `complete`: every frame is in the result. `damaged`: the video ends early, and so does its result.
#: `failed`: there is no result. `unfinished`: it is to be gone on with.
State = Literal["complete", "damaged", "failed", "unfinished"]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one video.

    was_there: by an earlier run. frames: in the result, or on disk where it is unfinished. kept: those of
    them that an earlier run left. detected, recovered, predicted, nobody: frames, by the state of the person
    to show. failed_frames: those with an error instead of people. seconds: that this run took for it.
    """

    video: str
    result: str
    state: State
    was_there: bool = False
    frames: int = 0
    kept: int = 0
    tracks: int = 0
    detected: int = 0
    recovered: int = 0
    predicted: int = 0
    nobody: int = 0
    failed_frames: int = 0
    seconds: float = 0.0
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return asdict(self)


def places(videos: Sequence[Video], out: Path, *, before_s: float | None = BEFORE_S) -> list[Place]:
    """Where each video's result goes: one file when `out` is an `.npz`, else one for each in a folder.

    The second of two videos of one name gets a name made from where it is, the same in every run.
    Raises `ValueError` where several videos are to go into one file.
    """
    if out.suffix == ".npz":
        if len(videos) > 1:
            raise ValueError(f"{out} can hold one video, and {len(videos)} are given: name a folder")
        return [Place(out, before_s)]
    taken: dict[str, str] = {}
    found = []
    for video in videos:
        path = str(video.path.resolve())
        plain = out / f"{video.name}.npz"
        owner = taken.get(video.name) or _owner(plain) or path
        if owner != path:
            digest = hashlib.sha256(path.encode()).hexdigest()[:8]
            plain = out / f"{video.name}-{digest}.npz"
        taken.setdefault(video.name, owner)
        found.append(Place(plain, before_s))
    return found


def run(
    videos: Sequence[tuple[Video, Place]],
    parts: Parts,
    *,
    again: bool,
    watch: Callable[[Video], Watcher],
    done: Callable[[Report], None],
) -> list[Report]:
    """Work on all of them; what came of each, in the order given.

    Videos whose result is there are passed over, unless `again`. Once `parts.stopping` is set, the rest is
    left as it is, to be gone on with.
    """

    def one(video: Video, place: Place) -> Report:
        report = _one(video, place, parts, again=again, watch=watch)
        done(report)
        return report

    with ThreadPoolExecutor(parts.at_once, thread_name_prefix="video") as pool:
        return list(pool.map(lambda both: one(*both), videos))


def as_they_are(videos: Sequence[tuple[Video, Place]]) -> list[Report]:
    """What earlier runs made of each, and nothing more."""
    return [_as_it_is(video, place) for video, place in videos]


def _as_it_is(video: Video, place: Place) -> Report:
    report = Report(str(video.path), str(place.result), "unfinished")
    if (told := finished(video, place)) is not None:
        return _was_there(report, place, told)
    return _left(report, place)


def _left(report: Report, place: Place) -> Report:
    """Of a video that is to be gone on with, and that this run has not touched."""
    frames = 0
    with suppress(OSError):  # nothing is there yet
        frames, _ = spool.whole(place.folder)
    return replace(report, frames=frames, kept=frames)


def _one(
    video: Video, place: Place, parts: Parts, *, again: bool, watch: Callable[[Video], Watcher]
) -> Report:
    report = Report(str(video.path), str(place.result), "unfinished")
    started = time.monotonic()
    watcher = watch(video)
    try:
        if not again and (told := finished(video, place)) is not None:
            return _was_there(report, place, told)
        if parts.stopping.is_set():
            return _left(report, place)
        report = _worked_on(report, Work(parts, video, place, watcher), video, place)
    except OSError as failure:  # the video is not there any more
        report = replace(report, state="failed", error=_told(failure))
    finally:
        watcher.ended()
    return replace(report, seconds=time.monotonic() - started)


def _worked_on(report: Report, work: Work, video: Video, place: Place) -> Report:
    try:
        work.run()
    except Stopped:
        left = _left(report, place)
        return replace(left, kept=left.frames - work.came)
    except (PoseError, OSError) as failure:
        report = replace(report, state="failed", error=_told(failure))
    told = finished(video, place)
    if told is None:
        return report
    counted = _counted(report, place, told)
    return replace(counted, kept=counted.frames - work.came)


def _told(failure: PoseError | OSError) -> str:
    if isinstance(failure, PoseError):
        return f"{failure.code}: {failure.message}"
    return f"{failure.filename}: {failure.strerror}"


def _was_there(report: Report, place: Place, told: Mapping[str, Any]) -> Report:
    counted = _counted(report, place, told)
    return replace(counted, was_there=True, kept=counted.frames)


def _counted(report: Report, place: Place, told: Mapping[str, Any]) -> Report:
    state: State = "damaged" if told["error"] else "complete"
    return replace(report, state=state, error=told["error"], **motion.counts(place.result)._asdict())


def finished(video: Video, place: Place) -> Mapping[str, Any] | None:
    """What the result of this very video says of itself; None: there is none."""
    with suppress(OSError, ValueError):
        told = motion.about(place.result)
        if told["identity"] == video.identity() and told["before_s"] == place.before_s:
            return told
    return None


def _owner(result: Path) -> str | None:
    """Where the video is that a result belongs to, finished or not."""
    place = Place(result)
    identity = place.identity()
    return None if identity is None else str(identity["path"])
