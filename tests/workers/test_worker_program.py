"""The worker as a program: `python -m workers` against a broker written by hand with plain msgpack."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zmq
from PIL import Image as PillowImage

REQUEST = b"0123456789abcdef"
PATIENCE_S = 60.0


class HandWrittenBroker:
    """The broker's side of the worker socket, speaking only what `PROTOCOL.md` says."""

    def __init__(self, context: zmq.Context, endpoint: str) -> None:
        self.socket = context.socket(zmq.ROUTER)
        self.socket.bind(endpoint)
        self.peer = b""

    def expect(self, kind: str) -> tuple[dict, list[bytes]]:
        """The next message of `kind`; heartbeats may come in between."""
        deadline = time.monotonic() + PATIENCE_S
        while (left_s := deadline - time.monotonic()) > 0:
            if not self.socket.poll(int(left_s * 1e3)):
                break
            self.peer, header, *payload = self.socket.recv_multipart()
            message = msgpack.unpackb(header)
            if message["type"] == kind:
                return message, payload
            assert message["type"] == "heartbeat", f"{message} came instead of a {kind}"
        pytest.fail(f"no {kind} in {PATIENCE_S} s")

    def send(self, header: dict, *payload: bytes) -> None:
        self.socket.send_multipart([self.peer, msgpack.packb({"v": 1, **header}), *payload])

    def send_frame(self, number: int, picture: bytes, **more: object) -> None:
        work = {
            "type": "work",
            "request_id": REQUEST,
            "session_id": "clip",
            "generation": 0,
            "epoch": 1,
            "continues": number > 0,
            "frame_number": number,
            "deadline_ms": 10_000,
        }
        self.send(work | more, picture)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HandWrittenBroker]:
    with zmq.Context() as context:
        served = HandWrittenBroker(context, f"ipc://{tmp_path}/workers.ipc")
        yield served
        served.socket.close(linger=0)


def start_worker(runtime_dir: Path, **settings: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "POSE_RUNTIME_DIR": str(runtime_dir),
        "POSE_HEARTBEAT_S": "0.2",
        **{f"POSE_{name.upper()}": value for name, value in settings.items()},
    }
    return subprocess.Popen(
        [sys.executable, "-m", "workers", "--index", "3"], env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = start_worker(tmp_path)
    yield process
    process.kill()
    process.communicate()


def grey_picture(width: int = 64, height: int = 48) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(np.full((height, width, 3), 90, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.usefixtures("worker")
def test_a_worker_says_what_it_is_and_keeps_saying_that_it_lives(broker: HandWrittenBroker) -> None:
    ready, _ = broker.expect("ready")
    assert ready["name"].startswith("worker-3-")
    assert ready["credits"] > 0
    assert ready["observer"] == "blazepose"

    broker.expect("heartbeat")
    broker.send({"type": "who_are_you"})
    again, _ = broker.expect("ready")
    assert again == ready


@pytest.mark.usefixtures("worker")
def test_frames_are_answered_in_their_order_and_repeats_alike(broker: HandWrittenBroker) -> None:
    broker.expect("ready")

    for number in (0, 1, 1, 2):
        broker.send_frame(number, grey_picture())

    (first, _), once, again, (last, _) = (broker.expect("result") for _ in range(4))
    assert [result["frame_number"] for result in (first, once[0], again[0], last)] == [0, 1, 1, 2]
    for answer, _ in (once, again):
        answer.pop("stages_ms")
    assert once == again
    assert first["primary"] is None
    assert (first["width_px"], first["height_px"]) == (64, 48)


@pytest.mark.usefixtures("worker")
def test_a_broken_picture_fails_by_name_and_the_next_is_served(broker: HandWrittenBroker) -> None:
    broker.expect("ready")

    broker.send_frame(0, b"no picture")
    broker.send_frame(1, grey_picture()[:60])
    broker.send_frame(2, grey_picture())

    assert broker.expect("failure")[0]["code"] == "invalid_image"
    assert broker.expect("failure")[0]["code"] in {"truncated_image", "invalid_image"}
    assert broker.expect("result")[0]["frame_number"] == 2


def test_a_stopping_worker_answers_what_it_holds_and_parts(
    broker: HandWrittenBroker, worker: subprocess.Popen[str]
) -> None:
    broker.expect("ready")
    worker.send_signal(signal.SIGTERM)
    broker.expect("goodbye")

    broker.send_frame(0, grey_picture())  # was on its way when the worker said goodbye
    broker.send({"type": "goodbye"})

    assert broker.expect("result")[0]["frame_number"] == 0
    assert worker.wait(timeout=PATIENCE_S) == 0


def test_a_worker_without_its_model_files_says_so_and_ends(broker: HandWrittenBroker, tmp_path: Path) -> None:
    process = start_worker(tmp_path, assets_dir=str(tmp_path / "empty"))

    reason = broker.expect("load_failed")[0]["reason"]

    assert "python -m workers.assets fetch" in reason
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert "pose_detection.tflite" in errors


def test_a_misspelt_setting_stops_the_worker_at_once(tmp_path: Path) -> None:
    process = start_worker(tmp_path, wrokers="2")

    _, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 3
    assert "POSE_WROKERS" in errors
