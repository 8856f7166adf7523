"""Every program renewed under load, one at a time: `python -m bench.renewal`. No request may fail.

Streams keep asking over kept connections while supervisord restarts workers, broker, video jobs and edges, in
the order of docs/deployment.md. Pictures are small: what is measured is the restarts.
"""

import argparse
import io
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import numpy as np
from PIL import Image

from client.private_service import PrivateService, private_service
from tools.supervised import Supervised

_EDGES, _WORKERS = 2, 2

#: Programs in the order in which they are renewed.
ORDER = (
    *(f"worker_{index:02d}" for index in range(_WORKERS)),
    "broker",
    "jobs",
    *(f"edge_{index:02d}" for index in range(_EDGES)),
)

#: Longest wait for the service to be whole again, and time in which each step goes on afterwards.
_WHOLE_WITHIN_S = 120.0
_GOES_ON_S = 2.0
_LOOK_EVERY_S = 0.1


@dataclass
class Step:
    """What streams met while one program was renewed."""

    program: str
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    longest_ms: float = 0.0


class Load:
    """Streams that ask until the `with` block ends; `step` is where what they meet is noted."""

    def __init__(self, service: PrivateService, *, streams: int) -> None:
        self.step = Step("before")
        self._service = service
        self._picture = picture()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._stream, args=(number,)) for number in range(streams)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _stream(self, stream: int) -> None:
        number = 0
        with self._service.backend() as backend:
            while not self._stopping.is_set():
                try:
                    answer = backend.pose(self._picture, frame_number=number, session_id=f"stream {stream}")
                except (OSError, HTTPException) as error:
                    self._note(repr(error), 0.0)
                else:
                    self._note("" if answer.status == 200 else f"status {answer.status}", answer.elapsed_ms)
                number += 1

    def _note(self, failure: str, elapsed_ms: float) -> None:
        with self._lock:
            self.step.answered += not failure
            self.step.longest_ms = max(self.step.longest_ms, elapsed_ms)
            if failure:
                self.step.failed.append(failure)


def picture() -> bytes:
    """A small grey JPEG."""
    stream = io.BytesIO()
    Image.fromarray(np.full((120, 160, 3), 90, dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def whole(service: PrivateService) -> bool:
    """Whether all edges listen and all workers are ready, by the service's own word."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=10) as answer:
            told = answer.read().decode()
    except OSError:
        return False
    return f"everyframe_edges {_EDGES}" in told and f'everyframe_workers{{state="ready"}} {_WORKERS}' in told


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds. Raises `TimeoutError`."""
    until = time.monotonic() + _WHOLE_WITHIN_S
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not whole again within {_WHOLE_WITHIN_S:.0f} s")
        time.sleep(_LOOK_EVERY_S)


def renewed(service: PrivateService, load: Load) -> Iterator[Step]:
    """What came of each program's turn."""
    with Supervised(service.runtime_dir) as supervised:
        for program in ORDER:
            load.step = step = Step(program)
            supervised.restart(program)
            wait_for(lambda: whole(service))
            time.sleep(_GOES_ON_S)
            yield step


def main() -> None:
    """Renew all; the table."""
    parser = argparse.ArgumentParser(description="Rolling restart under load.")
    parser.add_argument("--streams", type=int, default=4)
    given = parser.parse_args()
    settings = {"POSE_EDGES": str(_EDGES), "POSE_WORKERS": str(_WORKERS), "POSE_THREADS": "1"}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(private_service(directory / "log", settings))
        wait_for(lambda: whole(service))
        load = stack.enter_context(Load(service, streams=given.streams))
        print(f"{'renewed':12} {'answered':>9} {'failed':>7} {'longest ms':>11}")
        for step in renewed(service, load):
            print(
                f"{step.program:12} {step.answered:9d} {len(step.failed):7d} {step.longest_ms:11.0f}",
                flush=True,
            )
            for failure in sorted(set(step.failed)):
                print(f"    {failure}")


if __name__ == "__main__":
    main()
