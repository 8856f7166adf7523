"""Many videos at once while workers, broker and the bulk command are killed: `python -m bench.bulk_chaos`.

The same videos once undisturbed, through a service of their own; then disturbed, by a seeded schedule, with
the command given again each time that it was ended. Every result must be there, byte for byte the same.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from client import video
from client.private_service import PrivateService, private_service
from client.records import FRAME
from tools.chaos.clips import LANDSCAPE, PORTRAIT
from tools.chaos.disturbances import Disturbance, Disturber
from tools.clip import clip_path

_WORKERS = 2
_SETTINGS = {"POSE_WORKERS": str(_WORKERS), "POSE_THREADS": "1"}

#: Clip -> size of its pictures.
_CLIPS = {"sports2d_demo": LANDSCAPE} | {f"pose2sim_cam0{number}": PORTRAIT for number in (1, 2, 3, 4)}

#: What is done to the command itself.
_SIGNALS = {"killed": signal.SIGKILL, "interrupted": signal.SIGINT, "terminated": signal.SIGTERM}

_COMMAND = "command"
_PATIENCE_S = 300.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Event:
    """`program` ends as `how` says, once so many more frames are on disk."""

    program: str  # the command, or as supervisord names it
    how: str
    after_frames: int

    def __str__(self) -> str:
        return f"{self.program} {self.how}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave. begun_anew: videos whose past was lost. seconds: all runs of the command together."""

    statuses: Sequence[int]
    happened: Sequence[Event]
    begun_anew: int
    seconds: float


def schedule(
    seed: int, *, worker_kills: int, broker_kills: int, command_ends: int, frames: int
) -> list[Event]:
    """Kills of each, shuffled, spread over so many frames in all; the same for the same seed.

    The command is killed, interrupted and terminated by turns.
    """
    chance = random.Random(seed)
    ends = [(f"worker_{index % _WORKERS:02}", "killed") for index in range(worker_kills)]
    ends += [("broker", "killed")] * broker_kills
    ends += [(_COMMAND, list(_SIGNALS)[index % len(_SIGNALS)]) for index in range(command_ends)]
    chance.shuffle(ends)
    share = frames / (len(ends) + 1)
    return [Event(program, how, round(chance.uniform(0.1, 0.7) * share)) for program, how in ends]


def write_videos(folder: Path, *, count: int, frames: int) -> list[Path]:
    """Pieces of real clips, small, no two the same."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for place, (clip, size) in enumerate(_CLIPS.items()):
        mine = range(place, count, len(_CLIPS))
        last = frames + 2 * len(mine)
        pictures = [
            np.asarray(ImageOps.pad(PillowImage.fromarray(frame), size))
            for frame in islice(video.frames(clip_path(f"{clip}.mp4")), last)
        ]
        for row, number in enumerate(mine):
            path = folder / f"{number:02}-{clip}.mp4"
            with video.writing(path, rate=video.frame_rate(clip_path(f"{clip}.mp4"))) as add:
                for picture in pictures[2 * row : 2 * row + frames]:
                    add(picture)
            found.append(path)
    return found


class Command:
    """The bulk command on some videos, given again where it was ended."""

    def __init__(self, service: PrivateService, videos: Sequence[Path], out: Path) -> None:
        self._words = [sys.executable, "-m", "client", *map(str, videos), "-o", str(out)]
        self._words += [
            "--endpoint",
            f"ipc://{service.runtime_dir}/frames.ipc",
            "--at-once",
            str(len(videos)),
        ]
        self._out = out
        self._log = out.with_suffix(".log")
        self.statuses: list[int] = []
        self.start()

    def start(self) -> None:
        """Give it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words, stdout=log, stderr=log, env={**os.environ, "COLUMNS": "200"}
            )

    def end(self, signum: signal.Signals) -> None:
        """End it in the midst of its work, and give it again."""
        self._process.send_signal(signum)
        self.ended()
        self.start()

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        self.statuses.append(self._process.wait(timeout=_PATIENCE_S))
        return self.statuses[-1]

    def is_running(self) -> bool:
        """Whether it is at work."""
        return self._process.poll() is None

    def frames_on_disk(self) -> int:
        """Of videos under way; those of finished ones are left out."""
        return sum(path.stat().st_size for path in self._out.glob("*.partial/frames")) // FRAME.itemsize

    def begun_anew(self) -> int:
        """How many videos had to be begun anew."""
        return self._log.read_text().count("begins anew")


