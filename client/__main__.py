"""Bulk work: the people of every frame of any number of videos, each into a file of its own.

    everyframe rides/ jump.mp4 'takes/*.mov' -o motion/
    find . -name '*.mp4' | everyframe - -o motion/

Interrupt it at any moment and give the same command again: finished videos are passed over, and those under
way go on where they were.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

from body import stated
from client import bulk, progress
from client.bulk import Report
from client.exports import command as export
from client.exports import formats, live
from client.exports.afterwards import Afterwards
from client.exports.formats import Choice
from client.inputs import DEFAULT_RATE, NotFound, Video, videos
from client.place import Place
from client.second_pass.story import BEFORE_S
from client.service import NoService, service
from client.terminal import complain, terminal
from client.work import Parts, Stopped
from wire import settings as wire_settings
from wire.connection import connect
from wire.settings import Settings
from wire.shelf import Shelf, can_lend

#: Exit statuses. Every video has its whole result; some have none, or one that ends early; wrong arguments
#: or settings; there is no service; interrupted (as shells say it: 128 and the signal's number).
EXIT_COMPLETE = 0
EXIT_SOME_FAILED = 1
EXIT_BAD_ARGUMENTS = 2
EXIT_NO_SERVICE = 3
EXIT_SIGNAL = 128

REPORT = "report.json"

_HIGHEST_RATE = 100_000
_LONGEST_BEFORE_S = 60

#: Commands that begin with their name; a video of that name is `./export`.
_OTHERS = {"export": export.main, "live": live.main}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in _OTHERS:
        return _OTHERS[words[0]](words[1:])
    given = parser().parse_args(words)
    console = terminal(quiet=given.quiet)
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=console, show_path=False)]
    )
    try:
        settings = wire_settings.load(os.environ)
        choice = Choice(formats.named(given.format), camera_origin=given.origin == "camera")
        afterwards = Afterwards(choice, settings.assets_directory())
        wanted = videos(_listed(given.videos))
        if not wanted:
            raise NotFound("no videos are given")
        given.output.parent.mkdir(parents=True, exist_ok=True)
        where = list(zip(wanted, bulk.places(wanted, given.output, before_s=before_s(given)), strict=True))
        folder = given.output.parent if given.output.suffix == ".npz" else given.output
        folder.mkdir(parents=True, exist_ok=True)
        with _stopping() as stop:
            started = time.monotonic()
            try:
                reports = _work(where, given, settings, stop, console, folder, afterwards)
            except Stopped:  # before any video was begun
                reports = bulk.as_they_are(where)
    except (NotFound, ValueError, OSError) as error:
        complain(console, error)
        return EXIT_BAD_ARGUMENTS
    except NoService as error:
        complain(console, error)
        return EXIT_NO_SERVICE
    _tell(reports, given.report or folder / REPORT, time.monotonic() - started, console)
    for failure in afterwards.failures:
        complain(console, f"not exported {failure}")
    return _status(reports, stop.signum) or (EXIT_SOME_FAILED if afterwards.failures else EXIT_COMPLETE)


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    found = argparse.ArgumentParser(
        prog="everyframe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = found.add_argument
    add("videos", nargs="+", help="video files, folders of pictures (each a video), folders of videos, "
        "quoted patterns; - reads them from standard input, one a line")  # fmt: skip
    add("-o", "--output", type=Path, default=Path("everyframe-out"), metavar="PATH",
        help="folder for the results, or an .npz for a single video (default: %(default)s)")  # fmt: skip
    add("--endpoint", help="the broker's for clients (default: as POSE_ settings say)")
    add("--workers", default=None, metavar="N",
        help="auto: start a private service where none runs, as is the default without --endpoint; a number: "
        "the same with so many workers; 0: never start one")  # fmt: skip
    add("--at-once", type=_count, metavar="N", help="videos worked on at a time (default: twice the workers)")
    add("--rate", type=_rate, default=DEFAULT_RATE, metavar="FPS",
        help="of folders of pictures, frames per second (default: %(default)g)")  # fmt: skip
    add("--online", action="store_true",
        help="each frame as answered, from what came before alone: no second pass fills gaps, smooths, and "
        "keeps feet where they stand")  # fmt: skip
    add("--before", type=_seconds, default=BEFORE_S, metavar="SECONDS",
        help="how long before they are first seen people are filled in (default: %(default)g)")  # fmt: skip
    add("--again", action="store_true", help="also work on videos whose result is there")
    export.add_choices(add)
    add(
        "--report",
        type=Path,
        metavar="FILE",
        help=f"JSON of what came of each video (default: {REPORT} there)",
    )
    add("-q", "--quiet", action="store_true", help="show nothing; the exit status and the report tell")
    return found


def before_s(given: argparse.Namespace) -> float | None:
    """As `place.Place` has it, of what was given."""
    return None if given.online else float(given.before)


def _work(
    where: Sequence[tuple[Video, Place]],
    given: argparse.Namespace,
    settings: Settings,
    stop: "_Stop",
    console: Console,
    folder: Path,
    afterwards: Afterwards,
) -> list[Report]:
    if not given.again and all(bulk.finished(video, place) for video, place in where):
        reports = bulk.as_they_are(where)
        for report in reports:
            stop.go_on()
            afterwards.ended(report)
        return reports
    with ExitStack() as stack:
        running = stack.enter_context(
            service(
                given.endpoint,
                given.workers,
                settings,
                folder=folder,
                videos=len(where),
                console=console,
                go_on=stop.go_on,
            )
        )
        broker = stack.enter_context(connect(running.endpoints, settings))
        status = running.status(broker, stop.go_on)
        parts = Parts(
            broker=broker,
            limits=status.limits,
            max_pixels=settings.max_image_pixels,
            rate=given.rate,
            at_once=min(len(where), given.at_once or 2 * len(status.workers)),
            stopping=stop.event,
            body=stated.of_models(status.workers[0].models),
            shelf=Shelf(settings.max_lent_pictures) if can_lend(status, running.endpoints) else None,
        )
        board = stack.enter_context(progress.board(console, len(where)))

        def ended(report: Report) -> None:
            board.ended(report)
            afterwards.ended(report)

        return bulk.run(
            where,
            parts,
            again=given.again,
            watch=board.watcher,
            done=ended,
        )


class _Stop:
    """The first signal asks for an end; the second one ends."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signum: int | None = None

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        if self.event.is_set():
            os._exit(EXIT_SIGNAL + signum)
        self.signum = signum
        self.event.set()

    def go_on(self) -> None:
        """Raises `Stopped` once an end was asked for."""
        if self.event.is_set():
            raise Stopped


