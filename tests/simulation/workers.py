"""A worker as a process: the real sessions over a memory that all workers share, and a fold that is a list.

It ends at any moment, also between storing and answering, and loses what it had in memory; it is
paused, and goes on as if nothing had been.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import structs

from tests.messages import ready, result_for
from tests.simulation.clients import Picture
from tests.simulation.network import Link
from tests.simulation.promises import DIGEST_BYTES
from tests.simulation.server import ServerMemory, ServerStore
from wire.messages import (
    BrokerToWorker,
    Failure,
    Forget,
    Goodbye,
    Heartbeat,
    Ready,
    Recall,
    Recalled,
    Result,
    WhoAreYou,
    Work,
)
from workers.memory_store import MemoryStore
from workers.sessions import Codec, Sessions
from workers.store import Superseded

if TYPE_CHECKING:
    from tests.simulation.broker import SimulatedBroker
    from tests.simulation.world import World

_AS_IT_IS: Codec[bytes] = Codec(bytes, bytes)

#: Where in a frame's life a process may end.
_BEFORE, _FOLDED, _STORED, _ANSWERED = range(4)


class _Ended(Exception):
    """The process ended here."""


@dataclass(slots=True, eq=False)
class _Way:
    """To one broker."""

    broker: "SimulatedBroker"
    link: Link | None = None
    parted: Link | None = None  # over which it said that no frame follows
    asked: set[tuple[bytes, int]] = field(default_factory=set)  # request ids and epochs of what it waits for

    @property
    def is_up(self) -> bool:
        return self.link is not None and self.link.is_up


class SimulatedWorker:
    """One place in the pool: a process, and after it the next."""

    def __init__(self, world: "World", index: int) -> None:
        self.index = index
        self.credits = world.random.randint(1, 4)
        self._world = world
        self._life = 0  # counts the processes; a later one knows nothing of what was planned for it
        self._is_alive = False
        self._ways: list[_Way] = []

    @property
    def share(self) -> int:
        """Frames that it takes from each broker at a time."""
        return -(-self.credits // len(self._world.brokers))

    def start(self) -> None:
        """A process starts, loads, and connects."""
        self._life += 1
        self._is_alive = True
        self._ways = [_Way(broker) for broker in self._world.brokers]
        self._mail: deque[tuple[_Way, BrokerToWorker, list[object]]] = deque()
        self._inbox: deque[tuple[Work, Picture]] = deque()
        self._paused_until = 0.0
        self._ends_at: int | None = None  # where in the next frame's life the process ends
        self._is_draining = False
        self._spoke_at = self._world.now
        self._ended: set[int] = set()  # epochs of frames that were dropped: those behind them are, too
        self._sessions: Sessions[bytes, bytes] = self._remembered()
        self._turns_at = float("inf")
        for broker in self._world.brokers:
            self.connect(broker)
        self._turn_by(self._world.now)

    # ---------------------------------------------------------------------- accidents

    def die_soon(self) -> None:
        """End in the middle of the next frame, or soon if none comes."""
        if not self._is_alive:
            return
        random = self._world.random
        self._ends_at = random.choice((_BEFORE, _FOLDED, _STORED, _ANSWERED))
        life = self._life
        self._world.after(random.uniform(0.0, 0.5), lambda: self._die() if life == self._life else None)

    def pause(self, for_s: float) -> None:
        """Do nothing for a while: a hang, or an operator's SIGSTOP."""
        self._paused_until = max(self._paused_until, self._world.now + for_s)

    def wake(self) -> None:
        """End a pause."""
        self._paused_until = 0.0
        if self._is_alive:
            self._turn_by(self._world.now)

    def drain(self) -> None:
        """Answer what is in hand, take no more, end."""
        if self._is_alive and not self._is_draining and any(way.link for way in self._ways):
            self._is_draining, self._drains_since = True, self._world.now
            self._say_to_all(Goodbye())

    def stall(self, broker: "SimulatedBroker", for_s: float) -> None:
        """Nothing reaches the broker or comes from it for a while."""
        for way in self._ways:
            if way.broker is broker and way.link:
                way.link.stall(for_s)

    def lose_connection(self, broker: "SimulatedBroker") -> None:
        """The connection breaks; ZeroMQ makes another."""
        for way in self._ways:
            if way.broker is broker and way.link and way.link.is_up:
                broker.hung_up(way.link)
                self.connect(broker)

    def has_parted(self, address: bytes) -> bool:
        """Whether the broker promised that no frame follows."""
        return any(way.parted is not None and way.parted.address == address for way in self._ways)

    # ------------------------------------------------------------------------ messages

    def connect(self, broker: "SimulatedBroker") -> None:
        """Find the broker, or try again; then say that we are ready."""
        way = next((way for way in self._ways if way.broker is broker), None)
        if not self._is_alive or way is None or way.is_up:
            return
        way.link = broker.accept_worker(self)
        if way.link is None:
            self._world.after(self._world.random.uniform(0.05, 0.5), lambda: self.connect(broker))
            return
        # Nothing is said over a new connection before we speak: what is unread came over the old one.
        self._mail = deque(letter for letter in self._mail if letter[0] is not way)
        if not self._is_draining:
            self._introduce(way)

    def lost(self, broker: "SimulatedBroker") -> None:
        """The connection to a broker ended; it has what we hold of its frames given to others."""

    def receive(self, link: Link, message: BrokerToWorker, payload: list[object]) -> None:
        """A message of a broker arrives, and is read when the process gets to it."""
        way = next((way for way in self._ways if way.link is link), None)
        if way is None:
            return
        if isinstance(message, Goodbye):
            way.parted = link
        self._mail.append((way, message, payload))
        self._turn_by(self._world.now)

    def _say(
        self,
        way: _Way,
        message: Ready | Result | Failure | Heartbeat | Goodbye | Recalled,
        payload: list[bytes] | None = None,
    ) -> None:
        link = way.link
        if link is not None:
            self._spoke_at = self._world.now
            link.to_broker(lambda: way.broker.worker_says(link, message, payload or []))

    def _say_to_all(self, message: Heartbeat | Goodbye) -> None:
        for way in self._ways:
            self._say(way, message)

    def _answer(self, message: Result | Failure, payload: list[bytes] | None = None) -> None:
        """To whom asked; a single broker is told what it has given to others by now."""
        frame = (message.request_id, message.epoch)
        for way in self._ways:
            if frame in way.asked or len(self._ways) == 1:
                way.asked.discard(frame)
                self._say(way, message, payload)

    def _introduce(self, way: _Way) -> None:
        """What the broker waited for it gives to whom it likes."""
        world = self._world
        way.asked.clear()
        waited_for = set().union(*(way.asked for way in self._ways))
        dropped = [work for work, _ in self._inbox if (work.request_id, work.epoch) not in waited_for]
        self._ended.update(work.epoch for work in dropped)
        self._inbox = deque(pair for pair in self._inbox if pair[0] not in dropped)
        held = []
        if len(self._ways) == 1:
            held = self._sessions.recalled(now=world.now, max_sessions=world.settings.max_sessions)
        self._say(way, ready(f"worker-{self.index}", worker_credits=self.share, sessions=held))

    # ------------------------------------------------------------------------- the loop

    def _turn_by(self, time: float) -> None:
        """Let the loop turn about then, unless it turns before."""
        world, life = self._world, self._life
        time = max(time, self._paused_until) + world.random.uniform(0.005, 0.06)
        if time < self._turns_at:
            self._turns_at = time
            world.at(time, lambda: self._turn(life, time))

    def _turn(self, life: int, time: float) -> None:
        if life != self._life or time != self._turns_at:
            return
        now, self._turns_at = self._world.now, float("inf")
        if now >= self._paused_until:
            try:
                self._work()
            except _Ended:
                self._die()
                return
            if self._is_draining and not self._inbox and self._may_leave():
                self._die()
                return
        self._turn_by(now if self._inbox else now + self._world.settings.heartbeat_s)

    def _may_leave(self) -> bool:
        """Whether no frame can follow: the broker says so, or says nothing any more."""
        patience_s = self._world.settings.worker_silence_s
        heard = any(way.parted for way in self._ways) and all(
            way.parted or not way.is_up for way in self._ways
        )
        return heard or self._world.now - self._drains_since > patience_s

    def _work(self) -> None:
        while self._mail:
            way, message, payload = self._mail.popleft()
            match message:
                case Work() if message.epoch not in self._ended:
                    (picture,) = payload
                    assert isinstance(picture, Picture)
                    self._inbox.append((message, picture))
                    way.asked.add((message.request_id, message.epoch))
                case Forget():
                    now, epoch = self._world.now, message.epoch
                    self._sessions.forget(message.session_id, message.generation, epoch=epoch, now=now)
                case WhoAreYou() if not self._is_draining:
                    self._introduce(way)
                case Recall():
                    known = self._sessions.find(
                        session_id=message.session_id, origin=None, now=self._world.now
                    )
                    self._say(way, Recalled(session_id=message.session_id, sessions=known))
        if self._inbox:
            self._fold(*self._inbox.popleft())
        elif self._world.now - self._spoke_at >= self._world.settings.heartbeat_s:
            self._say_to_all(Heartbeat())

    def _fold(self, work: Work, picture: Picture) -> None:
        """Answer one frame as the real loop does: a repeat from what is kept, else fold, store, say."""
        now = self._world.now
        self._may_end(_BEFORE)
        key = (picture.number, picture.digest, 0)
        try:
            session = self._sessions.open(work, now=now)
            given = session.answers.get(key)
            if given is None:
                if picture.digest in self._world.promises.poison:
                    raise _Ended
                line = session.state + picture.digest.to_bytes(DIGEST_BYTES)
                self._may_end(_FOLDED)
                given = self._sessions.commit(session, work, key, state=line, answer=line, now=now)
        except Superseded as error:
            failure = Failure(request_id=work.request_id, code=error.code, message="", epoch=work.epoch)
            self._answer(structs.replace(failure, superseded_by=error.epoch))
            return
        self._may_end(_STORED)
        self._answer(result_for(work, history=given.history, folded=session.head.folded), [given.answer])
        self._may_end(_ANSWERED)

    def _may_end(self, here: int) -> None:
        if self._ends_at == here:
            raise _Ended

    def _remembered(self) -> Sessions[bytes, bytes]:
        settings = self._world.settings
        given = {"kept_answers": settings.kept_answers, "idle_s": settings.session_idle_s}
        memory, name = self._world.memory, f"worker-{self.index}"
        is_server = isinstance(memory, ServerMemory)
        store = ServerStore(memory, **given) if is_server else MemoryStore(memory, name, **given)
        return Sessions(
            store=store,
            start=bytes,
            states=_AS_IT_IS,
            answers=_AS_IT_IS,
            kept_answers=settings.kept_answers,
            held_sessions=self._world.random.choice((1, 64)),
        )

    def _die(self) -> None:
        world = self._world
        world.note(f"worker {self.index} ends")
        for way in self._ways:
            if way.link is not None:
                way.broker.hung_up(way.link)
        self._life += 1
        self._is_alive = False
        self._ways = []
        world.after(world.random.uniform(0.2, 2.0), self.start)
