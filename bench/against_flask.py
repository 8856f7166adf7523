"""Our service beside the design that it replaces: `python -m bench.against_flask`, with the extra `bench`.

Neither has networks: each decodes a 1080p JPEG of 300 KB that came as base64 and answers with a whole body.
Both have the same allocator settings and take turns, round after round; ours a second time for callers who
ask for gzip, which the other has not. Processor time and the ratio of neighbours depend little on who else
uses the machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import load
from bench.broker import cpu_s
from bench.null_service import Service, free_port, service
from tools import serve
from wire import settings as wire_settings

_CONNECTIONS = (1, 4, 16)
_WARM_UP_S = 2.0
_READY_WITHIN_S = 60.0


class Cell(NamedTuple):
    """One server for a while. cpu_ms: of a request, by process."""

    per_s: float
    waited_ms: list[float]
    cpu_ms: dict[str, float]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.against_flask", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each server in each round")
    parser.add_argument("--workers", type=int, default=wire_settings.Settings().workers)
    given = parser.parse_args()
    picture = load.picture_1080p()
    cells: dict[tuple[str, int], list[Cell]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory() as directory,
        service(Path(directory), workers=given.workers, decodes=True) as ours,
        _flask() as flask,
    ):
        servers = {
            "Flask": (flask, {}),
            "ours": (ours, {}),
            "ours, gzip": (ours, {"Accept-Encoding": "gzip"}),
        }
        for server, headers in servers.values():
            _measure(server, headers, picture, max(_CONNECTIONS), _WARM_UP_S)
        for _ in range(given.rounds):
            for connections in _CONNECTIONS:
                for name, (server, headers) in servers.items():
                    cell = _measure(server, headers, picture, connections, given.seconds)
                    cells[name, connections].append(cell)
    _show(cells)


def _measure(
    server: Service, headers: Mapping[str, str], picture: bytes, connections: int, seconds: float
) -> Cell:
    run = time.monotonic_ns()
    before = {name: cpu_s(pid) for name, pid in server.pids.items()}
    done = load.run(
        server.port,
        picture,
        connections=connections,
        seconds=seconds,
        headers=lambda number: {"X-Session-Id": f"{run}-{number}", **headers},
    )
    answered = len(done.waited_ms)
    if done.broken or set(done.statuses) != {200}:
        raise RuntimeError(f"answers {dict(done.statuses)}, {done.broken} broken connections")
    used = {name: (cpu_s(pid) - before[name]) * 1e3 / answered for name, pid in server.pids.items()}
    return Cell(answered / done.elapsed_s, done.waited_ms, used)


def _show(cells: Mapping[tuple[str, int], list[Cell]]) -> None:
    """Medians over the rounds; ratios are those of each round."""
    print(f"connections {'':12}{'per s':>7}{'ratio':>7}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}   of which")
    for (name, connections), rounds in sorted(cells.items(), key=lambda item: item[0][1]):
        base = cells["Flask", connections]
        ratio = statistics.median(cell.per_s / other.per_s for cell, other in zip(rounds, base, strict=True))
        p50, p99 = np.percentile([ms for cell in rounds for ms in cell.waited_ms], [50, 99])
        cpu_ms = _cpu_ms(rounds)
        parts = ", ".join(f"{program} {ms:.1f}" for program, ms in cpu_ms.items())
        per_s = statistics.median(cell.per_s for cell in rounds)
        print(
            f"{connections:>11} {name:12}{per_s:>7.0f}{ratio:>7.1f}"
            f"{p50:>8.1f}{p99:>8.1f}{sum(cpu_ms.values()):>8.1f}   {parts}"
        )


def _cpu_ms(rounds: Iterable[Cell]) -> dict[str, float]:
    """Of a request, by program: workers together."""
    programs: dict[str, list[float]] = defaultdict(list)
    for cell in rounds:
        of_cell: dict[str, float] = defaultdict(float)
        for name, milliseconds in cell.cpu_ms.items():
            of_cell[name.partition(" ")[0]] += milliseconds
        for program, milliseconds in of_cell.items():
            programs[program].append(milliseconds)
    return {program: statistics.median(figures) for program, figures in programs.items()}


@contextmanager
def _flask() -> Iterator[Service]:
    """The other design, with the allocator that ours has."""
    port = free_port()
    environ = serve.environment(wire_settings.load(os.environ), os.environ)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.flask_baseline", str(port)],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the Flask server did not start: is the extra `bench` installed?")
            time.sleep(0.05)
        yield Service(port, {"flask": process.pid})
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    main()