@contextmanager
def _stopping() -> Iterator[_Stop]:
    stop = _Stop()
    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _listed(given: Sequence[str]) -> Iterator[str]:
    for text in given:
        if text == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        else:
            yield text


def _tell(reports: Sequence[Report], path: Path, elapsed_s: float, console: Console) -> None:
    console.print(progress.summary(reports))
    report: dict[str, Any] = {
        "seconds": elapsed_s,
        "frames_of_this_run": sum(report.frames - report.kept for report in reports),
        "videos": [report.as_json() for report in reports],
    }
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(json.dumps(report, indent=1))
    unfinished.replace(path)
    console.print(f"report: {path}")


def _status(reports: Sequence[Report], signum: int | None) -> int:
    if any(report.state == "unfinished" for report in reports):
        return EXIT_SIGNAL + (signum or signal.SIGINT)
    if all(report.state == "complete" for report in reports):
        return EXIT_COMPLETE
    return EXIT_SOME_FAILED


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number, 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) <= _LONGEST_BEFORE_S:
            return seconds
    raise argparse.ArgumentTypeError(f"{text}: a number, at most {_LONGEST_BEFORE_S}")


def _rate(text: str) -> float:
    with suppress(ValueError):
        if 0 < (rate := float(text)) <= _HIGHEST_RATE:
            return rate
    raise argparse.ArgumentTypeError(f"{text}: a number over 0, at most {_HIGHEST_RATE}")


if __name__ == "__main__":
    sys.exit(main())
