"""The broker as a process: two sockets around the real routing core.

It ends at any moment, loses what it had in memory, and is started again by its supervisor.
"""

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from broker.outbox import Noted, ToClient, ToWorker
from broker.routing import Routing
from broker.streams import Streams
from tests.simulation.network import Link
from wire.messages import Failure, Frame, Goodbye, Heartbeat, Ready, Result, StatusRequest, WhoAreYou, Work

if TYPE_CHECKING:
    from tests.simulation.clients import Picture, SimulatedClient
    from tests.simulation.workers import SimulatedWorker
    from tests.simulation.world import World

PeerT = TypeVar("PeerT")

#: Who asks how the broker is after every frame.
_OPERATOR = b"operator"


class SimulatedBroker:
    """The routing core with its two sockets."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._routing: Routing | None = None
        self._addresses = count()
        self._clients: dict[bytes, tuple[Link, SimulatedClient]] = {}
        self._workers: dict[bytes, tuple[Link, SimulatedWorker]] = {}

    def start(self) -> None:
        """Begin with nothing but the clock."""
        ids = count()
        now = self._world.now
        self._routing = Routing(
            self._world.settings,
            streams=Streams(new_session_id=lambda: f"stream-{next(ids)}", pause_s=30.0),
            first_serial=1 + int(now * 1e6),
            now=now,
        )
        self._world.promises.broker_began()

    def crash(self) -> None:
        """End at once; a supervisor starts another."""
        if self._routing is None:
            return
        world = self._world
        peers = [*self._clients.values(), *self._workers.values()]
        self._routing = None
        self._clients.clear()
        self._workers.clear()
        world.after(world.random.uniform(0.1, 1.5), self.start)
        for link, peer in peers:
            link.is_up = False
            world.after(world.random.uniform(0, 0.1), peer.connect)

    def accept_client(self, client: "SimulatedClient") -> Link | None:
        """A new connection; None: nobody listens."""
        return self._accept(self._clients, client)

    def accept_worker(self, worker: "SimulatedWorker") -> Link | None:
        """The same on the workers' socket."""
        return self._accept(self._workers, worker)

    def hung_up(self, link: Link) -> None:
        """The other end closed its connection."""
        link.is_up = False
        self._clients.pop(link.address, None)
        self._world.promises.lost(link.address)
        if self._workers.pop(link.address, None) and self._routing:
            self._routing.connection_closed(now=self._world.now)

    def frame(self, link: Link, frame: Frame, picture: "Picture") -> None:
        """A client's frame arrives."""
        if self._routing:
            self._world.promises.arrived(frame, picture)
            self._routing.frame(
                link.address,
                frame,
                [picture],
                payload_bytes=picture.size_bytes,
                digest=picture.digest,
                now=self._world.now,
            )
            self._routing.status(_OPERATOR, StatusRequest(request_id=bytes(16)), now=self._world.now)

    def worker_says(
        self,
        link: Link,
        message: Ready | Result | Failure | Heartbeat | Goodbye,
        payload: list[bytes],
    ) -> None:
        """A worker's message arrives."""
        if self._routing is None:
            return
        now = self._world.now
        match message:
            case Ready():
                self._routing.ready(link.address, message, now=now)
            case Result() | Failure():
                self._world.promises.worker_answered(link.address, message)
                self._routing.answer(link.address, message, payload, now=now)
            case Heartbeat():
                self._routing.heartbeat(link.address, now=now)
            case Goodbye():
                self._routing.goodbye(link.address, now=now)

    def wake_at(self) -> float:
        """When time alone makes it act."""
        return self._routing.wake_at() if self._routing else float("inf")

    def turn(self, *, is_due: bool) -> None:
        """Do what the last event asks for, and what time does where it `is_due`."""
        if self._routing is None:
            return
        if is_due:
            self._routing.tick(now=self._world.now)
        while self._routing and (actions := self._routing.take_actions()):
            for action in actions:
                self._do(action)

    def counters(self) -> Mapping[str, int] | None:
        """The core's; None while it is down."""
        return self._routing.counters if self._routing else None

    def _do(self, action: ToClient | ToWorker | Noted) -> None:
        assert self._routing is not None
        match action:
            case Noted():
                self._world.note(action.text % action.details)
            case ToClient(client=client_address) if client_address == _OPERATOR:
                self._world.promises.status_is(action.message)
            case ToClient():
                if known := self._clients.get(action.client):
                    link, client = known
                    message, payload = action.message, list(action.payload)
                    link.to_peer(lambda: client.receive(message, payload))
                    self._world.promises.sent_to_client(message)
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
            self._world.promises.handed_out(link.address, worker, message, payload)
        elif isinstance(message, WhoAreYou):
            self._world.promises.lost(link.address)
        link.to_peer(lambda: worker.receive(link, message, payload))

    def _accept(self, peers: dict[bytes, tuple[Link, PeerT]], peer: PeerT) -> Link | None:
        if self._routing is None:
            return None
        link = Link(self._world, f"peer-{next(self._addresses)}".encode())
        peers[link.address] = (link, peer)
        return link
