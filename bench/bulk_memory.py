"""Memory over a long video, by `python -m bench.bulk_memory`: the command, the broker and the worker.

A clip is looped into one video of 20,000 small frames, and the bulk command works on it through a service.
The most that each process holds in the second half of the frames is compared with the most of the first; what
it holds while the result is written, which looks at the whole video again, stands beside it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from bench import null_service
from client import video
from client.private_service import private_service
from client.records import FRAME
from tools.clip import clip_path
from tools.supervised import Supervised

_SIZE = (320, 180)
_CLIP_FRAMES = 140

#: What programs load and keep in their first frames does not count.
_SETTLED = 0.1

_LOOK_S = 0.2
_WANTED = 1.02


@dataclass(slots=True)
class Held:
    """The most bytes of one process in both halves of the video, and once all frames have come."""

    first: int = 0
    second: int = 0
    finishing: int = 0


@dataclass(slots=True)
class Seen:
    """What was seen of each process while frames came."""

    held: dict[str, Held] = field(default_factory=dict)

    def look(self, pids: Mapping[str, int], share: float) -> None:
        """Note what each holds now that such a share of the frames has come."""
        if share < _SETTLED:
            return
        for name, pid in pids.items():
            held = self.held.setdefault(name, Held())
            now = _resident_bytes(pid)
            if share < 0.5:
                held.first = max(held.first, now)
            elif share < 1:
                held.second = max(held.second, now)
            else:
                held.finishing = max(held.finishing, now)


def main() -> int:
    """Print what each process held; 1 where one grew by more than 2 %."""
    parser = argparse.ArgumentParser(prog="python -m bench.bulk_memory", description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--online", action="store_true", help="without the second pass")
    parser.add_argument("--networks", action="store_true", help="with the embedded observer, not a null one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        write_loop(folder / "long.mp4", frames=given.frames)
        service = _real if given.networks else _null
        started = time.monotonic()
        with service(folder) as (runtime_dir, pids):
            words = ["--online"] if given.online else []
            seen = watched(folder, runtime_dir, pids, words, frames=given.frames)
    print(f"{given.frames} frames of {_SIZE[0]}x{_SIZE[1]}, {time.monotonic() - started:.0f} s")
    for name, held in seen.held.items():
        growth = held.second / held.first - 1
        first, second, last = (f"{size / 2**20:.1f}" for size in (held.first, held.second, held.finishing))
        print(f"  {name:9} {first:>6} MiB, then {second:>6} ({growth:+.1%}); finishing {last:>6}")
    return int(any(held.second > _WANTED * held.first for held in seen.held.values()))


def write_loop(path: Path, *, frames: int) -> None:
    """A clip again and again."""
    clip = [
        np.asarray(PillowImage.fromarray(frame).resize(_SIZE))
        for frame in islice(video.frames(clip_path("sports2d_demo.mp4"), first=60), _CLIP_FRAMES)
    ]
    with video.writing(path, rate=Fraction(30)) as add:
        for picture in islice(cycle(clip), frames):
            add(picture)


def watched(
    folder: Path, runtime_dir: Path, pids: Mapping[str, int], words: Sequence[str], *, frames: int
) -> Seen:
    """The command, with more `words`, on the long video, and what all processes hold meanwhile."""
    command = [sys.executable, "-m", "client", str(folder / "long.mp4"), "-q", "-o", str(folder / "out.npz")]
    command += ["--endpoint", f"ipc://{runtime_dir}/frames.ipc", *words]
    come = folder / "out.partial" / "frames"
    seen = Seen()
    process = subprocess.Popen(command)
    while process.poll() is None:
        with suppress(FileNotFoundError):  # not there yet, or not any more
            share = come.stat().st_size / FRAME.itemsize / frames
            seen.look({"command": process.pid, **pids}, share)
        time.sleep(_LOOK_S)
    if process.returncode:
        raise RuntimeError(f"the command ended with status {process.returncode}")
    return seen


@contextmanager
def _null(folder: Path) -> Iterator[tuple[Path, Mapping[str, int]]]:
    runtime_dir = folder / "run"
    runtime_dir.mkdir(mode=0o700)
    with null_service.service(runtime_dir, decodes=True) as running:
        yield runtime_dir, {name: running.pids[name] for name in ("broker", "worker 0")}


@contextmanager
def _real(folder: Path) -> Iterator[tuple[Path, Mapping[str, int]]]:
    with (
        private_service(folder / "service.log", {"POSE_WORKERS": "1"}) as running,
        Supervised(running.runtime_dir) as supervised,
    ):
        programs = supervised.programs()
        yield running.runtime_dir, {name: programs[name].pid for name in ("broker", "worker_00")}


def _resident_bytes(pid: int) -> int:
    """Resident pages of a process, lent memory too, less those of files; 0: it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    fields = dict(line.split(":", 1) for line in lines)
    return 1024 * sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem") if name in fields)


if __name__ == "__main__":
    sys.exit(main())
