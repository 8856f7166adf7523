"""What the broker costs: `python -m bench.broker`.

A picture in, arrays out, beside the same bytes through two bare ROUTERs.
Client, router and worker are three processes in both rows, and the worker does nothing but
answer. The difference of the rows is the broker's decisions: headers, digest, order, credits.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec
import numpy as np
import zmq

from wire.messages import BrokerToWorker, Decoder, Frame, Ready, Result, Work, encode

#: Requests in flight: one for latency, several for throughput.
WINDOWS = (1, 4, 16)

_WARM_UP = 50


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured line of the table."""

    name: str
    window: int
    per_s: float
    p50_us: float
    p99_us: float
    router_cpu_us: float  # per message


def bare_router(frames: str, workers: str) -> None:
    """Pass messages between two ROUTERs, to the one worker that there is."""
    context = zmq.Context()
    clients, backend = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
    clients.bind(frames)
    backend.bind(workers)
    worker = backend.recv_multipart()[0]
    poller = zmq.Poller()
    poller.register(clients, zmq.POLLIN)
    poller.register(backend, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if backend in ready:
            _, client, *payload = backend.recv_multipart(copy=False)
            clients.send_multipart([client, *payload], copy=False)
        if clients in ready:
            backend.send_multipart([worker, *clients.recv_multipart(copy=False)], copy=False)


def bare_worker(endpoint: str, out_bytes: int) -> None:
    """Answer every message with the same arrays."""
    socket = zmq.Context().socket(zmq.DEALER)
    socket.connect(endpoint)
    socket.send(b"ready")
    arrays = bytes(out_bytes)
    while True:
        client, header, _ = socket.recv_multipart(copy=False)
        socket.send_multipart([client, header, arrays], copy=False)


def broker_worker(endpoint: str, out_bytes: int) -> None:
    """Answer every work with the same arrays, as the protocol says."""
    socket = zmq.Context().socket(zmq.DEALER)
    socket.connect(endpoint)
    socket.send(encode(Ready(name="bench", credits=16, device="none", models={}, observer="none")))
    decode: Decoder[Work] = Decoder(BrokerToWorker)
    arrays = bytes(out_bytes)
    while True:
        header, *_ = socket.recv_multipart(copy=False)
        message = decode(header.buffer)
        if isinstance(message, Work):
            socket.send_multipart([encode(result_for(message)), arrays], copy=False)


def result_for(work: Work) -> Result:
    """An answer in which nobody is seen."""
    return msgspec.structs.replace(
        _BLANK,
        request_id=work.request_id,
        session_id=work.session_id,
        epoch=work.epoch,
        frame_number=work.frame_number,
    )


_BLANK = Result(
    request_id=bytes(16),
    session_id="",
    epoch=0,
    frame_number=0,
    width_px=1920,
    height_px=1080,
    people=[],
    primary=None,
    history="complete",
    num_persons_detected=0,
    num_tracks=0,
    observer="none",
    tracker="none",
    model_version="none",
    stages_ms={"decode": 1.0, "observe": 1.0, "track": 1.0},
    arrays=[],
)


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    name: str,
    endpoint: str,
    header: Callable[[int], bytes],
    *,
    in_bytes: int,
    seconds: float,
    router_pid: int,
) -> list[Row]:
    """Latency and rate at each window."""
    picture, numbers = os.urandom(in_bytes), count()
    with zmq.Context.instance().socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(endpoint)

        def send() -> None:
            socket.send_multipart([header(next(numbers)), picture], copy=False)

        return [_at(window, name, socket, send, seconds=seconds, router_pid=router_pid) for window in WINDOWS]


