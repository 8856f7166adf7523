"""How bulk work gets on, in a terminal: a line for each video under way, and one for all of them."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from client import spool
from client.bulk import Report
from client.inputs import Video
from client.records import FRAME, PERSON, Record, Records, states_shown
from client.terminal import complain
from client.work import Watcher

_COLOURS = {"detected": "green", "recovered": "yellow", "predicted": "red", "nobody": "bright_black"}


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} frames/s" if speed else "", style="cyan")


class _States(ProgressColumn):
    def render(self, task: Task) -> Text:
        counts: Counter[str] = task.fields["counts"]
        text = Text()
        for name, colour in _COLOURS.items():
            if counts[name]:
                text.append(f"{counts[name]} {name} ", style=colour)
        return text


class Board:
    """The lines; videos report from threads of their own."""

    def __init__(self, progress: Progress, videos: int) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._videos = videos
        self._ended = 0
        self._counts: Counter[str] = Counter()
        self._expected = 0
        self._all = progress.add_task(self._title(), total=None, counts=self._counts)

    def watcher(self, video: Video) -> "_Line":
        """A line for one more video."""
        return _Line(self, self._progress, video.name)

    def ended(self, report: Report) -> None:
        """Tell how a video ended, above the lines."""
        with self._lock:
            self._ended += report.state != "unfinished"
            self._progress.update(self._all, description=self._title())
        if report.state in ("failed", "damaged"):
            complain(self._progress.console, f"{report.state} {report.video}: {report.error}")

    def expect(self, frames: int) -> None:
        """So many frames more (or fewer) than known before."""
        with self._lock:
            self._expected += frames
            self._progress.update(self._all, total=self._expected or None)

    def came(self, counts: Counter[str], *, advance: bool = True) -> None:
        """So many frames of each state more."""
        with self._lock:
            self._counts.update(counts)
        if advance:
            self._progress.update(self._all, advance=counts.total())

    def _title(self) -> str:
        return f"all: {self._ended} of {self._videos} videos"


class _Line(Watcher):
    """One video's line, from its first frame until it has ended."""

    def __init__(self, board: Board, progress: Progress, name: str) -> None:
        self._board = board
        self._progress = progress
        self._name = name
        self._counts: Counter[str] = Counter()
        self._expected = 0
        self._task: TaskID | None = None

    def began(self, frames: int | None) -> None:
        if self._task is None:
            self._task = self._progress.add_task(self._name, total=frames, counts=self._counts)
            self._expected = frames or 0
            self._board.expect(self._expected)

    def kept(self, folder: Path) -> None:
        self._take_back()
        self._add(_counts(folder))

    def came(self, record: Record) -> None:
        self._add(_counted(np.frombuffer(record.frame, FRAME), np.frombuffer(record.people, PERSON)))

    def anew(self) -> None:
        self._take_back()

    def ended(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)

    def _add(self, counts: Counter[str]) -> None:
        self._counts.update(counts)
        assert self._task is not None
        self._progress.update(self._task, completed=self._counts.total())
        self._board.came(counts)

    def _take_back(self) -> None:
        self._board.came(Counter({name: -count for name, count in self._counts.items()}))
        self._counts.clear()


@contextmanager
def board(console: Console, videos: int) -> Iterator[Board]:
    """The lines, while they are shown."""
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
        _States(),
        console=console,
        speed_estimate_period=10,
    )
    with progress:
        yield Board(progress, videos)


def summary(reports: Sequence[Report]) -> Table:
    """What came of each video; columns with nothing in them are left out, for terminals are narrow."""
    columns = {
        "frames": [str(report.frames) for report in reports],
        "detected": [str(report.detected) for report in reports],
        "recovered": [str(report.recovered) for report in reports],
        "predicted": [str(report.predicted) for report in reports],
        "nobody": [str(report.nobody) for report in reports],
        "failed": [str(report.failed_frames) for report in reports],
        "per s": [_pace(report) for report in reports],
    }
    told = {
        title: column for title, column in columns.items() if any(text not in ("0", "") for text in column)
    }
    table = Table(box=SIMPLE_HEAD, padding=0)
    table.add_column("video", overflow="fold")
    table.add_column("state", no_wrap=True)
    for title in told:
        table.add_column(title, justify="right", no_wrap=True)
    for row, report in enumerate(reports):
        state = "was there" if report.was_there else report.state
        table.add_row(Text(Path(report.video).name), state, *(column[row] for column in told.values()))
    return table


def _pace(report: Report) -> str:
    """Frames a second of this run."""
    worked_on = report.frames - report.kept
    return f"{worked_on / report.seconds:.1f}" if worked_on and report.seconds else ""


def _counts(folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for frames, people in spool.chunks(folder, spool.whole(folder)[0]):
        counts.update(_counted(frames, people))
    return counts


def _counted(frames: Records, people: Records) -> Counter[str]:
    """Frames, by the state of the person to show."""
    counts = states_shown(
        primary_tracks=frames["primary_tracks"],
        people=frames["people"],
        track_ids=people["track_ids"],
        states=people["states"],
    )
    counts["nobody"] = len(frames) - counts.total()
    return counts
