"""Edge, broker and workers as real processes, around a pipeline without networks: our own work is left.

`python -m bench.null_service INDEX decodes|looks_away` is one of the workers; `service` starts it.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from bench.stand_in import serve
from bench.timing import crowd
from body.model import Body
from client.backend import is_ready
from tools.serve import environment
from wire import settings as wire_settings
from wire.messages import Buffer, Person
from workers import images
from workers.build import open_store
from workers.pipeline import Drawn, Folded, FrameAnswer, FrameInput
from workers.sessions import Codec
from workers.types import Array, Image, Progress

_READY_WITHIN_S = 60.0
_MAX_PIXELS = 40_000_000
_DECODES, _LOOKS_AWAY = "decodes", "looks_away"


@dataclass(frozen=True, slots=True)
class Service:
    """port: the edge's. pids: of every process, by what it is."""

    port: int
    pids: Mapping[str, int]


class NullPipeline:
    """Stands where the worker's pipeline stands, and answers every frame with the same body."""

    observer = SimpleNamespace(name="bench", model_version="bench")
    tracker = SimpleNamespace(name="bench")

    def __init__(self, *, decodes: bool) -> None:
        arrays = body_arrays()
        vertices = arrays.pop("vertices")
        person = Person(track_id=1, state="detected", frames_since_detected=0, confidence=0.9)
        answer = FrameAnswer(1920, 1080, [person], 0, 1, arrays, {})
        self._folded = Folded(None, answer, Drawn(vertices, None, {}))
        self._unmeshed = Folded(None, answer, Drawn(vertices[:0], None, {}))
        self._decodes = decodes

    def start(self) -> None:
        """No state."""

    def decode(self, encoded: Buffer) -> Image | None:
        """The picture, if pictures are decoded at all."""
        return images.decode(encoded, max_pixels=_MAX_PIXELS) if self._decodes else None

    def fold(
        self,
        batch: Sequence[tuple[None, FrameInput]],
        *,
        on_progress: Progress,  # noqa: ARG002
    ) -> list[Folded]:
        """The same for every frame, whose picture is at most decoded."""
        for _, frame in batch:
            frame.decoded()
        return [self._folded if frame.options.meshes else self._unmeshed for _, frame in batch]


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


@contextmanager
def service(
    directory: Path, *, workers: int = 1, decodes: bool, own: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """The processes, with the environment that `tools.serve` gives them; `own`: more settings."""
    given = {
        "POSE_HOST": "127.0.0.1",
        "POSE_PORT": str(free_port()),
        "POSE_RUNTIME_DIR": str(directory),
        "POSE_LOG_LEVEL": "error",
        "POSE_WORKERS": str(workers),
        **(own or {}),
    }
    environ = os.environ | given
    settings = wire_settings.load(environ)
    environ = environment(settings, environ)
    kind = _DECODES if decodes else _LOOKS_AWAY
    commands = {"edge": ["http_edge"], "broker": ["broker"]}
    commands |= {f"worker {index}": ["bench.null_service", str(index), kind] for index in range(workers)}
    with ExitStack() as running:
        pids = {}
        for name, command in commands.items():
            process = subprocess.Popen([sys.executable, "-m", *command], env=environ)
            running.callback(process.wait)
            running.callback(process.terminate)
            pids[name] = process.pid
        _wait_until_ready(settings.port)
        yield Service(settings.port, pids)


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not is_ready("127.0.0.1", port):
        if time.monotonic() > deadline:
            raise RuntimeError("edge, broker and workers did not become ready")
        time.sleep(0.05)


def _work(index: int, *, decodes: bool) -> None:
    settings = wire_settings.load(os.environ)
    serve(
        NullPipeline(decodes=decodes),
        states=Codec(lambda _: b"", lambda _: None),
        store=open_store(settings, index=index, tracker="bench"),
        settings=settings,
        index=index,
        stopping=lambda: False,
    )


if __name__ == "__main__":
    _work(int(sys.argv[1]), decodes=sys.argv[2] == _DECODES)
