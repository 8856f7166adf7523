"""`everyframe live`: a camera or a video, whose person an avatar follows while it is being filmed.

everyframe live /dev/video0 --vmc 127.0.0.1:39539
everyframe live ride.mp4 --vmc 127.0.0.1:39539
"""

import argparse
import os
import queue
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import av
import numpy as np
from rich.console import Console

from client import footage, pictures, results
from client.exports import vmc, world
from client.exports.scene import Unavailable
from client.exports.skeleton import of_person
from client.pictures import Image
from client.results import FrameResult, Person
from client.service import NoService, service
from client.terminal import complain, terminal
from client.under_way import Question
from wire import settings as wire_settings
from wire.connection import Connection, connect
from wire.errors import Busy, PoseError
from wire.settings import Settings

#: A frame, and when it was seen, seconds.
Moment = tuple[float, Image]

#: Nobody wants an older pose than this.
_DEADLINE_S = 10.0

EXIT_ENDED = 0
EXIT_FAILED = 1
EXIT_BAD_ARGUMENTS = 2
EXIT_NO_SERVICE = 3
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit status."""
    given = _parser().parse_args(arguments)
    console = terminal(quiet=given.quiet)
    try:
        settings = wire_settings.load(os.environ)
        avatar = vmc.address(given.vmc)
        with ExitStack() as stack:
            sender = stack.enter_context(vmc.Sender(*avatar))
            broker = _connection(stack, given.endpoint, settings, console)
            shown = stack.enter_context(newest(_source(given.source)))
            console.print(f"sending to {given.vmc}; Ctrl-C ends it")
            sent = perform(_results(broker, shown), sender, track_id=given.track)
            console.print(f"{sent} poses sent")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except NoService as error:
        complain(console, error)
        return EXIT_NO_SERVICE
    except (ValueError, Unavailable, FileNotFoundError) as error:
        complain(console, error)
        return EXIT_BAD_ARGUMENTS
    except (PoseError, OSError) as error:
        complain(console, error)
        return EXIT_FAILED
    return EXIT_ENDED


def perform(results: Iterable[FrameResult], sender: vmc.Sender, *, track_id: int | None) -> int:
    """Send the pose of the person to show, or of a track, as frames come back; how many were sent.

    The first pose stands above the avatar's origin.
    """
    where, sent = None, 0
    for result in results:
        person = _chosen(result, track_id)
        if person is None:
            continue
        where = where or world.above_origin((person.joints + person.translation).astype(float))
        skeleton = of_person(person, where, time_s=time.monotonic())
        for told in vmc.messages(skeleton):
            sender.send(told)
        sent += 1
    return sent


def _chosen(result: FrameResult, track_id: int | None) -> Person | None:
    if track_id is None:
        return result.primary
    return next((person for person in result.people if person.track_id == track_id), None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="everyframe live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("source", type=Path, help="a camera, such as /dev/video0, or a video")
    add("--vmc", required=True, metavar="HOST:PORT", help="the avatar; its port is 39539 as a rule")
    add("--track", type=int, metavar="ID", help="follow this person (default: the one to show)")
    add("--endpoint", help="the broker's for clients (default: as POSE_ settings say, or a private service)")
    add("-q", "--quiet", action="store_true", help="show nothing; the exit status tells")
    return parser


def _connection(stack: ExitStack, endpoint: str | None, settings: Settings, console: Console) -> Connection:
    """To the service that runs, or to one of our own for as long as it is needed."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="everyframe-live-"))
    running = stack.enter_context(
        service(endpoint, None, settings, folder=Path(folder), videos=1, console=console, go_on=lambda: None)
    )
    broker = stack.enter_context(connect(running.endpoints, settings))
    running.status(broker, lambda: None)
    return broker


def _results(broker: Connection, shown: Iterable[Moment]) -> Iterator[FrameResult]:
    """What comes of the frames, one under way at a time: the next one is the newest when that is back."""
    question = Question(f"live-{uuid.uuid4().hex}", client="live", deadline_s=_DEADLINE_S)
    number = 0
    for time_s, image in shown:
        picture = pictures.of_array(image, number=number, time_s=time_s)
        with suppress(Busy):  # the next one is newer, and takes its number
            yield results.of_answer(broker.submit(question.frame(picture), picture.encoded).result())
            number += 1


@contextmanager
def newest(frames: Iterator[Moment]) -> Iterator[Iterator[Moment]]:
    """The newest frame whenever one is asked for, each once: what is too old by then is left out.

    A thread reads `frames`; what it raises comes out here.
    """
    slot: queue.Queue[Moment | BaseException | None] = queue.Queue(1)
    wanted = threading.Event()
    wanted.set()

    def put(entry: Moment | BaseException | None) -> None:
        with suppress(queue.Empty):
            slot.get_nowait()
        slot.put(entry)

    def read() -> None:
        try:
            for frame in frames:
                if not wanted.is_set():
                    return
                put(frame)
            slot.put(None)
        except BaseException as error:
            put(error)

    def shown() -> Iterator[Moment]:
        while (entry := slot.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry

    threading.Thread(target=read, name="camera", daemon=True).start()
    try:
        yield shown()
    finally:
        wanted.clear()
        with suppress(queue.Empty):
            slot.get_nowait()  # the thread may wait for room to say that it is done


def _source(path: Path) -> Iterator[Moment]:
    return _camera(path) if path.is_char_device() else _film(path)


def _camera(path: Path) -> Iterator[Moment]:
    """What a camera sees (video4linux2)."""
    began = time.monotonic()
    with av.open(str(path), format="v4l2") as container:
        for frame in container.decode(video=0):
            yield time.monotonic() - began, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _film(path: Path) -> Iterator[Moment]:
    """The frames of a video, none before its time."""
    began = time.monotonic()
    with footage.opened(path, max_pixels=footage.MOST_PIXELS) as film:
        for shown in film.frames():
            time.sleep(max(0.0, began + shown.time_s - time.monotonic()))
            yield shown.time_s, shown.image
