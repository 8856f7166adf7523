"""A client's connection to one broker, and whether that broker is there. For one thread."""

import time
from collections import deque
from math import inf

import zmq

from wire import links
from wire.homes import PATIENCE_S
from wire.keys import PeerKeys
from wire.links import Handshakes

_RECONNECT_MS = 50
_RECONNECT_MAX_MS = 1_000
_HIGH_WATER = 64

#: Parts up to this are copied when they are sent: to lend one to ZeroMQ costs a wake-up of the thread that
#: takes it back, which is more than a copy of a 1080p JPEG.
_COPIED_BYTES = 2**20


class BrokerLink:
    """What requests go out by. unsent: the ids of those that could not yet, in their order.

    term: the last one of the broker that was told here; 0: none was.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        keys: PeerKeys | None,
        *,
        is_always_heard: bool,
    ) -> None:
        """is_always_heard: as of `wire.links.Handshakes`."""
        self.endpoint = endpoint
        self.dealer = _dealer(context, keys)
        self.handshakes = Handshakes(self.dealer, endpoint, is_always_heard=is_always_heard)
        self.unsent: deque[bytes] = deque()
        self.term = 0
        self.dealer.connect(endpoint)

    @property
    def is_connected(self) -> bool:
        """Whether a handshake was heard of, and no end of the connection since."""
        return self.handshakes.away_since is None

    def gone_at(self) -> float:
        """When the broker counts as gone, unless it comes back before, seconds (`time.monotonic`)."""
        away_since = self.handshakes.away_since
        return inf if away_since is None else away_since + PATIENCE_S

    def is_gone(self) -> bool:
        """Whether the broker is away for longer than one that is restarted."""
        return time.monotonic() >= self.gone_at()

    def learn_from(self, other: "BrokerLink") -> None:
        """Begin with what another link to this broker, of any thread, knows of it."""
        self.term = other.term
        if (away_since := other.handshakes.away_since) is not None:
            self.handshakes.away_since = away_since

    def close(self) -> None:
        """Close both sockets."""
        self.handshakes.close()
        self.dealer.close()


def _dealer(context: "zmq.Context[zmq.Socket[bytes]]", keys: PeerKeys | None) -> "zmq.Socket[bytes]":
    """The socket, not yet connected."""
    dealer = context.socket(zmq.DEALER)
    dealer.set(zmq.IMMEDIATE, 1)  # nothing waits in a connection that never came about
    dealer.set(zmq.LINGER, 0)
    dealer.set(zmq.SNDHWM, _HIGH_WATER)
    dealer.set(zmq.RCVHWM, _HIGH_WATER)
    dealer.set(zmq.RECONNECT_IVL, _RECONNECT_MS)
    dealer.set(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
    links.keep_alive(dealer)
    links.seal_as_peer(dealer, keys)
    dealer.copy_threshold = _COPIED_BYTES
    return dealer
