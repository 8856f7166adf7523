"""Videos without session ids on their way to the broker, under a virtual clock, and where each frame lands.

Clients, edge and worker are modelled by when they send and answer; what places the frames is the
real `Streams`. `python -m tests.broker.arrivals` prints the misplaced frames of all pairs and modes.
"""

import heapq
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, zip_longest
from pathlib import Path
from zlib import crc32

import numpy as np

from broker.choice import Undecided
from broker.streams import Placed, Streams
from wire.errors import ThumbnailWanted
from wire.messages import Source

PAUSE_S = 30.0

#: Thumbnails (frames, rows, columns) of real clips of one size; `tests/fixtures/make_thumbnails.py`.
CLIPS = np.load(Path(__file__).parents[1] / "fixtures" / "thumbnails.npz")
SIZE = (640, 360)

#: How long the edge takes for a thumbnail that it is asked for, and goes on to make them unasked.
_THUMBNAIL_S, _UNASKED_S = 0.004, 10.0

#: How long a frame is with its worker, and how long a client takes to send the next one; at most.
_WORK_S, _NEXT_S = (0.02, 0.06), 0.003

#: For how long either is held up: a machine stands still, or networks are slow.
_HELD_UP_S = (0.5, 2.5)


@dataclass(frozen=True)
class Frame:
    video: str
    number: int
    thumbnail: bytes

    @property
    def digest(self) -> int:
        return crc32(self.thumbnail)


def video(name: str, clip: str, first: int, last: int, *, string: bool = False, step: int = 1) -> list[Frame]:
    """Frames `first` to `last` - 1 of a clip; `string`: as file names sort that carry their numbers."""
    order = range(first, last)
    if string:
        order = sorted(order, key=lambda frame: f"frame-{frame - first + 1}.png")
    thumbnails = CLIPS[clip]
    return [Frame(name, position * step, thumbnails[at].tobytes()) for position, at in enumerate(order)]


@dataclass(frozen=True)
class Sending:
    """A client that sends these frames in this order."""

    frames: Sequence[Frame]
    in_flight: int = 1
    starts_s: float = 0.0


@dataclass
class Landed:
    """What became of the frames."""

    sessions: dict[str, list[str]] = field(default_factory=dict)  # of each video's frames
    numbers: dict[str, list[int]] = field(default_factory=dict)  # inside of the session
    counts: Counter[str] = field(default_factory=Counter)

    def misplaced(self) -> int:
        """Frames outside of their video's session, and videos in a session that is another's."""
        owners: dict[str, str] = {}
        wrong = 0
        for name, sessions in self.sessions.items():
            session, frames = Counter(sessions).most_common(1)[0]
            wrong += len(sessions) - frames
            wrong += frames if owners.setdefault(session, name) != name else 0
        return wrong


def arrive(
    sendings: Sequence[Sending],
    *,
    seed: int = 0,
    jitter_s: float = 0.004,
    repeats: float = 0.0,
    lost: float = 0.0,
    held_up: float = 0.0,
    thumbnails: bool = True,
) -> Landed:
    """Let the clients send all they have; so many frames are sent again a little later, or lost (no 0).

    So many are held up in their worker, and answers on their way, for a second or two.
    """
    return _Arrivals(seed, jitter_s, repeats, lost, held_up, thumbnails).run(sendings)


