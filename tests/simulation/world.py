"""A whole service under a virtual clock: clients, brokers, workers on one memory, and their accidents.

Everything random comes from one seed, so a history that breaks a promise can be told again:
`World.history` has it. The programs are models (`broker.py`, `workers.py`, `clients.py`) around the real
routing core and the real sessions and rules of the store; `promises.py` checks them from the outside.
"""

import heapq
import random
from collections.abc import Callable
from itertools import count

from tests.simulation.accidents import happen
from tests.simulation.broker import SimulatedBroker
from tests.simulation.clients import FEW_KEPT_ANSWERS, HEALING_S, SimulatedClient
from tests.simulation.promises import Promises
from tests.simulation.server import ServerMemory
from tests.simulation.workers import SimulatedWorker
from wire.settings import Settings
from workers.memory_store import Memory


class World:
    """Runs one random history."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.calm = False  # nothing fails any more
        self.history: list[str] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        names = [f"ipc://broker-{place}-of-{seed}" for place in range(self.random.choice((1, 1, 2)))]
        self.settings = Settings(
            brokers=",".join(names),
            max_queue_frames=40,
            max_queue_bytes=self.random.choice((3_000, 100_000)),
            max_sessions=16,
            max_session_frames=14,
            kept_answers=self.random.choice((FEW_KEPT_ANSWERS, 16)),
            heartbeat_s=1.0,
            worker_silence_s=5.0,
            session_idle_s=300.0,
            gap_wait_s=0.25,
            runtime_dir="/nonexistent",
        )
        self.memory = Memory() if len(names) == 1 else ServerMemory()
        self.promises = Promises(self)
        self.brokers = [SimulatedBroker(self, place, name) for place, name in enumerate(names)]
        self.workers = [SimulatedWorker(self, index) for index in range(self.random.randint(1, 3))]
        self.clients = [SimulatedClient(self, index) for index in range(self.random.randint(1, 4))]

    def note(self, text: str) -> None:
        """Remember what happened, for whoever has to understand it."""
        self.history.append(f"{self.now:8.3f} {text}")

    def at(self, time: float, event: Callable[[], None]) -> None:
        """Do `event` then."""
        heapq.heappush(self._events, (time, next(self._serial), event))

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        """Do `event` later."""
        self.at(self.now + delay_s, event)

    def run(self) -> None:
        """Let everything happen, then let the world heal and come to rest. Raises `AssertionError`."""
        # A broker that hangs for so long that it is passed over has time to go on while others are at work.
        seconds = 8.0 if len(self.brokers) == 1 else 16.0
        for broker in self.brokers:
            broker.start()
        for program in (*self.workers, *self.clients):
            self.after(self.random.uniform(0, 1.0), program.start)
        for _ in range(self.random.randint(0, 6)):
            self.after(self.random.uniform(1.0, 8.0 / len(self.brokers)), lambda: happen(self))
        self._run_until(seconds, until_at_rest=True)
        self.calm = True
        self.note("calm")
        for program in (*self.workers, *self.brokers):
            program.wake()
        self._run_until(seconds + HEALING_S, until_at_rest=True)
        self.promises.at_rest()

    def _run_until(self, end: float, *, until_at_rest: bool = False) -> None:
        while self.now < end and not (until_at_rest and all(client.is_done for client in self.clients)):
            event_at = self._events[0][0] if self._events else end
            wake_at = min(broker.wake_at() for broker in self.brokers)
            self.now = max(self.now, min(end, event_at, wake_at))
            if event_at <= self.now:
                heapq.heappop(self._events)[2]()
            for broker in self.brokers:
                broker.turn()
            self.promises.hold()