def undisturbed(service: PrivateService, videos: Sequence[Path], out: Path) -> Outcome:
    """All of them in one run."""
    return disturbed(service, videos, out, [])


def disturbed(
    service: PrivateService,
    videos: Sequence[Path],
    out: Path,
    events: Sequence[Event],
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """All of them, while `events` happen one after the other, as long as there is work."""
    started = time.monotonic()
    command = Command(service, videos, out)
    happened = []
    frames = _Rising(command)
    disturber = Disturber(service, workers=_WORKERS, answered=frames)
    for event in events:
        if not _wait_for_frames(frames, event.after_frames, command):
            break
        if event.program == _COMMAND:
            command.end(_SIGNALS[event.how])
        else:
            disturber.carry_out(Disturbance(event.program, "killed", after_answers=0))
        happened.append(event)
        tell(f"  at {frames()} frames {event}")
    command.ended()
    return Outcome(command.statuses, happened, command.begun_anew(), time.monotonic() - started)


class _Rising:
    """Frames that have come on disk so far, whatever became of them since."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._seen = self._came = 0

    def __call__(self) -> int:
        now = self._command.frames_on_disk()
        self._came += max(0, now - self._seen)
        self._seen = now
        return self._came


def _wait_for_frames(frames: _Rising, more: int, command: Command) -> bool:
    """Wait for so many more; False: the command ended before."""
    until = frames() + more
    deadline = time.monotonic() + _PATIENCE_S
    while frames() < until:
        if not command.is_running():
            return False
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {more} frames came within {_PATIENCE_S:.0f} s")
        time.sleep(_LOOK_S)
    return True


def violations(expected: Path, found: Path, outcome: Outcome, videos: Sequence[Path]) -> Iterator[str]:
    """What is not as in the undisturbed run."""
    if outcome.statuses[-1] != 0:
        yield f"the last run ended with status {outcome.statuses[-1]}"
    for path in videos:
        result = f"{path.name}.npz"
        if not (found / result).exists():
            yield f"{result} is missing"
        elif (found / result).read_bytes() != (expected / result).read_bytes():
            yield f"{result} differs from that of an undisturbed run"
    yield from (f"{path.name} is left over" for path in found.glob("*.partial"))


def main() -> int:
    """Run both; 0 when nothing was violated."""
    given = _arguments()
    out: Path = given.out
    videos = write_videos(out / "videos", count=given.videos, frames=given.frames)
    events = schedule(
        given.seed,
        worker_kills=given.worker_kills,
        broker_kills=given.broker_kills,
        command_ends=given.command_ends,
        frames=given.videos * given.frames,
    )
    with private_service(out / "undisturbed-service.log", _SETTINGS) as service:
        plain = undisturbed(service, videos, out / "undisturbed")
    print(f"undisturbed: {len(videos)} videos of {given.frames} frames, {plain.seconds:.0f} s", flush=True)
    with private_service(out / "disturbed-service.log", _SETTINGS) as service:
        outcome = disturbed(
            service, videos, out / "disturbed", events, tell=lambda line: print(line, flush=True)
        )
    found = list(violations(out / "undisturbed", out / "disturbed", outcome, videos))
    counts = {str(event): sum(str(other) == str(event) for other in outcome.happened) for event in events}
    print(f"disturbed: {outcome.seconds:.0f} s, {len(outcome.statuses)} runs of the command")
    print("  " + ", ".join(f"{what} {times}" for what, times in sorted(counts.items())))
    print(f"  begun anew: {outcome.begun_anew} times")
    for violation in found:
        print(f"violation: {violation}")
    print(f"seed {given.seed}: {len(found)} violations; logs and results are in {out}")
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.bulk_chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the schedule")
    parser.add_argument("--videos", type=int, default=50)
    parser.add_argument("--frames", type=int, default=30, help="of each video, 76 at the most")
    parser.add_argument("--worker-kills", type=int, default=8)
    parser.add_argument("--broker-kills", type=int, default=2)
    parser.add_argument(
        "--command-ends", type=int, default=6, help="killed, interrupted, terminated by turns"
    )
    parser.add_argument("--out", type=Path, default=Path("chaos-out/bulk"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
