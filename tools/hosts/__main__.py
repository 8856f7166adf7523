"""Three hosts on one machine, workers placed by Ray, and what happens to them; root: `python -m tools.hosts`.

Two clips are streamed over HTTP, first undisturbed. Then a worker's actor is killed, then a whole host; the
link of the other is cut for a while, and at last a host is told to go. Every frame must be answered, bit for
bit as in the undisturbed run.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tools.chaos import runs, verdict
from tools.chaos.clips import LANDSCAPE, Client, Video, pictures
from tools.chaos.traffic import Sent, Traffic
from tools.clip import clip_path
from tools.hosts.machines import A, B, C, hosts, missing
from tools.hosts.programs import Service

EXIT_CANNOT = 2

#: A write that waits for the link to come back is what a former owner does late.
_SETTINGS = {"POSE_STORE_TIMEOUT_S": "25"}

#: Answers between two events: so many that each happens in the middle of videos.
_BETWEEN = 60
#: Frames that a worker holds who will not have answered all of them a moment later.
_SOME = 2

_INSIDE = "EVERYFRAME_HOST_A"

#: Longest wait for frames to flow.
_PATIENCE_S = 180.0
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to the hosts, and how many workers there are again once it is over."""

    what: str
    happens: Callable[[], None]
    workers: int


def main() -> int:
    """Run it; 0 when nothing was violated."""
    given = _arguments()
    console = Console()
    if reason := missing():
        console.print(reason)
        return EXIT_CANNOT
    if _INSIDE not in os.environ:
        with hosts():
            inside = [sys.executable, "-m", "tools.hosts", *sys.argv[1:]]
            return subprocess.run(A.command(*inside), env={**os.environ, _INSIDE: "1"}).returncode
    given.out.mkdir(parents=True, exist_ok=True)
    senders = _senders(given.frames)
    with Service(given.out.resolve(), _SETTINGS) as service:
        service.wait(workers=2)
        console.print("three hosts, a worker on each of two of them")
        undisturbed = runs.undisturbed(service.http(), senders)
        sent, stalls = _disturbed(service, senders, given, console)
        refused = _superseded(service.metrics())
    expected = verdict.expected(undisturbed)
    found = [*verdict.violations(undisturbed, expected), *verdict.violations(sent, expected)]
    if not refused:
        found.append("no late write was refused")
    for violation in found:
        console.print(f"violation: {violation}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{sum(len(video.received) for video in sent)} frames in {len(sent)} videos")
    console.print(f"longest stalls: {', '.join(stalls)}")
    console.print(f"late writes refused: {refused}; {len(found)} violations; logs in {given.out}")
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m tools.hosts", description=__doc__)
    arguments.add_argument("--frames", type=int, default=76, help="frames of each video")
    arguments.add_argument("--cut-s", type=float, default=20.0, help="how long the link is cut")
    arguments.add_argument("--out", type=Path, default=Path("hosts-out"), help="folder for keys and logs")
    return arguments.parse_args()


def _senders(frames: int) -> list[Client]:
    """Two who send a clip each, one of them under a session id."""
    return [
        Client(name, named, [Video(clip, _pictures(clip, frames))])
        for name, clip, named in (("rider", "sports2d_demo", True), ("coach", "pose2sim_cam01", False))
    ]


def _pictures(clip: str, frames: int) -> list[bytes]:
    return pictures(clip_path(f"{clip}.mp4"), first=0, last=frames - 1, size=LANDSCAPE)


def _disturbed(
    service: Service, senders: Sequence[Client], given: argparse.Namespace, console: Console
) -> tuple[list[Sent], list[str]]:
    """What was sent while all of it happened, and the longest stall after each event."""
    traffic = Traffic(service.http(), senders, in_flight=runs.IN_FLIGHT, run="disturbed")
    over = threading.Event()
    moments: list[tuple[str, float]] = []
    with ThreadPoolExecutor(1) as pool:
        flowing = pool.submit(traffic.flow, lambda turn: turn == 0 or not over.is_set())
        try:
            for event in _events(service, given.cut_s):
                _await_answers(traffic, flowing)
                moments.append((event.what, time.monotonic()))
                event.happens()
                service.wait(workers=event.workers)
                took_s = time.monotonic() - moments[-1][1]
                console.print(f"  {event.what}: {event.workers} workers again after {took_s:.1f} s")
            _await_answers(traffic, flowing)
        finally:
            over.set()
    sent = flowing.result()
    ends = [*(at_s for _, at_s in moments[1:]), time.monotonic()]
    return sent, [
        f"{what}: {verdict.longest_stall_s(sent, begin_s=at_s, end_s=end_s):.1f} s"
        for (what, at_s), end_s in zip(moments, ends, strict=True)
    ]


def _await_answers(traffic: Traffic, flowing: Future[list[Sent]]) -> None:
    """Return when `_BETWEEN` more came, or when nothing flows any more."""
    goal = traffic.answered + _BETWEEN
    _wait(lambda: traffic.answered >= goal or flowing.done())


def _events(service: Service, cut_s: float) -> list[Event]:
    def kill_the_actor() -> None:
        os.kill(service.worker_on(B).actor, signal.SIGKILL)
        service.wait(workers=1)  # the loss was noticed

    def cut_the_link() -> None:
        _wait(lambda: service.frames_in_hand(C) >= _SOME)  # so that it has a write to come late with
        C.cut()
        time.sleep(cut_s)
        C.mend()

    return [
        Event("a worker's actor killed", kill_the_actor, workers=2),
        Event("a whole host killed", B.kill, workers=1),
        Event("the host back", lambda: service.join(B), workers=2),
        Event(f"the other host's link cut for {cut_s:g} s", cut_the_link, workers=2),
        Event("a host told to go", lambda: service.leave(B), workers=1),
    ]


def _superseded(metrics: str) -> int:
    """Writes of former owners that were refused, by `/metrics`."""
    found = re.findall(
        r'^everyframe_store_events_total\{.*event="superseded".*\} (\S+)$', metrics, re.MULTILINE
    )
    return sum(int(float(number)) for number in found)


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError("frames do not flow")
        time.sleep(_LOOK_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
