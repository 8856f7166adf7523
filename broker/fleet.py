"""Which workers are alive: signs of life, silence, and connections that are gone.

Pure: time is an argument. It finds who is lost; what follows is decided elsewhere.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import count

from broker.jobs import Worker
from broker.outbox import Outbox
from broker.ranking import Ranking
from wire.messages import BrokerToWorker, Goodbye, Heartbeat, Ready, WhoAreYou
from wire.settings import Settings

#: When all workers are spoken to after one's connection closed, seconds: ZeroMQ tells of the
#: connection a moment before it gives the address up.
_PROBES_S = (0.0, 0.01, 0.05, 0.2)


class Fleet:
    """The workers that said they are ready."""

    def __init__(self, settings: Settings, outbox: Outbox) -> None:
        self._settings = settings
        self._outbox = outbox
        self._workers: dict[bytes, Worker] = {}
        self._serials = count()
        self._changed: dict[Worker, None] = {}  # since they were ranked
        self._staying = Ranking(self._workers, lambda worker: not worker.draining)
        self._free = Ranking(self._workers, lambda worker: worker.has_room)
        self._probes: list[float] = []  # when to speak to everyone, seconds

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers.values()))

    @property
    def serves(self) -> bool:
        """Whether anyone takes frames."""
        return any(not worker.draining for worker in self)

    def join(self, address: bytes, message: Ready, *, now: float) -> Worker:
        """A worker can serve, or says so again because it was asked who it is."""
        worker = self._workers.get(address)
        if worker is None:
            worker = self._workers[address] = Worker(
                address=address,
                serial=next(self._serials),
                ready=message,
                heard_at=now,
                spoken_at=now,
                changed=self._changed,
            )
            text = "worker %s ready: %s on %s"
            self._outbox.note(logging.INFO, text, message.name, message.observer, message.device)
        worker.ready, worker.heard_at, worker.draining = message, now, False
        self._changed[worker] = None
        # At once, so that the worker knows it is known and sees us alive.
        self.tell(worker, Heartbeat(), now=now)
        return worker

    def heard(self, address: bytes, *, now: float) -> Worker | None:
        """The worker that spoke; a stranger is asked who it is."""
        worker = self._workers.get(address)
        if worker is None:
            self._outbox.to_worker(address, WhoAreYou())
            return None
        worker.heard_at = now
        return worker

    def get(self, address: bytes) -> Worker | None:
        """The worker at this address, if it is one."""
        return self._workers.get(address)

    def remove(self, worker: Worker) -> None:
        """Count it among the lost."""
        del self._workers[worker.address]
        self._changed.pop(worker, None)

    def least_loaded(self) -> Worker | None:
        """Who has the fewest sessions, and then the fewest frames, of those that do not drain."""
        return self._first(self._staying)

    def freest(self) -> Worker | None:
        """The same of those that take a frame now."""
        return self._first(self._free)

    def drain(self, worker: Worker, *, now: float) -> None:
        """The worker wants to end: it gets no more frames."""
        worker.heard_at, worker.draining = now, True
        self.tell(worker, Goodbye(), now=now)

    def tell(
        self, worker: Worker, message: BrokerToWorker, *, now: float, payload: Sequence[object] = ()
    ) -> None:
        """Send a worker something, which also tells it that we are alive."""
        worker.spoken_at = now
        self._outbox.to_worker(worker.address, message, payload)

    def connection_closed(self, *, now: float) -> None:
        """Somebody's connection closed: speak to all, and whoever can't be reached is found."""
        self._probes = [now + delay_s for delay_s in _PROBES_S]
        self.probe(now=now)

    def next_probe(self) -> float:
        """When `probe` has something to do, seconds."""
        return min(self._probes, default=float("inf"))

    def probe(self, *, now: float) -> None:
        """Speak to all once more, if it is time."""
        if self.next_probe() <= now:
            self._probes = [at for at in self._probes if at > now]
            for worker in self:
                self.tell(worker, Heartbeat(), now=now)

    def look(self, *, stood_still_s: float, now: float) -> list[Worker]:
        """Who was silent for too long; the others hear from us if they did not lately.

        `stood_still_s` is how long we were paused or suspended ourselves before: it proves nothing
        about a worker.
        """
        silent = []
        for worker in self._workers.values():
            worker.heard_at = min(now, worker.heard_at + stood_still_s)
            if now - worker.heard_at > self._settings.worker_silence_s:
                silent.append(worker)
            elif now - worker.spoken_at >= self._settings.heartbeat_s:
                self.tell(worker, Heartbeat(), now=now)
        return silent

    def _first(self, ranking: Ranking) -> Worker | None:
        if self._changed:
            for each in (self._staying, self._free):
                each.changed(self._changed)
            self._changed.clear()
        return ranking.first()