class _Arrivals:
    def __init__(
        self, seed: int, jitter_s: float, repeats: float, lost: float, held_up: float, thumbnails: bool
    ) -> None:
        self._chance = random.Random(seed)
        self._jitter_s, self._repeats, self._lost, self._held_up = jitter_s, repeats, lost, held_up
        self._thumbnails = thumbnails
        ids = count()
        self._streams = Streams(new_session_id=lambda: f"s{next(ids)}", pause_s=PAUSE_S)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._serial = count()
        self._open: Counter[str] = Counter()
        self._unasked_until = 0.0
        self._landed = Landed()

    def run(self, sendings: Sequence[Sending]) -> Landed:
        for sending in sendings:
            frames = iter(sending.frames)
            for _ in range(sending.in_flight):
                self._at(sending.starts_s + self._chance.random() * 0.001, self._sender(frames))
        while self._events:
            now, _, happens = heapq.heappop(self._events)
            happens(now)
        return self._landed

    def _at(self, when: float, happens: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._serial), happens))

    def _sender(self, frames: Iterator[Frame]) -> Callable[[float], None]:
        def send(now: float) -> None:
            frame = next(
                (frame for frame in frames if not frame.number or self._chance.random() >= self._lost), None
            )
            if frame is None:
                return
            self._arrive(frame, now + self._chance.random() * self._jitter_s, answered=send)
            if self._chance.random() < self._repeats:
                self._arrive(frame, now + self._chance.random() * 0.1, answered=lambda _: None)

        return send

    def _arrive(self, frame: Frame, when: float, *, answered: Callable[[float], None]) -> None:
        def arrive(now: float) -> None:
            unasked = frame.number == 0 or now < self._unasked_until
            self._place(frame, self._made(frame) if unasked else None, now, answered)

        self._at(when, arrive)

    def _made(self, frame: Frame) -> bytes:
        return frame.thumbnail if self._thumbnails else b""

    def _place(
        self, frame: Frame, thumbnail: bytes | None, now: float, answered: Callable[[float], None]
    ) -> None:
        source = Source(client="10.0.0.1", width_px=SIZE[0], height_px=SIZE[1], thumbnail=thumbnail)
        try:
            placed = self._streams.place(
                source, frame.number, digest=frame.digest, unanswered=self._open.__getitem__, now=now
            )
        except ThumbnailWanted:
            self._landed.counts["thumbnails wanted"] += 1
            self._unasked_until = now + _UNASKED_S
            made = self._made(frame)
            self._at(now + _THUMBNAIL_S, lambda then: self._place(frame, made, then, answered))
        except Undecided as doubt:
            self._landed.counts["undecided"] += 1
            until = doubt.until + frame.number * 1e-9  # as the broker does: the lowest number first
            self._at(until, lambda then: self._place(frame, thumbnail, then, answered))
        else:
            self._take(frame, placed, now, answered)

    def _take(self, frame: Frame, placed: Placed, now: float, answered: Callable[[float], None]) -> None:
        self._landed.sessions.setdefault(frame.video, []).append(placed.session_id)
        self._landed.numbers.setdefault(frame.video, []).append(placed.frame_number)
        self._landed.counts["sessions"] += placed.begins
        self._open[placed.session_id] += 1

        def answer(then: float) -> None:
            self._open[placed.session_id] -= 1
            self._streams.answered(placed.session_id, now=then)
            self._at(then + self._chance.random() * _NEXT_S + self._hold_up_s(), answered)

        self._at(now + self._chance.uniform(*_WORK_S) + self._hold_up_s(), answer)

    def _hold_up_s(self) -> float:
        if not self._held_up or self._chance.random() >= self._held_up:
            return 0.0
        return self._chance.uniform(*_HELD_UP_S)


# ------------------------------------------------------------------ the pairs and the modes

