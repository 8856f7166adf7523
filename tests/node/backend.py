"""Frames sent as the Node.js backend sends them, by node with axios; whoever lacks these is told so."""

import io
import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from bench.measures import Verdicts, backend_filter

HERE = Path(__file__).parent

#: What the backend makes of videos that are wide, and of those that are high: `SIZE[::-1]`.
SIZE = (640, 360)
PACING_MS = 50

_INSTALLED = HERE / "node_modules" / ".package-lock.json"
_INSTALL_WITHIN_S = 120.0
_OLDEST_NODE = 20


class NotRun(Exception):
    """node, npm or a package is missing here; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One frame, and what the backend reads of its answer."""

    video: Path
    file: str
    frame_number: int
    status: int
    elapsed_ms: float
    read: dict[str, Any]

    @property
    def number(self) -> int:
        """Its place in the video's true order, from 1."""
        return int(self.file.removeprefix("frame-").removesuffix(".png"))

    @property
    def is_posed(self) -> bool:
        """Whether the backend has a pose to store."""
        return self.status == 200 and bool(self.read.get("keypoints"))


def node() -> str:
    """Where node is, with the packages of the clients beside it. Raises `NotRun`."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        raise NotRun("NOT RUN: the Node client of the end-to-end tests. Install node 20 or newer, and npm")
    version = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < _OLDEST_NODE:
        raise NotRun(f"NOT RUN: the Node client of the end-to-end tests. It wants node 20, here is {version}")
    if not _INSTALLED.is_file() or _INSTALLED.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(HERE)]
        done = subprocess.run(command, timeout=_INSTALL_WITHIN_S, check=False, capture_output=True, text=True)
        if done.returncode:
            raise NotRun(f"NOT RUN: the Node client of the end-to-end tests. npm ci: {done.stderr[-300:]}")
    return found


def write(folder: Path, frames: Iterable[np.ndarray], *, in_true_order: bool = False) -> Path:
    """A video as the backend has it: PNGs of `SIZE`, numbered from 1; in true order: with leading zeros."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        stream = io.BytesIO()
        size = SIZE if frame.shape[1] > frame.shape[0] else SIZE[::-1]
        PillowImage.fromarray(frame).resize(size).save(stream, "PNG", compress_level=1)
        (folder / (f"frame-{number:03}.png" if in_true_order else f"frame-{number}.png")).write_bytes(
            stream.getvalue()
        )
    return folder


def send(port: int, videos: Sequence[Path], *, pool: int) -> list[Sent]:
    """Every frame of the videos, sent at once, as they were answered. Raises `NotRun`."""
    command = [node(), str(HERE / "backend.mjs"), f"http://127.0.0.1:{port}", str(pool), str(PACING_MS)]
    done = subprocess.run([*command, *map(str, videos)], check=True, capture_output=True, text=True)
    return [_sent(json.loads(line)) for line in done.stdout.splitlines()]


def verdicts(sent: Sequence[Sent]) -> Verdicts:
    """What the backend's filter does with one video's frames, put into their true order."""
    posed = [
        one.read["keypoints"] if one.is_posed else None for one in sorted(sent, key=lambda one: one.number)
    ]
    none = np.full((17, 3), np.nan)
    points = np.stack([none if one is None else _points(one) for one in posed])
    width, height = next((one.read["size"] for one in sent if one.is_posed), SIZE)
    return backend_filter(points[..., :2], np.nan_to_num(points[..., 2]), width=width, height=height)


def _points(keypoints: Sequence[dict[str, float]]) -> np.ndarray:
    return np.array([[point["x"], point["y"], point["confidence"]] for point in keypoints])


def _sent(line: dict[str, Any]) -> Sent:
    return Sent(
        Path(line.pop("folder")),
        line.pop("file"),
        line.pop("frame_number"),
        line.pop("status"),
        line.pop("elapsed_ms"),
        line,
    )
