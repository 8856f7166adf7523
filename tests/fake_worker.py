"""A worker without networks: it speaks the protocol in plain msgpack and answers with made-up bodies.

It stands for the networks alone. Frames are written by hand here, not with `wire.messages`,
so that a mistake there shows. The session's id says how a frame is answered: `Answers` below.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import zmq

from wire.errors import PoseError
from workers import images

_HEARTBEAT_S = 0.5

#: A picture that any decoder reads; what a fake draws is of no matter here.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)


def body_arrays(*, people: int, meshes: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays as a result describes them: float32, people standing 40 m away in a 640x360 picture."""
    random = np.random.default_rng(seed)

    def some(*shape: int) -> np.ndarray:
        return random.uniform(-1, 1, shape).astype(np.float32)

    return {
        "joints": some(people, 24, 3),
        "joint_confidence": np.abs(some(people, 24)),
        "keypoints": some(people, 17, 3),
        "keypoints_2d": some(people, 17, 2) * 100 + 320,
        "keypoint_confidence": np.abs(some(people, 17)),
        "angles": np.abs(some(people, 9)) * 180,
        "rotations": np.tile(np.eye(3, dtype=np.float32), (people, 24, 1, 1)),
        "betas": some(people, 10),
        "translation": some(people, 3) + np.array([0, 0, 40], dtype=np.float32),
        "boxes": np.tile(np.array([200, 50, 300, 350], dtype=np.float32), (people, 1)),
        "vertices": some(meshes, 6890, 3),
    }


def result_header(
    work: dict[str, Any], arrays: dict[str, np.ndarray], *, states: list[str], primary: int | None
) -> dict[str, Any]:
    """The header of a `result`, as PROTOCOL.md writes it."""
    return {
        "type": "result",
        "v": 1,
        "request_id": work["request_id"],
        "session_id": work["session_id"],
        "epoch": work["epoch"],
        "frame_number": work["frame_number"],
        "width_px": 640,
        "height_px": 360,
        "people": [
            {
                "track_id": 7 + row,
                "state": state,
                "frames_since_detected": row,
                "confidence": 0.9,
                **({"expected_error_mm": 21.456, "expected_error_px": 3.0} if row == 0 else {}),
                **({"contradictions": {"mirrored": 2}, "box_index": 1} if row == 0 else {}),
            }
            for row, state in enumerate(states)
        ],
        "primary": primary,
        "history": "complete",
        "num_persons_detected": len(states),
        "num_tracks": len(states),
        "observer": "fake",
        "tracker": "fake",
        "model_version": "fake-1",
        "stages_ms": {"decode": 1.5, "observe": 10.0},
        "arrays": [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()],
        "has_png": False,
    }


def answer(work: dict[str, Any], image: bytes) -> list[bytes] | None:
    """The frames that answer one `work`; None: it is never answered."""
    try:
        images.decode(image, max_pixels=10**8)
    except PoseError as error:
        return [_failure(work, error.code, error.message)]
    kind, _, detail = work["session_id"].partition(":")
    if kind == "silent":
        return None
    if kind == "failure":
        return [_failure(work, detail, "as the test wished")]
    states = {"nobody": [], "crowd": ["detected", "recovered", "predicted"]}.get(kind, ["detected"])
    primary = {"nobody": None, "crowd": 1}.get(kind, 0)
    full, meshes = work["options"]["full_people"], len(states) if work["options"]["meshes"] else 0
    arrays = body_arrays(people=len(states), meshes=meshes if full else min(meshes, 1))
    if kind == "broken":
        arrays[detail][...] = np.nan
    header = result_header(work, arrays, states=states, primary=primary)
    payload = [array.tobytes() for array in arrays.values()]
    if work["options"]["visualize"]:
        header["has_png"] = True
        payload.append(PNG)
    return [msgpack.packb(header), *payload]


def _failure(work: dict[str, Any], code: str, message: str) -> bytes:
    header = {
        "type": "failure",
        "v": 1,
        "request_id": work["request_id"],
        "code": code,
        "message": message,
        "session_id": work["session_id"],
        "epoch": work["epoch"],
    }
    return msgpack.packb(header)


class FakeWorker:
    """Serves from a thread until the `with` block ends."""

    def __init__(
        self,
        workers_address: str,
        *,
        answers: Callable[[dict[str, Any], bytes], list[bytes] | None] = answer,
        memory: str = "",
    ) -> None:
        """`memory`: whose memory files it says it can open."""
        self._ready = msgpack.packb({**_READY, "memory": memory})
        self._address = workers_address
        self._answers = answers
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="fake-worker")

    def __enter__(self) -> "FakeWorker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _serve(self) -> None:
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(self._address)
            socket.send(self._ready)
            beaten = time.monotonic()
            while not self._stopping.is_set():
                if time.monotonic() - beaten > _HEARTBEAT_S:
                    socket.send(_HEARTBEAT)
                    beaten = time.monotonic()
                if socket.poll(20):
                    self._take(socket, socket.recv_multipart())

    def _take(self, socket: zmq.Socket[bytes], frames: list[bytes]) -> None:
        message = msgpack.unpackb(frames[0])
        if message["type"] == "who_are_you":
            socket.send(self._ready)
        elif message["type"] == "work" and (reply := self._answers(message, frames[1])):
            socket.send_multipart(reply)


#: What the fake says of a store that it does not have.
STORE = {
    "sessions": 3,
    "used_bytes": 4096,
    "restored": 2,
    "cold": 1,
    "evicted": 5,
    "failed_writes": 7,
    "superseded": 4,
    "new": 9,
}

_HEARTBEAT = msgpack.packb({"type": "heartbeat", "v": 1, "store": STORE})
_READY = {
    "type": "ready",
    "v": 1,
    "name": "fake-0",
    "credits": 64,
    "device": "cpu",
    "models": {"networks": "loaded"},
    "observer": "fake",
}


def report_load_failure(workers_address: str, reason: str) -> None:
    """Say what a worker says that cannot serve."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 2000)
        socket.connect(workers_address)
        header = {"type": "load_failed", "v": 1, "name": "fake-1", "reason": reason}
        socket.send(msgpack.packb(header))
