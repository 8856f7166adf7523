"""The whole service over HTTP, by `python -m bench.service`: a real clip at 1080p, one frame at a time.

One session, base64 JSON, no `visualize`, gzip asked for, as a backend sends it. Each stage's time is what the
worker logged of the same frames; edge and broker are what the caller waited beyond them. The caller does as
little as can be: Python's own HTTP client takes 0.3 to 0.4 ms for such an exchange, which is neither's.
Memory is the peak of every process.
"""

import argparse
import io
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from bench.load import Connection
from client import video
from client.private_service import private_service
from tools.clip import clip_path

_SIZE = (1920, 1080)
_FIRST, _LAST = 60, 199
_ROUNDS = 3

_STAGE = re.compile(r"(\w+)_ms=([\d.]+)")


def main() -> None:
    """Print the table."""
    clip = clip_path("sports2d_demo.mp4")
    pictures = list(_jpegs(clip))
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "service.log"
        with private_service(log) as service:
            rounds_s, waited_ms = [], []
            for number in range(_ROUNDS + 1):  # the first warms up
                started = time.perf_counter()
                waited = list(_waited_ms(service.port, pictures, session_id=f"round-{number}"))
                if number:
                    rounds_s.append(time.perf_counter() - started)
                    waited_ms += waited
            peaks = dict(_peaks_mb(int((service.runtime_dir / "supervisord.pid").read_text())))
        stages = _stages_ms(log, of="session=round-[1-9]")
    kilobytes = np.mean([len(picture) for picture in pictures]) / 1e3
    print(f"{len(pictures)} frames of {_SIZE[0]}x{_SIZE[1]}, {kilobytes:.0f} KB JPEG, {_ROUNDS} rounds")
    print(f"frames per second: {len(pictures) / np.median(rounds_s):.1f}")
    for name, times in (*stages.items(), ("edge + broker", waited_ms - _total(stages)), ("all", waited_ms)):
        p50, p90, p99 = np.percentile(times, [50, 90, 99])
        print(f"  {name:14}  median {p50:6.2f} ms   p90 {p90:6.2f}   p99 {p99:6.2f}")
    for name, megabytes in peaks.items():
        print(f"  {name:14}  peak {megabytes:4.0f} MB")


def _waited_ms(port: int, pictures: Sequence[bytes], *, session_id: str) -> Iterator[float]:
    """One frame after the other."""
    headers = {"X-Session-Id": session_id, "Accept-Encoding": "gzip"}
    connection = Connection(port, pictures[0], headers=headers)
    for frame, picture in enumerate(pictures):
        connection.carry(picture)
        asked_at = time.perf_counter()
        status, _ = connection.ask(frame)
        yield (time.perf_counter() - asked_at) * 1e3
        if status != 200:
            raise RuntimeError(f"frame {frame} was answered with status {status}")
    connection.close()


def _jpegs(clip: Path) -> Iterator[bytes]:
    for frame in video.frames(clip, first=_FIRST, last=_LAST):
        stream = io.BytesIO()
        PillowImage.fromarray(frame).resize(_SIZE).save(stream, "JPEG", quality=75)
        yield stream.getvalue()


def _stages_ms(log: Path, *, of: str) -> dict[str, list[float]]:
    """Milliseconds of each stage, frame by frame, of the log lines that match `of`."""
    stages = defaultdict(list)
    for line in log.read_text().splitlines():
        if re.search(of, line):
            for stage, milliseconds in _STAGE.findall(line):
                stages[stage].append(float(milliseconds))
    return stages


def _total(stages: dict[str, list[float]]) -> np.ndarray:
    return np.sum(list(stages.values()), axis=0)


def _peaks_mb(supervisord_pid: int) -> Iterator[tuple[str, float]]:
    """Peak resident memory of each program that supervisord runs."""
    children = Path(f"/proc/{supervisord_pid}/task/{supervisord_pid}/children").read_text().split()
    for pid in children:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        status = Path(f"/proc/{pid}/status").read_text()
        peak = re.search(r"VmHWM:\s+(\d+)", status)
        if peak is not None:
            yield " ".join(words[2:]).strip(), int(peak[1]) / 1024


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.service", description=__doc__).parse_args()
    main()
