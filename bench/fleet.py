"""What the routing core does with a fleet: `python -m bench.fleet`.

The pure core alone, under a virtual clock: sessions that send so many frames a second to workers that answer
after a while, of which some fail every minute and come back. It is checked that no worker holds more than
its credits or is spoken to after its end, and that each request is answered once. Then all that the core was
told is told to another one, with nothing else running: decisions (a frame taken in, a frame handed out, an
answer passed on) per second of one core.
"""

import argparse
import gc
import heapq
import random
import resource
import time
from collections import Counter
from itertools import count
from pathlib import Path

from broker.outbox import ToClient, ToWorker
from broker.routing import Routing
from broker.streams import Streams
from wire.messages import Failure, Frame, Ready, Result, Work
from wire.settings import Settings

_SERVICE_S = 0.002  # what a worker takes for a frame: 300 a second each, from several sessions at once
_BACK_AFTER_S = 5.0


class Fleet:
    """The core, and everything around it as events."""

    def __init__(self, *, sessions: int, workers: int, rate: float, failing_a_minute: float) -> None:
        self.random = random.Random(0)
        self.now = 0.0
        self.told: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
        self._unanswered: set[bytes] = set()
        self.counted: Counter[str] = Counter()
        self._rate, self._failing = rate, failing_a_minute
        self._events: list[tuple[float, int, int, object]] = []
        self._serial = count()
        self._next = [0] * sessions  # frame number of each session
        self._alive: dict[bytes, int] = {}
        self._held: dict[bytes, set[tuple[bytes, int]]] = {}
        self._blank = Result(**_BLANK)
        self.routing = core(sessions)
        for number in range(workers):
            self._join(number)
        for number in range(sessions):
            self._at(self.random.uniform(0, 1 / rate), _FRAME, number)
        self._at(self._until_failure(workers), _FAIL, workers)

    def run(self, seconds: float) -> None:
        """Let so much virtual time pass. Raises `AssertionError` where a promise is broken."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, kind, subject = heapq.heappop(self._events)
            _HANDLERS[kind](self, subject)
            if self.routing.wake_at() <= self.now:
                self._do("tick", now=self.now)

    def frame(self, session: int) -> None:
        """A client sends its next frame."""
        number = self._next[session]
        self._next[session] += 1
        request_id = session.to_bytes(8, "big") + number.to_bytes(8, "big")
        frame = Frame(
            request_id=request_id, frame_number=number, deadline_ms=60_000, session_id=f"session-{session}"
        )
        self.counted["sent"] += 1
        self._unanswered.add(request_id)
        picture, digest, now = [b""], number, self.now
        self._do("frame", b"client", frame, picture, payload_bytes=1, digest=digest, now=now)
        self._at(self.now + 1 / self._rate, _FRAME, session)

    def answer(self, done: tuple[bytes, Work]) -> None:
        """A worker is done with a frame, if it still lives."""
        worker, work = done
        held = self._held.get(worker)
        if held is None:
            return
        held.discard((work.request_id, work.epoch))
        blank = self._blank
        result = Result(
            **{name: getattr(blank, name) for name in _COPIED},
            request_id=work.request_id,
            session_id=work.session_id,
            epoch=work.epoch,
            frame_number=work.frame_number,
        )
        self._do("answer", worker, result, [], now=self.now)

    def fail(self, workers: int) -> None:
        """A worker ends; another is there soon."""
        victim = self.random.choice(list(self._alive))
        number = self._alive.pop(victim)
        del self._held[victim]
        self.counted["workers failed"] += 1
        self._do("worker_unroutable", victim, now=self.now)
        self._at(self.now + _BACK_AFTER_S, _JOIN, number)
        self._at(self.now + self._until_failure(workers), _FAIL, workers)

    def _join(self, number: int) -> None:
        address = f"worker-{number}-{next(self._serial)}".encode()
        self._alive[address], self._held[address] = number, set()
        ready = Ready(name=address.decode(), credits=4, device="none", models={}, observer="none")
        self._do("ready", address, ready, now=self.now)
        self._at(self.now + 1.0, _BEAT, address)

    def beat(self, address: bytes) -> None:
        """A worker says that it lives."""
        if address in self._alive:
            self._do("heartbeat", address, now=self.now)
            self._at(self.now + 1.0, _BEAT, address)

    def _do(self, verb: str, *given: object, **named: object) -> None:
        self.told.append((verb, given, named))
        getattr(self.routing, verb)(*given, **named)
        for action in self.routing.take_actions():
            if isinstance(action, ToWorker) and isinstance(action.message, Work):
                self._handed_out(action.worker, action.message)
            elif isinstance(action, ToClient):
                self._answered(action.message)

    def _handed_out(self, worker: bytes, work: Work) -> None:
        self.counted["handed out"] += 1
        held = self._held.get(worker)
        assert held is not None, "a frame for a worker that is gone"
        held.add((work.request_id, work.epoch))
        assert len(held) <= 4, "more frames than credits"
        self._at(self.now + _SERVICE_S * self.random.uniform(0.5, 1.5) * len(held), _ANSWER, (worker, work))

    def _answered(self, message: object) -> None:
        assert isinstance(message, Result | Failure)
        self._unanswered.remove(message.request_id)  # KeyError: it was answered before
        self.counted[type(message).__name__] += 1
        if isinstance(message, Failure):
            self.counted[message.code] += 1

    def _until_failure(self, workers: int) -> float:
        return 60.0 / (workers * self._failing)

    def _at(self, when: float, kind: int, subject: object) -> None:
        heapq.heappush(self._events, (when, next(self._serial), kind, subject))


def core(sessions: int) -> Routing:
    """A core with room for everything."""
    return Routing(
        Settings(max_queue_frames=10**6, max_queue_bytes=10**12, max_sessions=2 * sessions),
        streams=Streams(new_session_id=lambda: "unused", pause_s=30.0),
        first_serial=1,
        now=0.0,
    )


def again(fleet: Fleet, sessions: int) -> tuple[float, float]:
    """What telling another core the same takes: processor seconds, and memory in MiB."""
    other = core(sessions)
    before = resident_mib()
    gc.collect()
    gc.freeze()
    started = time.process_time()
    for verb, given, named in fleet.told:
        getattr(other, verb)(*given, **named)
        other.take_actions()
    spent_s = time.process_time() - started
    return spent_s, resident_mib() - before


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


_FRAME, _ANSWER, _FAIL, _JOIN, _BEAT = range(5)
_HANDLERS = (Fleet.frame, Fleet.answer, Fleet.fail, Fleet._join, Fleet.beat)
_BLANK = {
    "request_id": bytes(16),
    "session_id": "",
    "epoch": 0,
    "frame_number": 0,
    "width_px": 640,
    "height_px": 360,
    "people": [],
    "primary": None,
    "history": "complete",
    "num_persons_detected": 0,
    "num_tracks": 0,
    "observer": "none",
    "tracker": "none",
    "model_version": "none",
    "stages_ms": {},
    "arrays": [],
}
_COPIED = _BLANK.keys() - {"request_id", "session_id", "epoch", "frame_number"}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second of each session")
    parser.add_argument("--failing", type=float, default=0.01, help="share of the workers that fail a minute")
    parser.add_argument("--seconds", type=float, default=2.0, help="of virtual time")
    given = parser.parse_args()
    fleet = Fleet(
        sessions=given.sessions, workers=given.workers, rate=given.rate, failing_a_minute=given.failing
    )
    fleet.run(given.seconds)
    counted = fleet.counted
    decisions = counted["sent"] + counted["handed out"] + counted["Result"] + counted["Failure"]
    spent_s, memory_mib = again(fleet, given.sessions)
    print(f"{given.sessions} sessions, {given.workers} workers, {given.seconds:g} s: {dict(counted)}")
    print(f"decisions {decisions}, {decisions / spent_s:,.0f} a second of one core")
    print(f"frames {counted['sent'] / spent_s:,.0f} a second of one core")
    print(f"memory of the core {memory_mib:.0f} MiB")


if __name__ == "__main__":
    main()
