"""A broker process, a worker that makes up people, and the bulk command."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack

from tests.broker.running import (
    PATIENCE_S,
    BrokerProcess,
    Peer,
    running_broker,
    status_of,
    wait_for_status,
)
from tests.fake_worker import FakeWorker, answer, body_arrays, result_header

PEOPLE = ["detected", "predicted"]


Answers = Callable[[dict[str, Any], bytes], list[bytes] | None]


class Worker:
    """Answers each frame with two people whose numbers depend on it alone; what it was sent is kept."""

    def __init__(self) -> None:
        self.works: list[dict[str, Any]] = []
        self.open_until = 10**9  # frames with this number and above wait
        self.failures: dict[int, str] = {}  # frame number -> code
        self.seed = 0  # of the people: another one is another history

    def __call__(self, work: dict[str, Any], image: bytes) -> list[bytes] | None:
        self.works.append(work)
        until = time.monotonic() + PATIENCE_S
        while work["frame_number"] >= self.open_until and time.monotonic() < until:
            time.sleep(0.002)
        if code := self.failures.get(work["frame_number"]):
            return answer({**work, "session_id": f"failure:{code}"}, image)
        told = answer({**work, "session_id": "plain"}, image)
        if told is None or msgpack.unpackb(told[0])["type"] == "failure":
            return told
        arrays = self.arrays(work["frame_number"])
        header = result_header(work, arrays, states=PEOPLE, primary=1)
        return [msgpack.packb(header), *(array.tobytes() for array in arrays.values())]

    def arrays(self, number: int) -> dict[str, Any]:
        """Of the people in a frame."""
        return body_arrays(people=len(PEOPLE), meshes=1, seed=1000 * self.seed + number)

    def numbers(self, session_id: str | None = None) -> list[int]:
        """The frames that were sent, in their order."""
        return [work["frame_number"] for work in self.works if session_id in (None, work["session_id"])]

    @property
    def sessions(self) -> list[str]:
        return list(dict.fromkeys(work["session_id"] for work in self.works))


@contextmanager
def service(
    directory: Path, worker: Answers, *, memory: str = "", **settings: object
) -> Iterator[BrokerProcess]:
    """A broker that answers, with that worker: nobody waits long for one that starts."""
    with (
        running_broker(directory, **settings) as broker,
        FakeWorker(broker.workers, answers=worker, memory=memory),
    ):
        with Peer(broker.frames) as peer:
            wait_for_status(peer)
            while memory and not status_of(peer)["workers"]:
                pass
        yield broker


def everyframe(broker: BrokerProcess, *words: object) -> "subprocess.Popen[str]":
    """The command, started."""
    return subprocess.Popen(
        [sys.executable, "-m", "client", "--endpoint", broker.frames, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def stopped(process: "subprocess.Popen[str]", signum: signal.Signals) -> int:
    """Its exit status after a signal."""
    process.send_signal(signum)
    process.communicate(timeout=PATIENCE_S)
    return process.returncode


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.005)
