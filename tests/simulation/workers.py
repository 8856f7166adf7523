"""A worker as a process: the real sessions over a memory that all workers share, and a fold that is a list.

It ends at any moment, also between storing and answering, and loses what it had in memory; it is
paused, and goes on as if nothing had been.
"""

from collections import deque
from typing import TYPE_CHECKING

from msgspec import structs

from tests.messages import ready, result_for
from tests.simulation.clients import Picture
from tests.simulation.network import Link
from tests.simulation.promises import DIGEST_BYTES
from wire.messages import BrokerToWorker, Failure, Forget, Goodbye, Heartbeat, Ready, Result, WhoAreYou, Work
from workers.memory_store import MemoryStore
from workers.sessions import Codec, Sessions
from workers.store import Superseded

if TYPE_CHECKING:
    from tests.simulation.world import World

_AS_IT_IS: Codec[bytes] = Codec(bytes, bytes)

#: Where in a frame's life a process may end.
_BEFORE, _FOLDED, _STORED, _ANSWERED = range(4)


class _Ended(Exception):
    """The process ended here."""


class SimulatedWorker:
    """One place in the pool: a process, and after it the next."""

    def __init__(self, world: "World", index: int) -> None:
        self.index = index
        self.credits = world.random.randint(1, 4)
        self._world = world
        self._life = 0  # counts the processes; a later one knows nothing of what was planned for it
        self._is_alive = False
        self._link: Link | None = None

    def start(self) -> None:
        """A process starts, loads, and connects."""
        self._life += 1
        self._is_alive = True
        self._mail: deque[tuple[Link, BrokerToWorker, list[object]]] = deque()
        self._inbox: deque[tuple[Work, Picture]] = deque()
        self._paused_until = 0.0
        self._ends_at: int | None = None  # where in the next frame's life the process ends
        self._is_draining = False
        self._parted: Link | None = None
        self._spoke_at = self._world.now
        self._sessions: Sessions[bytes, bytes] = self._remembered()
        self._turns_at = float("inf")
        self.connect()
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
        if self._link and self._is_alive and not self._is_draining:
            self._is_draining, self._drains_since = True, self._world.now
            self._say(Goodbye())

    def stall(self, for_s: float) -> None:
        """Nothing reaches the broker or comes from it for a while."""
        if self._link:
            self._link.stall(for_s)

    def lose_connection(self) -> None:
        """The connection breaks; ZeroMQ makes another."""
        if self._link and self._link.is_up:
            self._world.broker.hung_up(self._link)
            self.connect()

    def has_parted(self, address: bytes) -> bool:
        """Whether the broker promised that no frame follows."""
        return self._parted is not None and self._parted.address == address

    # ------------------------------------------------------------------------ messages

    def connect(self) -> None:
        """Find the broker, or try again; then say that we are ready."""
        if not self._is_alive or (self._link is not None and self._link.is_up):
            return
        self._link = self._world.broker.accept_worker(self)
        if self._link is None:
            self._world.after(self._world.random.uniform(0.05, 0.5), self.connect)
        elif not self._is_draining:
            self._say_ready()

    def receive(self, link: Link, message: BrokerToWorker, payload: list[object]) -> None:
        """A message of the broker arrives, and is read when the process gets to it."""
        if isinstance(message, Goodbye):
            self._parted = link
        self._mail.append((link, message, payload))
        self._turn_by(self._world.now)

    def _say(
        self, message: Ready | Result | Failure | Heartbeat | Goodbye, payload: list[bytes] | None = None
    ) -> None:
        link = self._link
        if link is not None:
            self._spoke_at = self._world.now
            broker = self._world.broker
            link.to_broker(lambda: broker.worker_says(link, message, payload or []))

    def _say_ready(self) -> None:
        world = self._world
        held = self._sessions.recalled(now=world.now, max_sessions=world.settings.max_sessions)
        self._say(ready(f"worker-{self.index}", worker_credits=self.credits, sessions=held))

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
        return self._parted is not None or self._world.now - self._drains_since > patience_s

    def _work(self) -> None:
        while self._mail:
            _, message, payload = self._mail.popleft()
            match message:
                case Work():
                    (picture,) = payload
                    assert isinstance(picture, Picture)
                    self._inbox.append((message, picture))
                case Forget():
                    now, epoch = self._world.now, message.epoch
                    self._sessions.forget(message.session_id, message.generation, epoch=epoch, now=now)
                case WhoAreYou() if not self._is_draining:
                    self._say_ready()
        if self._inbox:
            self._fold(*self._inbox.popleft())
        elif self._world.now - self._spoke_at >= self._world.settings.heartbeat_s:
            self._say(Heartbeat())

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
            self._say(structs.replace(failure, superseded_by=error.epoch))
            return
        self._may_end(_STORED)
        self._say(result_for(work, history=given.history, folded=session.head.folded), [given.answer])
        self._may_end(_ANSWERED)

    def _may_end(self, here: int) -> None:
        if self._ends_at == here:
            raise _Ended

    def _remembered(self) -> Sessions[bytes, bytes]:
        settings = self._world.settings
        store = MemoryStore(
            self._world.memory,
            f"worker-{self.index}",
            kept_answers=settings.kept_answers,
            idle_s=settings.session_idle_s,
        )
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
        if self._link is not None:
            world.broker.hung_up(self._link)
        self._life += 1
        self._is_alive = False
        self._link = None
        world.after(world.random.uniform(0.2, 2.0), self.start)
