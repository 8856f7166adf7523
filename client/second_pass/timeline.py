"""In which frames a person is to be, once the whole video is known.

Frames between two that show the person are filled, and some before the first, unless a shot ends there. Who
is out of sight for longer than that comes back as from nowhere: what lies between stays as it was answered.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from client.second_pass.turns import Counts, Flags, Floats

#: Longest that somebody may be out of sight for what lies between to be filled, seconds.
LONGEST_S: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """F frames: times_s (F,), sizes_px (F, 2), shots (F,): which shot each is of, failed (F,)."""

    times_s: Floats
    sizes_px: Counts
    shots: Counts
    failed: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """N frames of a person.

    frames: (N,), ascending. rows: (N,), which answer of the person's each has, -1: none. seen: (N,), whether
    the frame shows the person. stretches: parts of the N in which the motion is one: from a little before a
    frame that shows the person to another one that does.
    """

    frames: Counts
    rows: Counts
    seen: Flags
    stretches: tuple[slice, ...]

    def part(self, first: int, last: int) -> "Timeline":
        """The frames `first`, ..., `last - 1` of the N; their answers are counted as before."""
        inside = [
            slice(max(stretch.start - first, 0), min(stretch.stop, last) - first)
            for stretch in self.stretches
            if stretch.start < last and stretch.stop > first
        ]
        seen = self.seen[first:last]
        return Timeline(
            self.frames[first:last],
            self.rows[first:last].copy(),
            seen,
            tuple(stretch for stretch in inside if seen[stretch].any()),
        )


def timeline(frames: Counts, seen: Flags, video: Video, *, before_s: float) -> Timeline:
    """That of somebody who was answered in `frames` (M,), ascending, and is `seen` (M,) in some of them."""
    shown = frames[seen]
    parts: list[Counts] = []
    ends: list[tuple[int, int]] = []
    cuts = np.flatnonzero(_apart(shown, video)) + 1
    for run in np.split(shown, cuts) if len(shown) else []:
        first = _beginning(run[0], video, before_s=before_s, after=parts[-1][-1] if parts else -1)
        inside = np.arange(first, run[-1] + 1)
        parts.append(inside[~video.failed[inside]])
        ends.append((int(parts[-1][0]), int(run[-1])))
    every = np.unique(np.concatenate([frames, *parts]))
    rows = np.full(len(every), -1)
    rows[np.searchsorted(every, frames)] = np.arange(len(frames))
    shows = np.zeros(len(every), bool)
    shows[np.searchsorted(every, shown)] = True
    stretches = tuple(
        slice(int(np.searchsorted(every, first)), int(np.searchsorted(every, last)) + 1)
        for first, last in ends
    )
    return Timeline(every, rows, shows, stretches)


def _apart(shown: Counts, video: Video) -> Flags:
    """(M - 1,): whether what lies between two frames is not to be filled."""
    times, shots = video.times_s[shown], video.shots[shown]
    return np.asarray((np.diff(times) > LONGEST_S) | (np.diff(shots) != 0))


def _beginning(first: int, video: Video, *, before_s: float, after: int) -> int:
    """The earliest frame that is filled before `first`: of its shot, and later than `after`."""
    earlier = np.arange(after + 1, first + 1)
    near = video.times_s[earlier] >= video.times_s[first] - before_s
    usable = near & (video.shots[earlier] == video.shots[first])
    return int(earlier[usable][0])
