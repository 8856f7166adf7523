"""The demonstration: start the service, stream a real clip as a backend would, show what came back."""

import argparse
import base64
import io
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from client import video
from client.backend import Answer, Backend
from client.private_service import private_service
from client.video import Image

#: Colour of a frame's border by where its pose came from, RGB.
_STATE_COLOURS = {
    "detected": (40, 180, 60),
    "recovered": (240, 170, 20),
    "predicted": (220, 60, 50),
    "nobody": (120, 120, 120),
}
_SHEET_COLUMNS, _SHEET_ROWS, _SHEET_CELL_PX = 5, 4, 384


@dataclass(frozen=True, slots=True)
class Run:
    """What came back for one clip."""

    answers: list[Answer]
    elapsed_s: float


def main() -> int:
    """Run the demonstration; 0 when every frame has a pose."""
    arguments = argparse.ArgumentParser(prog="python -m client.demo", description=__doc__)
    arguments.add_argument("clip", type=Path, help="a video file")
    arguments.add_argument("--first", type=int, default=0, help="first frame, zero-based")
    arguments.add_argument("--last", type=int, default=None, help="last frame, inclusive")
    arguments.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for the pictures")
    given = arguments.parse_args()
    console = Console()
    pictures = [_jpeg(frame) for frame in video.frames(given.clip, first=given.first, last=given.last)]
    given.out.mkdir(parents=True, exist_ok=True)
    log, overlay, sheet = (given.out / name for name in ("service.log", "overlay.mp4", "contact-sheet.jpg"))
    bar = Progress(
        TextColumn("{task.description:18}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )
    with private_service(log) as service, service.backend() as backend, bar as progress:
        run = _stream(backend, pictures, progress)
        drawn = _drawn(backend, pictures, progress)
    labelled = [
        _labelled(picture, given.first + number, answer)
        for number, (picture, answer) in enumerate(zip(drawn, run.answers, strict=True))
    ]
    video.write(overlay, labelled, rate=video.frame_rate(given.clip))
    _contact_sheet(labelled).save(sheet, quality=88)
    covered = _report(console, run)
    console.print(f"overlay video:  {overlay}\ncontact sheet:  {sheet}\nservice log:    {log}")
    return 0 if covered == len(pictures) else 1


def _stream(backend: Backend, pictures: list[bytes], progress: Progress) -> Run:
    """Send the clip one frame after the other, as the backend does."""
    started = time.perf_counter()
    answers = [
        _without_mesh(backend.pose(picture, frame_number=number))
        for number, picture in enumerate(progress.track(pictures, description="poses over HTTP"))
    ]
    return Run(answers, time.perf_counter() - started)


def _without_mesh(answer: Answer) -> Answer:
    """The answer less what makes it half a megabyte; a clip's worth is kept."""
    body = {name: value for name, value in answer.body.items() if not name.endswith("_data")}
    return replace(answer, body=body)


def _drawn(backend: Backend, pictures: list[bytes], progress: Progress) -> list[Image]:
    """The clip once more, the service drawing each pose over its frame; not timed."""
    return [
        _picture(backend.pose(picture, frame_number=number, visualize=True, session_id="demo-overlay"))
        for number, picture in enumerate(progress.track(pictures, description="overlay"))
    ]


def _picture(answer: Answer) -> Image:
    _, _, encoded = answer.body["visualization"].partition(",")
    return np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))


def _jpeg(frame: Image) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(frame).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _has_pose(answer: Answer) -> bool:
    return answer.status == HTTPStatus.OK and answer.body["has_3d"]


def _state(answer: Answer) -> str:
    return answer.body["tracking"]["state"] if _has_pose(answer) else "nobody"


def _labelled(picture: Image, number: int, answer: Answer) -> Image:
    """The picture in a border of its state's colour, with the frame's number and confidence."""
    state = _state(answer)
    confidence = answer.body.get("tracking_confidence") or 0.0
    framed = picture.copy()
    corner = (picture.shape[1] - 1, picture.shape[0] - 1)
    cv2.rectangle(framed, (0, 0), corner, _STATE_COLOURS[state], 16)
    text = f"{number}  {state}  {confidence:.2f}"
    scale = picture.shape[0] / 700
    origin = (30, int(50 * scale))
    cv2.putText(framed, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, _STATE_COLOURS[state], 3)
    return framed


def _contact_sheet(pictures: list[Image]) -> PillowImage.Image:
    """Evenly chosen pictures in rows and columns."""
    chosen = np.linspace(0, len(pictures) - 1, min(len(pictures), _SHEET_COLUMNS * _SHEET_ROWS)).astype(int)
    height, width = pictures[0].shape[:2]
    cell = (_SHEET_CELL_PX, round(_SHEET_CELL_PX * height / width))
    rows = -(-len(chosen) // _SHEET_COLUMNS)
    sheet = PillowImage.new("RGB", (cell[0] * _SHEET_COLUMNS, cell[1] * rows))
    for place, index in enumerate(chosen):
        row, column = divmod(place, _SHEET_COLUMNS)
        sheet.paste(PillowImage.fromarray(pictures[index]).resize(cell), (column * cell[0], row * cell[1]))
    return sheet


def _report(console: Console, run: Run) -> int:
    """Print what came back; the number of frames with a pose."""
    states = Counter(_state(answer) for answer in run.answers)
    total = len(run.answers)
    covered = total - states["nobody"]
    latency_ms = np.percentile([answer.elapsed_ms for answer in run.answers], [50, 90, 99, 100])
    table = Table(title=f"{total} frames sent, {covered} of {total} have a pose", show_header=False)
    for state in ("detected", "recovered", "predicted", "nobody"):
        table.add_row(state, str(states[state]))
    table.add_row("frames per second", f"{total / run.elapsed_s:.1f}")
    for name, value in zip(
        ("median", "90th percentile", "99th percentile", "slowest"), latency_ms, strict=True
    ):
        table.add_row(f"latency, {name}", f"{value:.1f} ms")
    console.print(table)
    return covered


if __name__ == "__main__":
    sys.exit(main())
