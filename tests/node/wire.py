"""Videos sent over the wire protocol by node, with a client that was written from PROTOCOL.md alone."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from tests.node.backend import HERE, node

_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the client says: a line for each frame by its folder, in their order, and the broker's status."""

    frames: dict[Path, list[dict[str, Any]]]
    status: dict[str, Any]

    def joints(self, folder: Path) -> list[np.ndarray]:
        """Of the people of each frame, (P, 24, 3)."""
        return [
            np.array(frame["joints"]["numbers"], np.float32).reshape(frame["joints"]["shape"])
            for frame in self.frames[folder]
        ]


@contextmanager
def tracking(endpoint: str, folders: Sequence[Path], *, window: int = 8) -> Iterator["subprocess.Popen[str]"]:
    """The client, under way; `told` reads what it prints. Raises `NotRun`."""
    command = [node(), str(HERE / "track.mjs"), endpoint, str(window), *map(str, folders)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(process: "subprocess.Popen[str]") -> Told:
    """What it prints until it ends, which it must do well."""
    output, errors = process.communicate(timeout=_WITHIN_S)
    assert process.returncode == 0, errors
    *frames, status = [json.loads(line) for line in output.splitlines()]
    by_folder: dict[Path, list[dict[str, Any]]] = {}
    for frame in frames:
        by_folder.setdefault(Path(frame["folder"]), []).append(frame)
    return Told(by_folder, status)


def track(endpoint: str, folders: Sequence[Path], *, window: int = 8) -> Told:
    """All of that."""
    with tracking(endpoint, folders, window=window) as process:
        return told(process)


def write_jpegs(folder: Path, frames: Iterable[np.ndarray]) -> Path:
    """A video as JPEGs."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        (folder / f"{number:04}.jpg").write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(frame)))
    return folder


def write_pixels(folder: Path, frames: Iterable[np.ndarray]) -> Path:
    """A video as bare pixels."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        height, width, _ = frame.shape
        (folder / f"{number:04}-{width}x{height}.rgb").write_bytes(np.ascontiguousarray(frame).tobytes())
    return folder
