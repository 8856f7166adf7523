"""Bulk work over ZeroMQ beside HTTP and beside the worker alone, by `python -m bench.bulk`.

One video at 1080p, one worker. The worker alone is its pipeline in this process, on frames that are decoded
already; bulk reads and decodes the video file, and writes the result. HTTP is one kept connection that sends
JPEGs made beforehand, one at a time, as a backend does. Rounds take turns, for machines whose pace changes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image as PillowImage

from client import pictures, video
from client.pictures import Image, Picture
from client.private_service import PrivateService, private_service
from tools.clip import clip_path
from wire import settings as wire_settings
from wire.messages import Options
from workers.build import build
from workers.pipeline import FrameInput, Pipeline

_SIZE = (1920, 1080)
_FIRST = 60
_RATE = Fraction(30)


def main() -> None:
    """Print frames per second of each, and how they compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.bulk", description=__doc__)
    parser.add_argument("--frames", type=int, default=140)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    images = [
        np.asarray(PillowImage.fromarray(frame).resize(_SIZE))
        for frame in islice(video.frames(clip_path("sports2d_demo.mp4"), first=_FIRST), given.frames)
    ]
    pipeline = build(wire_settings.load(os.environ)).pipeline
    rates: dict[str, list[float]] = {"worker alone": [], "bulk over ZeroMQ": [], "HTTP": []}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with video.writing(folder / "video.mp4", rate=_RATE) as add:
            for image in images:
                add(image)
        sent = list(video.frames(folder / "video.mp4"))  # the same pixels for all
        travelling = [pictures.of_array(image, number=n, time_s=None) for n, image in enumerate(sent)]
        jpegs = [simplejpeg.encode_jpeg(image, quality=75) for image in sent]
        with private_service(folder / "service.log", {"POSE_WORKERS": "1"}) as service:
            for number in range(given.rounds + 1):  # the first warms up
                round_rates = {
                    "worker alone": _alone(pipeline, travelling),
                    "bulk over ZeroMQ": _bulk(service, folder, number),
                    "HTTP": _http(service, jpegs, number),
                }
                for name, seconds in round_rates.items():
                    if number:
                        rates[name].append(len(sent) / seconds)
    _show(rates, images)


def _alone(pipeline: Pipeline, travelling: Sequence[Picture]) -> float:
    """Seconds of the fold alone; bare pixels are decoded by pointing at them."""
    state = pipeline.start()
    started = time.perf_counter()
    for picture in travelling:
        frame = FrameInput(picture.number, picture.encoded, Options())
        folded = pipeline.fold([(state, frame)])[0]
        state = folded.state
    return time.perf_counter() - started


def _bulk(service: PrivateService, folder: Path, number: int) -> float:
    """Seconds that the command's own report says, which leave out the interpreter's start."""
    command = [sys.executable, "-m", "client", str(folder / "video.mp4"), "-q"]
    command += ["--endpoint", f"ipc://{service.runtime_dir}/frames.ipc", "-o", str(folder / f"{number}.npz")]
    command += ["--report", str(folder / "report.json")]
    subprocess.run(command, check=True)
    return float(json.loads((folder / "report.json").read_text())["videos"][0]["seconds"])


def _http(service: PrivateService, jpegs: Sequence[bytes], number: int) -> float:
    with service.backend() as backend:
        started = time.perf_counter()
        for frame, jpeg in enumerate(jpegs):
            backend.pose(jpeg, frame_number=frame, session_id=f"round-{number}")
        return time.perf_counter() - started


def _show(rates: dict[str, list[float]], images: Sequence[Image]) -> None:
    height, width, _ = images[0].shape
    print(
        f"{len(images)} frames of {width}x{height}; frames per second, median of {len(rates['HTTP'])} rounds"
    )
    for name, found in rates.items():
        print(f"  {name:18}{statistics.median(found):7.1f}   ({min(found):.1f} to {max(found):.1f})")
    bulk = rates["bulk over ZeroMQ"]
    for other, wanted in (("HTTP", 1.3), ("worker alone", 0.95)):
        ratio = statistics.median(a / b for a, b in zip(bulk, rates[other], strict=True))
        print(f"  bulk is {ratio:.2f} times {other} (wanted: {wanted})")


if __name__ == "__main__":
    main()
