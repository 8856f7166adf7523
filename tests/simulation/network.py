"""One connection to the broker, as ZeroMQ's are: messages keep their order, and are lost when it breaks."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import World

#: A connection whose other end says nothing for so long is closed, as ZeroMQ does.
SILENCE_S = 6.0

#: Mean time of a message on its way, per second.
_MESSAGES_PER_S = 300.0


class Link:
    """A connection between the broker and a peer, under the address that the broker gave it."""

    def __init__(self, world: "World", address: bytes) -> None:
        self.address = address
        self.is_up = True
        self._world = world
        self._last = [0.0, 0.0]  # when the last message to the broker, and to the peer, arrives

    def to_broker(self, deliver: Callable[[], None]) -> None:
        """Let a message arrive, unless the connection breaks before."""
        self._send(0, deliver)

    def to_peer(self, deliver: Callable[[], None]) -> None:
        """The same the other way."""
        self._send(1, deliver)

    def stall(self, for_s: float) -> None:
        """Nothing arrives for a while, and nothing is lost."""
        self._last = [max(last, self._world.now + for_s) for last in self._last]

    def _send(self, way: int, deliver: Callable[[], None]) -> None:
        world = self._world
        arrival = max(world.now + world.random.expovariate(_MESSAGES_PER_S), self._last[way])
        self._last[way] = arrival
        world.at(arrival, lambda: deliver() if self.is_up else None)
