"""A broker as a process: two sockets around the real routing core.

It ends at any moment, loses what it had in memory, and is started again by its supervisor; it is paused, and
goes on as if nothing had been.
"""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from broker.outbox import Noted, ToClient, ToWorker
from broker.routing import Routing
from broker.streams import Streams
from tests.simulation.network import SILENCE_S, Link
from tests.simulation.watch import Watch
from wire.messages import (
    Failure,
    Frame,
    Goodbye,
    Heartbeat,
    Ready,
    Recalled,
    Result,
    StatusRequest,
    WhoAreYou,
    Work,
)

if TYPE_CHECKING:
    from tests.simulation.clients import Picture, SimulatedClient
    from tests.simulation.workers import SimulatedWorker
    from tests.simulation.world import World

PeerT = TypeVar("PeerT", "SimulatedClient", "SimulatedWorker")

#: Who asks how the broker is after every frame.
_OPERATOR = b"operator"

#: More than there are brokers: each draws its epochs and generations from another remainder.
_SERIALS_APART = 32


class SimulatedBroker:
    """The routing core with its two sockets."""

    def __init__(self, world: "World", place: int, name: str) -> None:
        """`place` among the brokers, from 0; `name`: where clients meet it."""
        self.place = place
        self.name = name
        self._world = world
        self._routing: Routing | None = None
        self._addresses = count()
        self._clients: dict[bytes, tuple[Link, SimulatedClient]] = {}
        self._workers: dict[bytes, tuple[Link, SimulatedWorker]] = {}
        self._paused_until = 0.0
        # What it has not read, by connection: after a pause they have their turns in any order.
        self._unread: dict[Link, deque[Callable[[], None]]] = {}

    def start(self) -> None:
        """Begin with nothing but the clock."""
        ids = count()
        now = self._world.now
        self._paused_until = 0.0
        self._unread.clear()
        self._watch = Watch(self._world.promises)
        self._routing = Routing(
            self._world.settings,
            streams=Streams(new_session_id=lambda: f"stream-{next(ids)}", pause_s=30.0),
            first_serial=_SERIALS_APART * (1 + int(now * 1e6)) + self.place,
            serial_step=_SERIALS_APART,
            now=now,
        )

    # ---------------------------------------------------------------------- accidents

    def crash(self) -> None:
        """End at once; a supervisor starts another."""
        if self._routing is None:
            return
        self._routing = None
        self._world.after(self._world.random.uniform(0.1, 1.5), self.start)
        self._hang_up_on_all()

    def pause(self, for_s: float) -> None:
        """Do nothing for a while: a hang, or an operator's SIGSTOP. Silent connections end."""
        world = self._world
        self._paused_until = max(self._paused_until, world.now + for_s)
        if for_s > SILENCE_S:
            routing = self._routing
            world.after(SILENCE_S, lambda: self._fall_silent(routing))
        world.at(self._paused_until, self._read)

    def wake(self) -> None:
        """End a pause."""
        self._paused_until = 0.0
        self._read()

    # ----------------------------------------------------------------------- connections

    def accept_client(self, client: "SimulatedClient") -> Link | None:
        """A new connection; None: nobody listens."""
        return self._accept(self._clients, client)

    def accept_worker(self, worker: "SimulatedWorker") -> Link | None:
        """The same on the workers' socket."""
        return self._accept(self._workers, worker)

    def hung_up(self, link: Link) -> None:
        """The other end closed its connection."""
        link.is_up = False
        self._when_it_reads(link, lambda: self._hear_hangup(link))

    def frame(self, link: Link, frame: Frame, picture: "Picture") -> None:
        """A client's frame arrives."""
        self._when_it_reads(link, lambda: self._frame(link, frame, picture))

    def worker_says(
        self,
        link: Link,
        message: Ready | Result | Failure | Heartbeat | Goodbye | Recalled,
        payload: list[bytes],
    ) -> None:
        """A worker's message arrives."""
        self._when_it_reads(link, lambda: self._take(link, message, payload))

    # ------------------------------------------------------------------------- the loop

    def wake_at(self) -> float:
        """When time alone makes it act."""
        return max(self._routing.wake_at(), self._paused_until) if self._routing else float("inf")

    def turn(self) -> None:
        """Do what the last event asks for, and what time does where that is due."""
        if self._routing is None or self._is_paused:
            return
        if self._routing.wake_at() <= self._world.now:
            self._routing.tick(now=self._world.now)
        while self._routing and (actions := self._routing.take_actions()):
            for action in actions:
                self._do(action)

    def counters(self) -> Mapping[str, int] | None:
        """The core's; None while it is down."""
        return self._routing.counters if self._routing else None

    @property
    def _is_paused(self) -> bool:
        return self._world.now < self._paused_until

    def _when_it_reads(self, link: Link, event: Callable[[], None]) -> None:
        if self._routing is None:
            return
        if self._is_paused or link in self._unread:
            self._unread.setdefault(link, deque()).append(event)
        else:
            event()

    def _read(self) -> None:
        """Read one message, and soon the next."""
        if not self._unread or self._routing is None or self._is_paused:
            return
        link = self._world.random.choice(list(self._unread))
        event = self._unread[link].popleft()
        if not self._unread[link]:
            del self._unread[link]
        event()
        self._world.after(self._world.random.choice((0.0, 0.0, 0.03)), self._read)

    def _fall_silent(self, routing: Routing | None) -> None:
        if self._is_paused and routing is self._routing:
            self._hang_up_on_all()

    def _hang_up_on_all(self) -> None:
        world = self._world
        peers: list[tuple[Link, SimulatedClient | SimulatedWorker]] = [
            *self._clients.values(),
            *self._workers.values(),
        ]
        for link, peer in peers:
            if link.is_up:
                self.hung_up(link)
                peer.lost(self)
                world.after(world.random.uniform(0, 0.1), lambda peer=peer: peer.connect(self))
        if self._routing is None:
            self._clients.clear()
            self._workers.clear()

    def _hear_hangup(self, link: Link) -> None:
        self._clients.pop(link.address, None)
        self._watch.lost(link.address)
        if self._workers.pop(link.address, None) and self._routing:
            self._routing.connection_closed(now=self._world.now)

    def _frame(self, link: Link, frame: Frame, picture: "Picture") -> None:
        assert self._routing is not None
        self._watch.arrived(frame, picture)
        self._routing.frame(
            link.address,
            frame,
            [picture],
            payload_bytes=picture.size_bytes,
            digest=picture.digest,
            now=self._world.now,
        )
        self._routing.status(_OPERATOR, StatusRequest(request_id=bytes(16)), now=self._world.now)

    def _take(
        self,
        link: Link,
        message: Ready | Result | Failure | Heartbeat | Goodbye | Recalled,
        payload: list[bytes],
    ) -> None:
        assert self._routing is not None
        now = self._world.now
        match message:
            case Ready():
                self._routing.ready(link.address, message, now=now)
            case Result() | Failure():
                self._watch.worker_answered(link.address, message)
                self._routing.answer(link.address, message, payload, now=now)
            case Heartbeat():
                self._routing.heartbeat(link.address, now=now)
            case Goodbye():
                self._routing.goodbye(link.address, now=now)
            case Recalled():
                self._routing.recalled(link.address, message, now=now)

    def _do(self, action: ToClient | ToWorker | Noted) -> None:
        assert self._routing is not None
        match action:
            case Noted():
                self._world.note(action.text % action.details)
            case ToClient(client=client_address) if client_address == _OPERATOR:
                self._world.promises.status_is(action.message)
            case ToClient():
                message, payload = action.message, list(action.payload)
                self._watch.sent_to_client(message)
                if known := self._clients.get(action.client):
                    link, client = known
                    link.to_peer(lambda: client.receive(self, message, payload))
            case ToWorker():
                self._to_worker(action)

    def _to_worker(self, action: ToWorker) -> None:
        assert self._routing is not None
        known = self._workers.get(action.worker)
        if known is None:
            self._routing.worker_unroutable(action.worker, now=self._world.now)
            return
        link, worker = known
        message, payload = action.message, list(action.payload)
        if isinstance(message, Work):
            self._watch.handed_out(link.address, worker, message, payload)
        elif isinstance(message, WhoAreYou):
            self._watch.lost(link.address)
        link.to_peer(lambda: worker.receive(link, message, payload))

    def _accept(self, peers: dict[bytes, tuple[Link, PeerT]], peer: PeerT) -> Link | None:
        if self._routing is None or self._is_paused:
            return None
        link = Link(self._world, f"peer-{next(self._addresses)} of broker {self.place}".encode())
        peers[link.address] = (link, peer)
        return link