def _at(
    window: int,
    name: str,
    socket: "zmq.Socket[bytes]",
    send: Callable[[], None],
    *,
    seconds: float,
    router_pid: int,
) -> Row:
    """What so many requests at a time give, once the first ones were answered."""
    sent_at: list[float] = []
    latencies: list[float] = []
    until, began, cpu_before = float("inf"), 0.0, 0.0
    while time.perf_counter() < until or len(latencies) < len(sent_at):
        while len(sent_at) - len(latencies) < window and time.perf_counter() < until:
            sent_at.append(time.perf_counter())
            send()
        socket.recv_multipart(copy=False)
        # One session through one worker: answers come in the order of the requests.
        latencies.append(time.perf_counter() - sent_at[len(latencies)])
        if len(latencies) == _WARM_UP:
            began, cpu_before = time.perf_counter(), cpu_s(router_pid)
            until = began + seconds
    elapsed_s, counted = time.perf_counter() - began, len(latencies) - _WARM_UP
    p50_s, p99_s = np.percentile(latencies[_WARM_UP:], (50, 99))
    return Row(
        name=name,
        window=window,
        per_s=counted / elapsed_s,
        p50_us=p50_s * 1e6,
        p99_us=p99_s * 1e6,
        router_cpu_us=(cpu_s(router_pid) - cpu_before) / counted * 1e6,
    )


def measure_bare(directory: Path, arguments: argparse.Namespace) -> list[Row]:
    """The floor: two ROUTERs and nothing else."""
    frames, workers = f"ipc://{directory}/bare-frames", f"ipc://{directory}/bare-workers"
    router = multiprocessing.Process(target=bare_router, args=(frames, workers), daemon=True)
    worker = multiprocessing.Process(target=bare_worker, args=(workers, arguments.out_kb * 1000), daemon=True)
    router.start()
    worker.start()
    assert router.pid is not None
    try:
        return measure(
            "bare ROUTERs",
            frames,
            lambda number: b"header %d" % number,
            in_bytes=arguments.in_kb * 1000,
            seconds=arguments.seconds,
            router_pid=router.pid,
        )
    finally:
        router.kill()
        worker.kill()


def measure_broker(directory: Path, arguments: argparse.Namespace) -> list[Row]:
    """The broker, as it is served."""
    environ = {**os.environ, "POSE_RUNTIME_DIR": str(directory), "POSE_LOG_LEVEL": "error"}
    broker = subprocess.Popen([sys.executable, "-m", "broker"], env=environ)
    workers = f"ipc://{directory}/workers.ipc"
    worker = multiprocessing.Process(
        target=broker_worker, args=(workers, arguments.out_kb * 1000), daemon=True
    )
    worker.start()
    try:
        return measure(
            "broker",
            f"ipc://{directory}/frames.ipc",
            lambda number: encode(
                Frame(request_id=os.urandom(16), frame_number=number, deadline_ms=60_000, session_id="bench")
            ),
            in_bytes=arguments.in_kb * 1000,
            seconds=arguments.seconds,
            router_pid=broker.pid,
        )
    finally:
        worker.kill()
        broker.terminate()
        broker.wait()


def show(rows: Sequence[Row]) -> None:
    """The table."""
    print(f"{'':14} {'in flight':>9} {'messages/s':>11} {'p50 us':>8} {'p99 us':>8} {'router CPU us':>14}")
    for row in sorted(rows, key=lambda row: row.window):
        print(
            f"{row.name:14} {row.window:9d} {row.per_s:11.0f} {row.p50_us:8.0f} {row.p99_us:8.0f} "
            f"{row.router_cpu_us:14.0f}"
        )


def main() -> None:
    """Measure both in one run."""
    parser = argparse.ArgumentParser(description="The broker beside two bare ROUTERs.")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row")
    parser.add_argument("--in-kb", type=int, default=300, help="size of a picture")
    parser.add_argument("--out-kb", type=int, default=100, help="size of an answer's arrays")
    arguments = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    with tempfile.TemporaryDirectory() as directory:
        show([*measure_bare(Path(directory), arguments), *measure_broker(Path(directory), arguments)])


if __name__ == "__main__":
    main()
