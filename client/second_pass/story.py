"""The second pass over a video: from the answers in a spool's folder to what its result file is made of.

Who is one person (`identity`), when is he there (`timeline`), how does he move (`person`). One person's
motion is in memory at a time; what is finished lies in the folder until the file is written. The answers are
left as they are, and the same answers give the same result.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from client import spool
from client.motion import Rows
from client.records import FINISHED, FRAME, NOBODY, PERSON, Records, as_answered
from client.second_pass import identity, person
from client.second_pass.timeline import Timeline, Video, timeline
from client.second_pass.turns import Counts

#: How long before they are first seen people are filled in, unless somebody says otherwise, seconds.
BEFORE_S: Final = 0.5

#: Frames a second of a video that does not say when its frames are.
_RATE: Final = 30.0
#: Frames of a person that are in memory at a time, and frames beside them that are looked at for their sake.
_PIECE: Final = 2048
_BESIDE: Final = 256
#: Answers that a shape is the mean of, at most.
_FOR_SHAPE: Final = 2000
#: In the folder: people as finished.
_FINISHED: Final = "finished"


class Finished(NamedTuple):
    """What a result file is made of, and which track ids were given up for which."""

    rows: Rows
    merged: Mapping[int, int]


class _Answers(NamedTuple):
    """The answers in a folder: `FRAME` records (F,), and `PERSON` records (R,) on disk.

    frames, track_ids: (R,), the frame that each is of, and whose it is.
    """

    headers: Records
    people: Records
    frames: Counts
    track_ids: Counts

    def of(self, ids: Counts) -> Counts:
        """Which of the R belong to a person, by the track ids that he had."""
        return np.flatnonzero(np.isin(self.track_ids, ids))


def finish(folder: Path, *, before_s: float = BEFORE_S) -> Finished:
    """Look at the answers in `folder` again; people are filled in up to `before_s` before they are seen."""
    answers = _answers(folder)
    video = _video(answers.headers)
    merged = _merged(answers, video)
    final_ids = np.array([merged.get(track_id, track_id) for track_id in answers.track_ids.tolist()], int)
    whose = [
        (track_id, _shown(answers, np.flatnonzero(final_ids == track_id)))
        for track_id in np.unique(final_ids)
    ]
    when = [
        timeline(answers.frames[rows], _seen(answers.people[rows]), video, before_s=before_s)
        for _, rows in whose
    ]
    people = np.zeros(len(video.times_s), int)
    for one in when:
        people[one.frames] += 1
    finished = _room(folder / _FINISHED, int(people.sum()))
    free = np.cumsum(people) - people  # by rising track id within a frame
    for (track_id, rows), one in zip(whose, when, strict=True):
        for frames, told in _looked_at(answers.people, rows, one, video):
            told["track_ids"] = track_id
            finished[free[frames]] = told
            free[frames] += 1
    if isinstance(finished, np.memmap):
        finished.flush()
    headers = answers.headers.copy()
    headers["people"] = people
    headers["primary_tracks"] = _primary(headers, when, [track_id for track_id, _ in whose], merged, video)
    return Finished(
        Rows(len(headers), len(finished), lambda: _chunks(headers, folder / _FINISHED)),
        merged,
    )


def _answers(folder: Path) -> _Answers:
    frames, people = spool.whole(folder)
    headers = np.fromfile(folder / "frames", FRAME, frames)
    on_disk = np.memmap(folder / "people", PERSON, "r", shape=(people,)) if people else np.zeros(0, PERSON)
    return _Answers(
        headers,
        on_disk,
        np.repeat(np.arange(frames), headers["people"]),
        np.array(on_disk["track_ids"], int),
    )


def _video(headers: Records) -> Video:
    times_s = headers["times_s"].astype(np.float64)
    if not np.isfinite(times_s).all() or (np.diff(times_s) <= 0).any():
        times_s = np.arange(len(times_s)) / _RATE
    return Video(
        times_s=times_s,
        sizes_px=headers["sizes_px"],
        shots=np.cumsum(headers["new_shots"]),
        failed=headers["errors"] != b"",
    )


def _merged(answers: _Answers, video: Video) -> Mapping[int, int]:
    lives = []
    for track_id in np.unique(answers.track_ids):
        rows = answers.of(track_id)
        lived = identity.life(answers.people[rows], answers.frames[rows], video)
        lives += [] if lived is None else [lived]
    return identity.merged(lives, video)


def _shown(answers: _Answers, rows: Counts) -> Counts:
    """Of the answers that are one person's, one a frame: the one that shows him, if any does."""
    order = np.lexsort([~_seen(answers.people[rows]), answers.frames[rows]])
    ordered = rows[order]
    return ordered[np.unique(answers.frames[ordered], return_index=True)[1]]


def _seen(people: Records) -> npt.NDArray[np.bool_]:
    return np.asarray(people["states"] != person.PREDICTED)


def _looked_at(
    people: Records, rows: Counts, when: Timeline, video: Video
) -> Iterator[tuple[Counts, Records]]:
    """Frames of a person, whose answers are `rows` of `people`, with what is finished of them, in pieces."""
    shown = rows[when.rows[when.seen]]
    if not len(shown):  # nobody was seen: what the service says is all that there is
        yield when.frames, as_answered(people[rows])
        return
    some = shown[np.linspace(0, len(shown) - 1, min(len(shown), _FOR_SHAPE)).astype(int)]
    shape = person.shape_of(people[some])
    for start in range(0, len(when.frames), _PIECE):
        end = min(start + _PIECE, len(when.frames))
        first, last = max(start - _BESIDE, 0), min(end + _BESIDE, len(when.frames))
        part = when.part(first, last)
        own = part.rows >= 0
        part.rows[own] = np.arange(own.sum())
        told = person.finished(people[rows[when.rows[first:last][own]]], part, video, shape)
        yield when.frames[start:end], told[start - first : end - first]


def _primary(
    headers: Records, when: list[Timeline], ids: list[int], merged: Mapping[int, int], video: Video
) -> Counts:
    """(F,): the person to show, as answered; before anybody was, the next one, where he is filled in."""
    primary = np.array([merged.get(shown, shown) for shown in headers["primary_tracks"].tolist()], int)
    there = dict(zip(ids, (np.isin(np.arange(len(primary)), one.frames) for one in when), strict=True))
    for frame in range(len(primary) - 2, -1, -1):
        following = int(primary[frame + 1])
        if primary[frame] == NOBODY and following != NOBODY and video.shots[frame] == video.shots[frame + 1]:
            primary[frame] = following if there[following][frame] else NOBODY
    return primary


def _room(path: Path, people: int) -> Records:
    """Records on disk, to be written; a file without any cannot be looked at as such."""
    if people:
        return np.memmap(path, FINISHED, "w+", shape=(people,))
    path.write_bytes(b"")
    return np.zeros(0, FINISHED)


def _chunks(headers: Records, path: Path) -> Iterator[tuple[Records, Records]]:
    with path.open("rb") as people:
        for first in range(0, len(headers), spool.CHUNK):
            chunk = headers[first : first + spool.CHUNK]
            yield chunk, np.fromfile(people, FINISHED, int(chunk["people"].sum()))
