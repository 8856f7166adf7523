"""What stays after many sessions: `python -m bench.soak`.

Short sessions, one after the other from several clients, through the whole service. Memory and
descriptors of every process and the bytes of the store are sampled all along; printed is what they
were in the third quarter of the frames and in the fourth. Ends with status 1 if something grew.
Not a part of `python -m bench`: it takes ten minutes and more, and wants a quiet machine.
"""

import argparse
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from statistics import fmean, median

from client.private_service import PrivateService, private_service
from tools.chaos.clips import Size, pictures
from tools.clip import clip_path
from tools.supervised import Supervised
from wire.settings import Settings

_SIZE: Size = (320, 180)
_CLIENTS = 4
_WORKERS = 2

#: Sessions are forgotten after this: soon, so that as many end as begin long before half the run is over.
_SESSION_IDLE_S = 20.0

_SAMPLE_EVERY_S = 1.0

#: Growth from the third quarter to the fourth that is none.
_FLAT = 0.02


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds."""

    rss_bytes: int
    pss_bytes: int  # shared pages counted in parts
    descriptors: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the service."""

    answered: int
    processes: Mapping[str, Held]
    store_bytes: int  # blocks on disk, not the length of sparse files


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity over the second half of the run; `holds` where it is as it should be."""

    name: str
    third: float
    fourth: float
    unit: str
    holds: bool


class Soak:
    """The clients, and how far they are."""

    def __init__(self, service: PrivateService, video: Sequence[bytes], *, sessions: int) -> None:
        self._service = service
        self._video = video
        self._sessions = iter(range(sessions))
        self._lock = threading.Lock()
        self.answered = 0
        self.refused = 0

    def run(self) -> None:
        """Send session after session over one connection until none is left."""
        with self._service.backend() as backend:
            while (session := self._next()) is not None:
                for number, picture in enumerate(self._video):
                    answer = backend.pose(picture, frame_number=number, session_id=f"soak-{session}")
                    self._count(answer.status)

    def _next(self) -> int | None:
        with self._lock:
            return next(self._sessions, None)

    def _count(self, status: int) -> None:
        with self._lock:
            self.answered += 1
            self.refused += status != HTTPStatus.OK


def main() -> int:
    """Soak, and print what grew."""
    given = _arguments()
    length = given.frames // given.sessions
    video = pictures(clip_path("sports2d_demo.mp4"), first=60, last=60 + length - 1, size=_SIZE)
    settings = {
        "POSE_WORKERS": str(_WORKERS),
        "POSE_THREADS": "1",
        "POSE_SESSION_IDLE_S": str(_SESSION_IDLE_S),
    }
    with tempfile.TemporaryDirectory() as directory:
        started = time.monotonic()
        with private_service(Path(directory) / "service.log", settings) as service:
            soak = Soak(service, video, sessions=given.sessions)
            samples = list(_sampled(service, soak))
        elapsed_s = time.monotonic() - started
    print(
        f"{soak.answered} frames of {_SIZE[0]}x{_SIZE[1]} in {given.sessions} sessions, "
        f"{soak.refused} refused, {elapsed_s:.0f} s, {len(samples)} samples"
    )
    rows = list(_rows(samples))
    for row in rows:
        verdict = "" if row.holds else "   GREW"
        print(f"  {row.name:24} {row.third:9.1f}  then {row.fourth:9.1f} {row.unit}{verdict}")
    return 0 if all(row.holds for row in rows) and not soak.refused else 1


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    arguments.add_argument("--frames", type=int, default=20_000)
    arguments.add_argument("--sessions", type=int, default=200)
    return arguments.parse_args()


def _sampled(service: PrivateService, soak: Soak) -> Iterator[Sample]:
    """A sample a second while the clients send."""
    with ThreadPoolExecutor(_CLIENTS) as pool, Supervised(service.runtime_dir) as supervised:
        clients = [pool.submit(soak.run) for _ in range(_CLIENTS)]
        while not all(client.done() for client in clients):
            processes = {name: _held(program.pid) for name, program in supervised.programs().items()}
            yield Sample(soak.answered, processes, _bytes_on_disk(service.runtime_dir / "store"))
            time.sleep(_SAMPLE_EVERY_S)
        for client in clients:
            client.result()


def _held(pid: int) -> Held:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss_kb, pss_kb = (int(re.search(rf"^{name}:\s+(\d+)", rollup, re.M)[1]) for name in ("Rss", "Pss"))
    return Held(rss_kb * 1024, pss_kb * 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())))


def _bytes_on_disk(directory: Path) -> int:
    return sum(512 * path.stat().st_blocks for path in directory.rglob("*") if path.is_file())


def _rows(samples: Sequence[Sample]) -> Iterator[Row]:
    """Every quantity, third quarter and fourth."""
    last = samples[-1].answered
    third = [sample for sample in samples if last / 2 <= sample.answered < last * 3 / 4]
    fourth = [sample for sample in samples if sample.answered >= last * 3 / 4]
    for name in samples[-1].processes:
        for kind in ("rss", "pss"):
            means = [
                fmean(getattr(sample.processes[name], f"{kind}_bytes") for sample in quarter) / 2**20
                for quarter in (third, fourth)
            ]
            yield Row(f"{name} {kind}", *means, "MiB", holds=means[1] <= means[0] * (1 + _FLAT))
        # Not the most: while a worker looks for other stores, it has a directory open for a moment.
        counts = [
            median(sample.processes[name].descriptors for sample in quarter) for quarter in (third, fourth)
        ]
        yield Row(f"{name} descriptors", *counts, "", holds=counts[1] <= counts[0])
    stored = [max(sample.store_bytes for sample in quarter) / 2**20 for quarter in (third, fourth)]
    bound = _WORKERS * Settings().store_max_bytes / 2**20
    yield Row("store", *stored, f"MiB of {bound:.0f}", holds=stored[1] <= bound)


if __name__ == "__main__":
    sys.exit(main())
