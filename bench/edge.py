"""What edge and broker add to a frame: `python -m bench.edge`.

Real edge, broker and worker loop, each its own process, around a pipeline that answers at once
with the same arrays: whatever a caller waits here is added to the worker's stages. Beside it
the same bytes over one bare TCP connection. `bench.edge_steps` has the parts.
"""

import argparse
import http.client
import io
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import zmq
from PIL import Image as PillowImage

from bench import edge_steps
from bench.broker import cpu_s
from bench.render import frame_1080p
from bench.timing import crowd
from client.backend import is_ready
from tools import serve
from wire import settings as wire_settings
from wire.messages import Person, Ready
from workers import answers
from workers.body.model import Body
from workers.build import open_store
from workers.loop import BrokerSocket, WorkerLoop
from workers.pipeline import Drawn, Folded, FrameAnswer
from workers.sessions import Codec, Sessions
from workers.types import Array, Progress
from workers.watchdog import Watchdog

_JPEG_BYTES = 300_000
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
_WARM_UP = 30
_READY_WITHIN_S = 30.0


class FixedPipeline:
    """Stands where the worker's pipeline stands, and answers every frame with the same body."""

    observer = SimpleNamespace(name="bench", model_version="bench")
    tracker = SimpleNamespace(name="bench")

    def __init__(self) -> None:
        arrays = body_arrays()
        vertices = arrays.pop("vertices")
        person = Person(track_id=1, state="detected", frames_since_detected=0, confidence=0.9)
        answer = FrameAnswer(1920, 1080, [person], 0, 1, arrays, {})
        self._folded = Folded(None, answer, Drawn(vertices, None, {}))

    def start(self) -> None:
        """No state."""

    def fold(self, batch: Sequence[object], *, on_progress: Progress) -> list[Folded]:  # noqa: ARG002
        """The same for every frame."""
        return [self._folded] * len(batch)


def body_arrays() -> dict[str, Array]:
    """What `wire.messages.Result` describes, of one person."""
    body, (pose,) = Body.open(), crowd(1)
    mesh = body.mesh(pose.rotations[None], pose.betas[None])
    shares = np.random.default_rng(0).uniform(0, 1, (1, 24, 3)).astype(np.float32)
    return {
        "joints": mesh.joints,
        "joint_confidence": shares[:, :, 0],
        "keypoints": shares[:, :17],
        "keypoints_2d": shares[:, :17, :2] * 1000,
        "keypoint_confidence": shares[:, :17, 1],
        "angles": shares[:, :9, 2] * 180,
        "rotations": pose.rotations[None],
        "betas": pose.betas[None],
        "translation": pose.translation[None],
        "boxes": np.array([[800, 100, 1100, 1000]], np.float32),
        "vertices": mesh.vertices,
    }


def main() -> None:
    """Print what a request costs at one and at four connections, then the steps."""
    parser = argparse.ArgumentParser(prog="python -m bench.edge", description=__doc__)
    parser.add_argument("--requests", type=int, default=400, help="at each number of connections")
    given = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    picture, arrays = _picture(), body_arrays()
    request = edge_steps.request(picture, frame_number=0)
    print(f"a JPEG of {len(picture) / 1e3:.0f} KB in, a body of 6890 vertices out")
    print(f"{'':16}{'median ms':>10}{'p99 ms':>9}{'per s':>8}   CPU ms a request")
    with tempfile.TemporaryDirectory() as directory, _service(Path(directory)) as (port, pids):
        _stream(port, picture, 1, _WARM_UP)
        for connections in (1, 4):
            before = {name: cpu_s(pid) for name, pid in pids.items()}
            started = time.perf_counter()
            waited_ms = _stream(port, picture, connections, given.requests)
            elapsed_s = time.perf_counter() - started
            used = {name: (cpu_s(pid) - before[name]) * 1e3 / len(waited_ms) for name, pid in pids.items()}
            _show(f"{connections} connection" + "s" * (connections > 1), waited_ms, elapsed_s, used)
    with _bare_server(len(request), edge_steps.compressed_answer(arrays)) as exchange:
        started = time.perf_counter()
        waited_ms = [exchange(request) for _ in range(given.requests)]
        _show("bare TCP", waited_ms, time.perf_counter() - started, {})
    edge_steps.show(picture, arrays)