#: Two videos of one size each: clip, first frame, one after the last.
PAIRS = {
    "cam1 cam2": (("cam1", 0, 100), ("cam2", 0, 100)),
    "cam3 cam4": (("cam3", 0, 100), ("cam4", 0, 100)),
    "cam1 cam4": (("cam1", 0, 100), ("cam4", 0, 100)),
    "cam2 cam3": (("cam2", 0, 100), ("cam3", 0, 100)),
    "sports cam1": (("sports", 60, 200), ("cam1", 0, 100)),
    "sports cam3": (("sports", 0, 140), ("cam3", 0, 100)),
    # Two parts of one clip: the same background, and only the person's place tells.
    "sports 0 145": (("sports", 0, 85), ("sports", 145, 230)),
    "sports 0 130": (("sports", 0, 70), ("sports", 130, 200)),
    "sports 60 160": (("sports", 60, 100), ("sports", 160, 200)),
    "sports 30 140": (("sports", 30, 80), ("sports", 140, 190)),
    "sports 0 100": (("sports", 0, 40), ("sports", 100, 140)),
    "sports 0 115": (("sports", 0, 115), ("sports", 115, 230)),
    "cam1 0 80": (("cam1", 0, 20), ("cam1", 80, 100)),
    "cam2 0 60": (("cam2", 0, 40), ("cam2", 60, 100)),
    "cam3 0 80": (("cam3", 0, 20), ("cam3", 80, 100)),
    "cam4 0 50": (("cam4", 0, 50), ("cam4", 50, 100)),
}


def _alternating(first: list[Frame], second: list[Frame]) -> list[Frame]:
    return [frame for frame in chain.from_iterable(zip_longest(first, second)) if frame]


#: How two videos are sent; a number between 0 and 1 says when the later one starts.
MODES: dict[str, Callable[[list[Frame], list[Frame], float], list[Sending]]] = {
    "in turns": lambda a, b, _: [Sending(_alternating(a, b))],
    "one each": lambda a, b, _: [Sending(a), Sending(b)],
    "one each, later": lambda a, b, late: [Sending(a), Sending(b, starts_s=1.5 * late)],
    "four each": lambda a, b, _: [Sending(a, in_flight=4), Sending(b, in_flight=4)],
    "four each, later": lambda a, b, late: [Sending(a, in_flight=4), Sending(b, in_flight=4, starts_s=late)],
    "eight each": lambda a, b, _: [Sending(a, in_flight=8), Sending(b, in_flight=8)],
    "four in all": lambda a, b, _: [Sending(_alternating(a, b), in_flight=4)],
    "eight in all": lambda a, b, _: [Sending(_alternating(a, b), in_flight=8)],
    "one and four": lambda a, b, late: [Sending(a), Sending(b, in_flight=4, starts_s=late / 2)],
    "one after another": lambda a, b, _: [Sending([*a, *b])],
    "one after another, four": lambda a, b, _: [Sending([*a, *b], in_flight=4)],
}


def landed(
    pair: str, mode: str, *, string: bool, seed: int, steps: tuple[int, int] = (1, 1), **how: object
) -> Landed:
    """Send a pair of videos in a mode."""
    first, second = (
        video(name, *part, string=string, step=step)
        for name, part, step in zip("ab", PAIRS[pair], steps, strict=True)
    )
    return arrive(MODES[mode](first, second, random.Random(seed).random()), seed=seed, **how)


def _print_table(seeds: int, **how: object) -> None:
    print("misplaced frames, in true order and in string order:", how)
    frames, wrong = 0, 0
    for pair in PAIRS:
        row = []
        for mode in MODES:
            errors = []
            for string in (False, True):
                runs = [landed(pair, mode, string=string, seed=seed, **how) for seed in range(seeds)]
                errors.append(sum(run.misplaced() for run in runs))
                frames += sum(len(sessions) for run in runs for sessions in run.sessions.values())
            wrong += sum(errors)
            row.append(f"{errors[0]}+{errors[1]}" if any(errors) else "-")
        print(f"{pair:14}", *(f"{cell:>7}" for cell in row), flush=True)
    print(f"{wrong} of {frames}")


if __name__ == "__main__":
    SEEDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print("columns:", *MODES, sep="\n  ")
    if "jitter" not in sys.argv:
        _print_table(SEEDS)
    _print_table(SEEDS, jitter_s=0.03)
    _print_table(SEEDS, repeats=0.05, lost=0.05)
    _print_table(SEEDS, held_up=0.05)
    _print_table(SEEDS, steps=(1, 3))
    _print_table(SEEDS, thumbnails=False)
