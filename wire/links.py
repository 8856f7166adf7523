"""What all ZeroMQ connections of ours have: signs of life, keys off the machine, a word where they fail."""

import logging
import time

import zmq
from zmq.utils.monitor import recv_monitor_message

from wire.keys import PeerKeys, PublicKey, Role, SecretKey

log = logging.getLogger(__name__)

_HEARTBEAT_MS = 2_000
_SILENCE_MS = 6_000
_KEEPALIVE_IDLE_S = 30

#: A host that is away is tried again after this; the kernel's own pauses would soon be half a minute.
_CONNECT_WITHIN_MS = 3_000

#: What an encrypted part is longer by on the wire: box, nonce, flags and the command's name (ZeroMQ RFC 26).
SEALED_MORE_BYTES = 33

#: A broker that is away, or lets us in no more, is told of once in this time.
_COMPLAIN_EVERY_S = 60.0

#: Programs are started together, in any order: who is not there by then is told of.
_THERE_WITHIN_S = 15.0

_EVENTS, _IN = int(zmq.EVENTS), int(zmq.POLLIN)  # plain integers: pyzmq's are enumerations, slow to combine

_NO_DETAIL = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_FAILED = _NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH

_HANGS_UP = (
    "%s hangs up without a word: it stops, or has another key than POSE_BROKER_KEY_FILE says, "
    "or ours is not in its POSE_ALLOWED_KEYS; trying again"
)
_NO_BROKER = "%s cannot be spoken to, not before a restart: only one side has keys, or it is no broker"
_AWAY = "%s cannot be reached: no broker runs there, or its name leads elsewhere; trying again"


def make_key(role: Role, name: str) -> SecretKey:
    """A new key."""
    public, secret = zmq.curve_keypair()
    return SecretKey(PublicKey(role, name, public), secret)


def keep_alive(socket: "zmq.Socket[bytes]") -> None:
    """Notice within seconds that the other end is gone, however it went."""
    socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, _SILENCE_MS)
    socket.set(zmq.HEARTBEAT_TTL, _SILENCE_MS)
    socket.set(zmq.CONNECT_TIMEOUT, _CONNECT_WITHIN_MS)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)


def seal_as_peer(socket: "zmq.Socket[bytes]", keys: PeerKeys | None) -> None:
    """Connect with these keys from now on; None: in clear."""
    if keys is not None:
        socket.set(zmq.CURVE_SERVERKEY, keys.broker.key)
        socket.set(zmq.CURVE_PUBLICKEY, keys.own.public.key)
        socket.set(zmq.CURVE_SECRETKEY, keys.own.secret)


def seal_as_broker(socket: "zmq.Socket[bytes]", key: SecretKey, *, opens_to: Role) -> None:
    """Bind with this key from now on, for peers of one role; endpoints bound before stay as they are.

    libzmq asks `broker/gatekeeper.py` whether a peer's key is of that role, and without it lets nobody in.
    """
    socket.set(zmq.ZAP_DOMAIN, opens_to.encode())
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.set(zmq.CURVE_SERVER, 1)
    socket.set(zmq.CURVE_SECRETKEY, key.secret)


class Handshakes:
    """Tells when a socket's connection to the broker is new; for the thread that owns the socket."""

    def __init__(self, socket: "zmq.Socket[bytes]", endpoint: str, *, is_always_heard: bool = True) -> None:
        """Before the socket is connected.

        is_always_heard: somebody waits for `monitor` all the time; what fails is logged then.
        """
        self._watched = socket
        self._endpoint = endpoint
        self._complained_at = float("-inf")
        self.away_since: float | None = time.monotonic()  # as far as was heard; None: connected
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        if is_always_heard:
            events |= zmq.EVENT_CONNECT_RETRIED | _FAILED
        self.monitor = _monitor(socket, events)

    def pending(self) -> bool:
        """Whether anything happened that `succeeded` was not asked about yet."""
        return bool(int(self.monitor.get(_EVENTS)) & _IN)

    def succeeded(self) -> bool:
        """Whether one succeeded since the last time; those that failed are logged."""
        any_succeeded = False
        while self.pending():
            event = recv_monitor_message(self.monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                any_succeeded, self.away_since = True, None
            elif event == zmq.EVENT_DISCONNECTED and self.away_since is None:
                self.away_since = time.monotonic()
            elif event == _NO_DETAIL:
                self._complain(logging.WARNING, _HANGS_UP)
            elif event & _FAILED:
                self._complain(logging.ERROR, _NO_BROKER)
            elif event == zmq.EVENT_CONNECT_RETRIED and self._is_away_for_long():
                self._complain(logging.WARNING, _AWAY)
        return any_succeeded

    def close(self) -> None:
        """Before the socket itself is closed."""
        self._watched.disable_monitor()
        self.monitor.close()

    def _is_away_for_long(self) -> bool:
        return self.away_since is not None and time.monotonic() - self.away_since > _THERE_WITHIN_S

    def _complain(self, level: int, text: str) -> None:
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = now
            log.log(level, text, self._endpoint)


def _monitor(socket: "zmq.Socket[bytes]", events: int) -> "zmq.Socket[bytes]":
    """As `socket.get_monitor_socket`, but without a bound on what waits to be read.

    At a bound libzmq's I/O thread would wait for the reader, and no socket of the context would go on.
    """
    where = f"inproc://monitor-{socket.FD}"
    socket.monitor(where, events)
    monitor: zmq.Socket[bytes] = socket.context.socket(zmq.PAIR)
    monitor.set(zmq.RCVHWM, 0)
    monitor.connect(where)
    return monitor
