"""The demonstration: start the service, stream a real clip as a backend would, show what came back."""

import argparse
import base64
import io
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from client import footage, video
from client.backend import Answer, Backend
from client.exports.overlay import STATE_COLOURS, labelled
from client.pictures import Image
from client.private_service import DidNotStart, private_service
from wire.errors import PoseError

#: Exit statuses: frames without a pose; no clip that can be shown; the service did not start.
EXIT_SOME_WITHOUT = 1
EXIT_NO_CLIP = 2
EXIT_NO_SERVICE = 3

_DEFAULT_RATE = 30.0

_SHEET_COLUMNS, _SHEET_ROWS, _SHEET_CELL_PX = 5, 4, 384


@dataclass(frozen=True, slots=True)
class Shown:
    """What came back for one frame, less its half megabyte of mesh."""

    state: str  # of the primary person, or "nobody"
    confidence: float
    elapsed_ms: float


class Clip(NamedTuple):
    """What is shown: frames as JPEGs, and how many of them a second."""

    pictures: list[bytes]
    frames_per_second: float


class NoClip(Exception):
    """What is named has no frames to show."""


def main(words: Sequence[str]) -> int:
    """Run the demonstration; the exit status, 0 when every frame has a pose."""
    given = _parser().parse_args(words)
    try:
        clip = _clip(given.clip, given.first, given.last)
    except NoClip as error:
        print(f"{error}; name another one, or let `make demo` fetch its own", file=sys.stderr)
        return EXIT_NO_CLIP
    given.out.mkdir(parents=True, exist_ok=True)
    log, overlay, sheet = (given.out / name for name in ("service.log", "overlay.mp4", "contact-sheet.jpg"))
    bar = Progress(
        TextColumn("{task.description:18}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )
    try:
        with private_service(log) as service, service.backend() as backend, bar as progress:
            shown, elapsed_s = _stream(backend, clip.pictures, progress)
            cells = _overlay(backend, clip, shown, overlay, progress, first=given.first)
    except DidNotStart as error:
        print(error, file=sys.stderr)
        return EXIT_NO_SERVICE
    _contact_sheet(cells).save(sheet, quality=88)
    console = Console(markup=False, emoji=False)
    covered = _report(console, shown, elapsed_s)
    console.print(f"overlay video:  {overlay}\ncontact sheet:  {sheet}\nservice log:    {log}")
    return 0 if covered == len(clip.pictures) else EXIT_SOME_WITHOUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m client.demo", description=__doc__)
    parser.add_argument("clip", type=Path, help="a video file")
    parser.add_argument("--first", type=_frame_number, default=0, help="first frame, zero-based")
    parser.add_argument("--last", type=_frame_number, default=None, help="last frame, inclusive")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for the pictures")
    return parser


def _frame_number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: a whole number, 0 or more")
    return int(text)


def _clip(path: Path, first: int, last: int | None) -> Clip:
    """Frames `first` to `last` of a video. Raises `NoClip`."""
    stop = None if last is None else last + 1
    try:
        with footage.opened(path, max_pixels=footage.MOST_PIXELS) as film:
            pictures = [_jpeg(shown.image) for shown in islice(film.frames(), first, stop)]
            frames_per_second = film.frames_per_second or _DEFAULT_RATE
    except OSError as error:
        raise NoClip(f"{path}: {error.strerror}") from error
    except PoseError as error:
        raise NoClip(f"{path}: {error.message}") from error
    if not pictures:
        numbers = f"{first} or more" if last is None else f"{first} to {last}"
        raise NoClip(f"{path}: no frame has number {numbers}")
    return Clip(pictures, frames_per_second)


def _stream(backend: Backend, pictures: list[bytes], progress: Progress) -> tuple[list[Shown], float]:
    """Send the clip frame by frame, as the backend does; what came back, and the seconds that it took."""
    started = time.perf_counter()
    answers = [
        backend.pose(picture, frame_number=number)
        for number, picture in enumerate(progress.track(pictures, description="poses over HTTP"))
    ]
    elapsed_s = time.perf_counter() - started
    return [_shown(answer) for answer in answers], elapsed_s


def _overlay(
    backend: Backend, clip: Clip, shown: list[Shown], path: Path, progress: Progress, *, first: int
) -> list[Image]:
    """Write the clip with the poses drawn over it; those of its frames that the contact sheet shows.

    `first` is the number of its first frame.
    """
    chosen, cells = _chosen(len(clip.pictures)), []
    with video.writing(path, rate=Fraction(clip.frames_per_second).limit_denominator(1001)) as add:
        for number, picture in enumerate(progress.track(clip.pictures, description="overlay")):
            now = shown[number]
            drawn = labelled(_drawn(backend, number, picture), first + number, now.state, now.confidence)
            add(drawn)
            if number in chosen:
                cells.append(drawn)
    return cells


def _shown(answer: Answer) -> Shown:
    body = answer.body()
    if answer.status != HTTPStatus.OK or not body["has_3d"]:
        return Shown("nobody", 0.0, answer.elapsed_ms)
    return Shown(body["tracking"]["state"], body["tracking_confidence"], answer.elapsed_ms)


def _drawn(backend: Backend, number: int, picture: bytes) -> Image:
    """A frame once more, the pose drawn over it by the service; the frame itself where that fails."""
    answer = backend.pose(picture, frame_number=number, visualize=True, session_id="demo-overlay")
    _, _, encoded = answer.body().get("visualization", "").partition(",")
    shown = io.BytesIO(base64.b64decode(encoded) or picture)
    return np.asarray(PillowImage.open(shown).convert("RGB"))


def _jpeg(frame: Image) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(frame).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _chosen(count: int) -> set[int]:
    """Which of `count` frames the contact sheet shows: evenly spaced ones."""
    return set(np.linspace(0, count - 1, min(count, _SHEET_COLUMNS * _SHEET_ROWS)).astype(int).tolist())


def _contact_sheet(pictures: list[Image]) -> PillowImage.Image:
    """The pictures in rows and columns."""
    height, width = pictures[0].shape[:2]
    cell = (_SHEET_CELL_PX, round(_SHEET_CELL_PX * height / width))
    rows = -(-len(pictures) // _SHEET_COLUMNS)
    sheet = PillowImage.new("RGB", (cell[0] * _SHEET_COLUMNS, cell[1] * rows))
    for place, picture in enumerate(pictures):
        row, column = divmod(place, _SHEET_COLUMNS)
        sheet.paste(PillowImage.fromarray(picture).resize(cell), (column * cell[0], row * cell[1]))
    return sheet


def _report(console: Console, shown: list[Shown], elapsed_s: float) -> int:
    """Print what came back; the number of frames with a pose."""
    states = Counter(frame.state for frame in shown)
    covered = len(shown) - states["nobody"]
    table = Table(title=f"{len(shown)} frames sent, {covered} of {len(shown)} have a pose", show_header=False)
    for state in STATE_COLOURS:
        table.add_row(state, str(states[state]))
    table.add_row("frames per second", f"{len(shown) / elapsed_s:.1f}")
    for name, share in (("median", 50), ("90th percentile", 90), ("99th percentile", 99), ("slowest", 100)):
        latency_ms = np.percentile([frame.elapsed_ms for frame in shown], share)
        table.add_row(f"latency, {name}", f"{latency_ms:.1f} ms")
    console.print(table)
    return covered


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
