"""What bulk work shows at its end, in a terminal as narrow as they come."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from client import progress
from client.bulk import Report
from client.inputs import Video
from client.records import FRAME, NOBODY, PERSON, Record, checksum
from client.spool import Spool
from client.terminal import terminal


def test_every_column_is_whole_in_eighty() -> None:
    console = Console(width=80, file=io.StringIO())
    counts = {"detected": 3000, "recovered": 1300, "predicted": 100, "nobody": 9, "failed_frames": 8}
    ride = Report(
        "/rides/a_ride_with_a_long_name.mp4", "ride.npz", "complete", frames=4417, seconds=30, **counts
    )

    console.print(progress.summary([ride, Report("/b.mp4", "b.npz", "unfinished", frames=44)]))

    told = console.file.getvalue()  # type: ignore[attr-defined]
    for word in ("video", "state", "frames", "recovered", "nobody", "failed", "per s", "unfinished", "147.2"):
        assert word in told
    assert "…" not in told


def test_names_and_reasons_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    name, reason = "a ride [draft] :cat:.mp4", "[/] is no video"
    console = terminal(quiet=False)
    report = Report(f"/{name}", "ride.npz", "failed", error=reason)

    with progress.board(console, 1) as board:
        board.watcher(Video(Path("/tmp", name))).began(10)
        board.ended(report)
    console.print(progress.summary([report]))

    told = capsys.readouterr().err
    assert f"failed /{name}: {reason}" in told
    assert told.count(name) == 3  # on its line, with its reason, and at the end


def test_frames_are_counted_by_whom_they_show_kept_or_just_come(tmp_path: Path) -> None:
    console = Console(width=200, file=io.StringIO())
    shown, nobody = _record(state=1), _record(state=None)
    with Spool(tmp_path) as frames:
        for record in (shown, nobody, shown):
            frames.add(record)

    with progress.board(console, 1) as board:
        line = board.watcher(Video(tmp_path / "ride.mp4"))
        line.began(10)
        line.kept(tmp_path)
        line.came(nobody)

    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "4/10" in told
    assert "2 recovered 2 nobody" in told


def _record(*, state: int | None) -> Record:
    """A frame in which person 7 is in that state, and somebody else is seen; None: nobody is to be shown."""
    frame, people = np.zeros((), FRAME), np.zeros(2, PERSON)
    people["track_ids"], people["states"] = (3, 7), (0, state or 0)
    frame["people"], frame["primary_tracks"] = len(people), NOBODY if state is None else 7
    frame["checksum"] = checksum(frame.tobytes(), people.tobytes())
    return Record(frame.tobytes(), people.tobytes())


def test_columns_with_nothing_in_them_are_left_out() -> None:
    console = Console(width=80, file=io.StringIO())

    console.print(progress.summary([Report("/b.mp4", "b.npz", "complete", frames=44, detected=44)]))

    assert "failed" not in console.file.getvalue()  # type: ignore[attr-defined]
