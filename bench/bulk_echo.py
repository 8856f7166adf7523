"""What our part of bulk work costs: frames through `client.sending`, broker and a worker that looks away.

Beside it the same bytes in the same number of parts through two bare pyzmq ROUTERs: `python -m
bench.bulk_echo`. Client, router and worker are three processes in each, eight frames are under way, and
rounds take turns. An answer is that of one person without a mesh, which is what bulk work asks for. Ours has
two rows: pictures are lent, as by any client of ours on one machine, or their bytes are sent, as over tcp.
Processor time is that of client, router and worker: what else runs changes it less than frames per second.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import zmq

from bench.broker import bare_router, cpu_s
from bench.null_service import body_arrays
from client import records
from client.pictures import Picture, of_array
from client.sending import Sending
from client.under_way import Question
from client.window import FRAMES, Window
from tools.serve import environment
from wire import settings as wire_settings
from wire.connection import Connection
from wire.shelf import Shelf, can_lend

#: What travels -> width and height of bare pixels.
_SIZES = {"1080p": (1920, 1080), "360p": (640, 360), "one JPEG's bytes": (400, 250)}

_HEADER_BYTES = 700  # of a result with one person

_WANTED = 0.9


@dataclass(frozen=True, slots=True)
class Took:
    """Of one frame. cpu_ms: processor time of client, router and worker, or of what stands for them."""

    seconds: float
    cpu_ms: tuple[float, ...]


def main() -> None:
    """Print frames per second of both, and how they compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.bulk_echo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each size and round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    with tempfile.TemporaryDirectory() as directory, _bare(Path(directory)) as bare, _ours(directory) as ours:
        lent, sent = ours
        for name, (width, height) in _SIZES.items():
            picture = of_array(
                np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8), number=0, time_s=None
            )
            rounds = [
                [run(picture, given.seconds) for run in (bare, lent, sent)] for _ in range(given.rounds + 1)
            ]
            _show(f"{name}, {picture.size_bytes:,} bytes", rounds[1:])  # the first warms up


def _show(name: str, rounds: Sequence[Sequence[Took]]) -> None:
    print(f"{name} (wanted: {_WANTED} of bare pyzmq)")
    for title, column in zip(("bare", "ours, lent", "ours, sent"), zip(*rounds, strict=True), strict=True):
        ratio = statistics.median(
            bare.seconds / ours.seconds for (bare, *_), ours in zip(rounds, column, strict=True)
        )
        per_s = statistics.median(1 / took.seconds for took in column)
        programs = zip(*(took.cpu_ms for took in column), strict=True)
        cpu = " + ".join(f"{statistics.median(of_one):.2f}" for of_one in programs)
        print(f"  {title:11}{per_s:6.0f} frames/s, {ratio:.2f} of bare, {cpu} ms of CPU", flush=True)


# ------------------------------------------------------------------------ bare


@contextmanager
def _bare(directory: Path) -> Iterator[Callable[[Picture, float], Took]]:
    frames, workers = f"ipc://{directory}/bare-frames", f"ipc://{directory}/bare-workers"
    router = multiprocessing.Process(target=bare_router, args=(frames, workers), daemon=True)
    worker = multiprocessing.Process(target=_bare_worker, args=(workers,), daemon=True)
    router.start()
    worker.start()
    assert router.pid is not None
    assert worker.pid is not None
    pids = os.getpid(), router.pid, worker.pid
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.connect(frames)
        try:
            yield lambda picture, seconds: _measured(
                pids, seconds, lambda until: _bare_echoes(socket, picture.encoded, until)
            )
        finally:
            router.kill()
            worker.kill()


def _bare_worker(endpoint: str) -> None:
    """Answer every message with the parts of a result, whose arrays are joined."""
    arrays = bytes(sum(array.nbytes for name, array in body_arrays().items() if name != "vertices"))
    socket = zmq.Context().socket(zmq.DEALER)
    socket.connect(endpoint)
    socket.send(b"ready")
    while True:
        client, _, _ = socket.recv_multipart(copy=False)
        socket.send_multipart([client, bytes(_HEADER_BYTES), arrays], copy=False)


def _bare_echoes(socket: "zmq.Socket[bytes]", encoded: bytes, until: float) -> int:
    sent = came = 0
    while came < sent or time.perf_counter() < until:
        while sent - came < FRAMES and time.perf_counter() < until:
            socket.send_multipart([b"header", encoded], copy=False)
            sent += 1
        if came < sent:
            socket.recv_multipart(copy=False)
            came += 1
    return came


# ------------------------------------------------------------------------ ours


@contextmanager
def _ours(directory: str) -> Iterator[list[Callable[[Picture, float], Took]]]:
    given = os.environ | {"POSE_RUNTIME_DIR": directory, "POSE_LOG_LEVEL": "error", "POSE_WORKERS": "1"}
    settings = wire_settings.load(given)
    environ = environment(settings, given)
    worker = [sys.executable, "-m", "bench.null_service", "0", "looks_away"]
    with (
        _running([sys.executable, "-m", "broker"], environ) as broker,
        _running(worker, environ) as working,
        Connection(settings.frames_address(), max_frame_bytes=settings.max_body_bytes) as connection,
    ):
        while not connection.status(timeout_s=60).workers:
            time.sleep(0.05)
        if not can_lend(connection.status(timeout_s=10), [settings.frames_address()]):
            raise RuntimeError("the worker cannot read the memory of this process")

        def run(shelf: Shelf | None, picture: Picture, seconds: float) -> Took:
            echoes = partial(_our_echoes, connection, shelf, picture)
            return _measured((os.getpid(), broker.pid, working.pid), seconds, echoes)

        yield [partial(run, Shelf(128)), partial(run, None)]


@contextmanager
def _running(command: Sequence[str], environ: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, env=environ)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _our_echoes(connection: Connection, shelf: Shelf | None, picture: Picture, until: float) -> int:
    def pictures() -> Iterator[Picture]:
        number = 0
        while time.perf_counter() < until:
            yield picture._replace(number=number)
            number += 1

    limits = connection.status(timeout_s=10).limits
    question = Question(os.urandom(8).hex(), "bench")
    sending = Sending(connection, Window(limits), question, go_on=lambda: None, shelf=shelf)
    return sum(len(records.of_outcome(outcome).frame) > 0 for outcome in sending.outcomes(pictures()))


def _measured(pids: Sequence[int], seconds: float, echoes: Callable[[float], int]) -> Took:
    before_s, started = [cpu_s(pid) for pid in pids], time.perf_counter()
    count = echoes(started + seconds)
    elapsed_s = time.perf_counter() - started
    cpu_ms = ((cpu_s(pid) - was_s) / count * 1e3 for pid, was_s in zip(pids, before_s, strict=True))
    return Took(elapsed_s / count, tuple(cpu_ms))


if __name__ == "__main__":
    main()
