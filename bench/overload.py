"""More callers than there is time for: `python -m bench.overload` keeps 64 connections busy for a minute.

Edge, broker and workers without networks, so that our own programs are overrun. Refused callers come again
at once, which is worse than what `Retry-After` asks of them. What must hold is in `Overrun.faults`; the
exit status is 1 where something does not. Not a part of `python -m bench`: it wants the machine for itself.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

from bench import load
from bench.load import Load
from bench.null_service import Service, service

#: What an overrun service may say; the last two with `Retry-After`.
_ALLOWED = {200, 429, 503}
_HEALTH_WITHIN_S = 1.0
_RECOVERED_WITHIN_S = 2.0
#: From one half of the time to the other, of all processes together.
_MOST_GROWTH = 0.05
#: As long as a service was again no slower than so many times its time before, it has recovered.
_AS_BEFORE = 2.0

_SAMPLE_EVERY_S = 0.1
_COMES_AGAIN_AFTER_S = 0.05
_GIVES_UP_AFTER_S = 30.0


@dataclass(frozen=True, slots=True)
class Overrun:
    """What was seen. rss_mb: of all processes together. recovered_s: None: it did not, for long."""

    load: Load
    health_s: list[float]
    rss_mb: list[float]
    before_ms: float
    recovered_s: float | None

    @property
    def growth(self) -> float:
        """Share by which the peak of the second half of the time is above the first's."""
        half = len(self.rss_mb) // 2
        return max(self.rss_mb[half:]) / max(self.rss_mb[:half]) - 1

    def faults(self) -> Iterator[str]:
        """What does not hold; the growth is judged by whoever let it run long enough."""
        done = self.load
        if others := set(done.statuses) - _ALLOWED:
            yield f"answers with {sorted(others)}"
        for status in (_ALLOWED & done.statuses.keys()) - {200}:
            if done.retried[status] < done.statuses[status]:
                yield f"a {status} without Retry-After"
        if done.broken:
            yield f"{done.broken} connections broke"
        if not done.waited_ms:
            yield "nobody was answered"
        if max(self.health_s) > _HEALTH_WITHIN_S:
            yield f"/health took {max(self.health_s):.2f} s"
        if self.recovered_s is None or self.recovered_s > _RECOVERED_WITHIN_S:
            yield f"recovered after {self.recovered_s} s"


def main() -> int:
    """Print what was seen; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        service(Path(directory), workers=2, decodes=True) as running,
    ):
        seen = overrun(running, connections=given.connections, seconds=given.seconds)
    _show(seen)
    faults = list(seen.faults())
    if seen.growth > _MOST_GROWTH:
        faults.append(f"memory grew by {seen.growth:.0%}")
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


def overrun(running: Service, *, connections: int, seconds: float) -> Overrun:
    """Ask for a while by many connections, and then by one."""
    picture = load.picture_1080p()
    before = load.run(running.port, picture, connections=1, seconds=1.0, headers=_session)
    before_ms = statistics.median(before.waited_ms)
    health_s: list[float] = []
    rss_mb: list[float] = []
    with (
        _repeatedly(lambda: health_s.append(_health_s(running.port))),
        _repeatedly(lambda: rss_mb.append(_rss_mb(running.pids))),
    ):
        done = load.run(
            running.port,
            picture,
            connections=connections,
            seconds=seconds,
            headers=_session,
            after_refusal_s=_COMES_AGAIN_AFTER_S,
        )
        recovered_s = _recovered_s(running.port, picture, within_ms=before_ms * _AS_BEFORE)
    return Overrun(done, health_s, rss_mb, before_ms, recovered_s)


def _session(number: int) -> Mapping[str, str]:
    return {"X-Session-Id": f"{time.monotonic_ns()}-{number}", "Accept-Encoding": "gzip"}


def _recovered_s(port: int, picture: bytes, *, within_ms: float) -> float | None:
    """Seconds until a frame is answered within the time."""
    started = time.perf_counter()
    connection = load.Connection(port, picture, headers=_session(0))
    number = 0
    while (now := time.perf_counter()) - started < _GIVES_UP_AFTER_S:
        status, _ = connection.ask(number)
        number += 1
        if status == 200 and (time.perf_counter() - now) * 1e3 <= within_ms:
            connection.close()
            return round(now - started, 3)
    return None


def _health_s(port: int) -> float:
    started = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", port, timeout=_GIVES_UP_AFTER_S)
    connection.request("GET", "/health")
    connection.getresponse().read()
    connection.close()
    return time.perf_counter() - started


def _rss_mb(pids: Mapping[str, int]) -> float:
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in pids.values()]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in statuses) / 1024


@contextmanager
def _repeatedly(act: Callable[[], object]) -> Iterator[None]:
    """Do it every now and then, in a thread."""
    ended = threading.Event()

    def go_on() -> None:
        act()
        while not ended.wait(_SAMPLE_EVERY_S):
            act()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(seen: Overrun) -> None:
    done = seen.load
    p50, p99 = np.percentile(done.waited_ms, [50, 99])
    print(f"answers: {dict(done.statuses)}, connections that broke: {done.broken}")
    per_s = len(done.waited_ms) / done.elapsed_s
    print(f"answered a second: {per_s:.0f}, p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    print(f"/health: at most {max(seen.health_s) * 1e3:.0f} ms of {len(seen.health_s)} times")
    print(f"memory: peak {max(seen.rss_mb):.0f} MB, second half {seen.growth:+.1%}")
    print(
        f"one caller waited {seen.before_ms:.1f} ms before, less than twice that after {seen.recovered_s} s"
    )


if __name__ == "__main__":
    sys.exit(main())