def _show(name: str, waited_ms: Sequence[float], elapsed_s: float, cpu_ms: Mapping[str, float]) -> None:
    p50, p99 = np.percentile(waited_ms, [50, 99])
    used = ", ".join(f"{program} {ms:.2f}" for program, ms in cpu_ms.items())
    print(f"{name:16}{p50:>10.2f}{p99:>9.2f}{len(waited_ms) / elapsed_s:>8.0f}   {used}")


def _picture() -> bytes:
    """The demo's first frame at 1080p, as the JPEG nearest to the usual size."""
    frame = PillowImage.fromarray(frame_1080p())
    pictures = []
    for quality in range(70, 90, 2):
        stream = io.BytesIO()
        frame.save(stream, "JPEG", quality=quality)
        pictures.append(stream.getvalue())
    return min(pictures, key=lambda picture: abs(len(picture) - _JPEG_BYTES))


def _stream(port: int, picture: bytes, connections: int, requests: int) -> list[float]:
    """What each request waited, ms, each connection a session that sends one frame after the other."""
    waited_ms: list[float] = []
    run = time.monotonic_ns()

    def send(session: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        headers = {**_HEADERS, "X-Session-Id": session}
        for body in bodies:
            started = time.perf_counter()
            connection.request("POST", "/pose/hybrid", body=body, headers=headers)
            response = connection.getresponse()
            response.read()  # left as it is: reading JSON in four threads would keep them from sending
            waited_ms.append((time.perf_counter() - started) * 1e3)
            assert response.status == HTTPStatus.OK
        connection.close()

    bodies = [edge_steps.request(picture, frame_number=number) for number in range(requests // connections)]
    threads = [threading.Thread(target=send, args=(f"{run}-{number}",)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waited_ms


# ------------------------------------------------------------------------ the other processes


@contextmanager
def _service(directory: Path) -> Iterator[tuple[int, dict[str, int]]]:
    """Edge, broker and a worker that answers at once: the edge's port, and all their process ids."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"POSE_HOST": "127.0.0.1", "POSE_PORT": str(port), "POSE_RUNTIME_DIR": str(directory)}
    environ = os.environ | own | {"POSE_LOG_LEVEL": "warning"}
    settings = wire_settings.load(environ)
    environ = serve.environment(settings, environ)
    with ExitStack() as running:
        pids = {}
        for name, module in (("edge", "http_edge"), ("broker", "broker")):
            process = subprocess.Popen([sys.executable, "-m", module], env=environ)
            running.callback(process.wait)
            running.callback(process.terminate)
            pids[name] = process.pid
        worker = multiprocessing.Process(target=_work, args=(settings,), daemon=True)
        worker.start()
        running.callback(worker.kill)
        assert worker.pid is not None
        _wait_until_ready(port)
        yield port, pids | {"worker": worker.pid}


def _work(settings: wire_settings.Settings) -> None:
    """The worker's own loop around the pipeline that answers at once."""
    socket = BrokerSocket(zmq.Context(), settings)
    ready = Ready(name="bench", credits=settings.worker_credits, device="none", models={}, observer="bench")
    pipeline = FixedPipeline()
    loop = WorkerLoop(
        socket=socket,
        pipeline=pipeline,
        sessions=Sessions(
            store=open_store(settings, index=0),
            start=pipeline.start,
            states=Codec(lambda _: b"", lambda _: None),
            answers=Codec(answers.to_bytes, answers.from_bytes),
            kept_answers=settings.kept_answers,
        ),
        ready=ready,
        watchdog=Watchdog(),
        settings=settings,
    )
    loop.run(lambda: False)


def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not is_ready("127.0.0.1", port):
        if time.monotonic() > deadline:
            raise RuntimeError("edge, broker and worker did not become ready")
        time.sleep(0.05)


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
