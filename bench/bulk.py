"""Bulk work over ZeroMQ beside HTTP and beside the worker alone, by `python -m bench.bulk`.

One video at 1080p, one worker, the same environment for all. What each row includes:

- The worker alone is its pipeline in this process, on frames that are decoded already: no store, no answers.
- Bulk from decoded frames is `Client.track` in this process on the same arrays; answers are stored and sent.
- Bulk from a video file is the command, which also decodes the video and writes the result.
- HTTP is one kept connection that sends JPEGs made beforehand, one at a time, as a backend does; the service
  decodes them. Bulk gets the same JPEGs as a folder of pictures, too.

Rounds take turns, for machines whose pace changes; where others use the machine, processor time says more
than frames per second: on two cores no way of working makes more frames than two seconds of it have room for.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image as PillowImage

from bench.broker import cpu_s
from client import pictures, video
from client.pictures import Image
from client.private_service import PrivateService, private_service
from client.tracking import Client
from tools.clip import clip_path
from tools.serve import environment
from tools.supervised import Supervised
from wire import settings as wire_settings
from wire.messages import Options
from workers.build import build
from workers.pipeline import FrameInput, Pipeline

_SIZE = (1920, 1080)
_FIRST = 60
_RATE = Fraction(30)

_ALONE, _HTTP = "worker alone", "HTTP"
_FRAMES, _VIDEO, _PICTURES = "bulk, decoded frames", "bulk, video file", "bulk, JPEGs"

#: How many times as fast one has to be as another.
_WANTED = {(_FRAMES, _ALONE): 0.95, (_VIDEO, _HTTP): 1.3}

#: Of the environment in which services run: without it the worker alone would be slower.
_OF_SERVICES = "MALLOC_MMAP_THRESHOLD_"


@dataclass(frozen=True, slots=True)
class Took:
    """Of a whole video. cpu_s: of all processes, the start of the command left out."""

    seconds: float
    cpu_s: float


def main() -> None:
    """Print frames per second of each, and how they compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.bulk", description=__doc__)
    parser.add_argument("--frames", type=int, default=140)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if _OF_SERVICES not in os.environ:
        environ = environment(wire_settings.load(os.environ), os.environ)
        os.execve(sys.executable, [sys.executable, "-m", "bench.bulk", *sys.argv[1:]], environ)
    images = [
        np.asarray(PillowImage.fromarray(frame).resize(_SIZE))
        for frame in islice(video.frames(clip_path("sports2d_demo.mp4"), first=_FIRST), given.frames)
    ]
    pipeline = build(wire_settings.load(os.environ)).pipeline
    took: dict[str, list[Took]] = {name: [] for name in (_ALONE, _FRAMES, _VIDEO, _PICTURES, _HTTP)}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with video.writing(folder / "video.mp4", rate=_RATE) as add:
            for image in images:
                add(image)
        sent = list(video.frames(folder / "video.mp4"))  # the same pixels for all
        encoded = [pictures.of_array(image, number=0, time_s=None).encoded for image in sent]
        jpegs = [simplejpeg.encode_jpeg(image, quality=75) for image in sent]
        (folder / "pictures").mkdir()
        for number, jpeg in enumerate(jpegs):
            (folder / "pictures" / f"{number:04}.jpg").write_bytes(jpeg)
        with (
            private_service(folder / "service.log", {"POSE_WORKERS": "1"}) as service,
            Supervised(service.runtime_dir) as supervised,
        ):
            pids = [program.pid for program in supervised.programs().values()]
            for number in range(given.rounds + 1):  # the first warms up
                of_round = {
                    _ALONE: _alone(pipeline, encoded),
                    _FRAMES: _frames(service, pids, sent),
                    _VIDEO: _bulk(service, pids, folder / "video.mp4"),
                    _PICTURES: _bulk(service, pids, folder / "pictures"),
                    _HTTP: _http(service, pids, jpegs, number),
                }
                if number:
                    for name, one in of_round.items():
                        took[name].append(one)
    _show(took, images)


def _alone(pipeline: Pipeline, encoded: Sequence[bytes]) -> Took:
    """The fold alone; bare pixels are decoded by pointing at them."""
    state = pipeline.start()
    started, cpu_before_s = time.perf_counter(), time.process_time()
    for number, picture in enumerate(encoded):
        frame = FrameInput(number, picture, Options(meshes=False))
        folded = pipeline.fold([(state, frame)])[0]
        state = folded.state
    return Took(time.perf_counter() - started, time.process_time() - cpu_before_s)


def _frames(service: PrivateService, pids: Sequence[int], images: Sequence[Image]) -> Took:
    def track() -> None:
        for result in client.track(images, frames_per_second=float(_RATE)):
            assert result.width_px == _SIZE[0]

    with Client(f"ipc://{service.runtime_dir}/frames.ipc") as client:
        started = time.perf_counter()
        used_s = _cpu_s(pids, track)
        return Took(time.perf_counter() - started, used_s)


def _bulk(service: PrivateService, pids: Sequence[int], path: Path) -> Took:
    """Seconds are those of the command's own report, which leave out the interpreter's start."""
    report = path.with_name("report.json")
    command = [sys.executable, "-m", "client", str(path), "-q", "--online", "--report", str(report)]
    command += ["--endpoint", f"ipc://{service.runtime_dir}/frames.ipc", "-o", str(path.with_suffix(".npz"))]
    used_s = _cpu_s(pids, lambda: subprocess.run([*command, "--again"], check=True))
    seconds = float(json.loads(report.read_text())["videos"][0]["seconds"])
    nothing_to_do_s = _cpu_s(pids, lambda: subprocess.run(command, check=True))
    return Took(seconds, used_s - nothing_to_do_s)


def _http(service: PrivateService, pids: Sequence[int], jpegs: Sequence[bytes], number: int) -> Took:
    def send() -> None:
        for frame, jpeg in enumerate(jpegs):
            backend.pose(jpeg, frame_number=frame, session_id=f"round-{number}")

    with service.backend() as backend:
        started = time.perf_counter()
        used_s = _cpu_s(pids, send)
        return Took(time.perf_counter() - started, used_s)


def _cpu_s(pids: Sequence[int], work: Callable[[], object]) -> float:
    """Processor time that `work` costs in those processes, in this one and in those that it starts."""

    def used_s() -> float:
        return sum(
            map(cpu_s, pids), time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        )

    before_s = used_s()
    work()
    return used_s() - before_s


def _show(took: dict[str, list[Took]], images: Sequence[Image]) -> None:
    height, width, _ = images[0].shape
    count = len(images)
    load = os.getloadavg()[1]
    print(f"{count} frames of {width}x{height}; medians of {len(took[_HTTP])} rounds; load {load:.1f}")
    for name, found in took.items():
        rates = [count / one.seconds for one in found]
        cpu_ms = statistics.median(one.cpu_s / count * 1e3 for one in found)
        print(
            f"  {name:22}{statistics.median(rates):7.1f} frames/s ({min(rates):.1f} to {max(rates):.1f}),"
            f" {cpu_ms:.1f} ms of CPU a frame"
        )
    for bulk in (_FRAMES, _VIDEO, _PICTURES):
        for other in (_HTTP, _ALONE):
            pairs = zip(took[bulk], took[other], strict=True)
            ratio = statistics.median(than.seconds / one.seconds for one, than in pairs)
            wanted = f" (wanted: {_WANTED[bulk, other]})" if (bulk, other) in _WANTED else ""
            print(f"  {bulk}: {ratio:.2f} times {other}{wanted}")


if __name__ == "__main__":
    main()
