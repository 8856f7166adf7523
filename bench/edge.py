"""What edge and broker add to a frame: `python -m bench.edge`.

Real edge, broker and worker loop, each its own process, around a pipeline that answers at once
with the same arrays: whatever a caller waits here is added to the worker's stages. Beside it
the same bytes over one bare TCP connection. `bench.edge_steps` has the parts.
"""

import argparse
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench import edge_steps, load
from bench.broker import cpu_s
from bench.null_service import body_arrays, service

_HEADERS = {"Accept-Encoding": "gzip"}
_WARM_UP_S = 2.0
_BARE_EXCHANGES = 400


def main() -> None:
    """Print what a request costs at one and at four connections, then the steps."""
    parser = argparse.ArgumentParser(prog="python -m bench.edge", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="at each number of connections")
    given = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    picture, arrays = load.picture_1080p(), body_arrays()
    request = edge_steps.request(picture, frame_number=0)
    print(f"a JPEG of {len(picture) / 1e3:.0f} KB in, a body of 6890 vertices out")
    print(f"{'':16}{'median ms':>10}{'p99 ms':>9}{'per s':>8}   CPU ms a request")
    with tempfile.TemporaryDirectory() as directory, service(Path(directory), decodes=False) as running:
        _sent(running.port, picture, 1, _WARM_UP_S)
        for connections in (1, 4):
            before = {name: cpu_s(pid) for name, pid in running.pids.items()}
            done = _sent(running.port, picture, connections, given.seconds)
            used = {
                name: (cpu_s(pid) - before[name]) * 1e3 / len(done.waited_ms)
                for name, pid in running.pids.items()
            }
            name = f"{connections} connection" + "s" * (connections > 1)
            _show(name, done.waited_ms, done.elapsed_s, used)
    with _bare_server(len(request), edge_steps.compressed_answer(arrays)) as exchange:
        started = time.perf_counter()
        waited_ms = [exchange(request) for _ in range(_BARE_EXCHANGES)]
        _show("bare TCP", waited_ms, time.perf_counter() - started, {})
    edge_steps.show(picture, arrays)


def _sent(port: int, picture: bytes, connections: int, seconds: float) -> load.Load:
    """Each connection is a session that sends one frame after the other."""
    run = time.monotonic_ns()
    done = load.run(
        port,
        picture,
        connections=connections,
        seconds=seconds,
        headers=lambda number: {"X-Session-Id": f"{run}-{number}", **_HEADERS},
    )
    assert set(done.statuses) == {200}, done.statuses
    return done


def _show(name: str, waited_ms: Sequence[float], elapsed_s: float, cpu_ms: Mapping[str, float]) -> None:
    p50, p99 = np.percentile(waited_ms, [50, 99])
    used = ", ".join(f"{program} {ms:.2f}" for program, ms in cpu_ms.items())
    print(f"{name:16}{p50:>10.2f}{p99:>9.2f}{len(waited_ms) / elapsed_s:>8.0f}   {used}")


@contextmanager
def _bare_server(request_bytes: int, answer: bytes) -> Iterator[Callable[[bytes], float]]:
    """The floor: another process that reads a request's bytes and sends an answer's; ms of an exchange."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = multiprocessing.Process(
            target=_answer_bare, args=(listener, request_bytes, answer), daemon=True
        )
        server.start()
        with socket.create_connection(listener.getsockname()) as connection:

            def exchange(request: bytes) -> float:
                started = time.perf_counter()
                connection.sendall(request)
                _read(connection, len(answer))
                return (time.perf_counter() - started) * 1e3

            yield exchange
        server.kill()


def _answer_bare(listener: socket.socket, request_bytes: int, answer: bytes) -> None:
    connection, _ = listener.accept()
    while _read(connection, request_bytes):
        connection.sendall(answer)


def _read(connection: socket.socket, count: int) -> int:
    """Read `count` bytes; fewer if the peer has closed."""
    buffer = bytearray(count)
    return connection.recv_into(buffer, count, socket.MSG_WAITALL)


if __name__ == "__main__":
    main()
