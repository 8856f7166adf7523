"""The worker's way to its brokers: typed messages in and out, each answer to the broker that asked.

A worker serves every broker there is, each with its share of credits: one that loses its sessions to another
finds the same workers there, and no worker stands idle while its broker is away. Which session belongs to
whom the brokers and the store's epochs decide; here it is only known who asked.
"""

import logging
from collections.abc import Iterator

import zmq
from msgspec.structs import replace

from wire import keys, links, messages, parts
from wire.errors import ProtocolError
from wire.links import Handshakes
from wire.messages import (
    BrokerToWorker,
    Buffer,
    Decoder,
    Failure,
    Goodbye,
    Heartbeat,
    LoadFailed,
    Message,
    Ready,
    Recalled,
    Result,
    WhoAreYou,
    Work,
)
from wire.settings import Settings

log = logging.getLogger(__name__)

#: A broker that was restarted has callers who wait for the first worker.
_RECONNECT_MS = 50
_RECONNECT_MAX_MS = 200

#: Parts up to this are copied when they are sent: a few meshes. To lend one to ZeroMQ costs a wake-up of the
#: thread that takes it back.
_COPIED_BYTES = 2**20

#: Time that closing the socket gives the last messages to leave.
_LINGER_MS = 1000


class NewConnection:
    """A broker can be reached over a connection on which nothing was said yet."""


class _Broker:
    """The DEALER socket to one broker."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, settings: Settings) -> None:
        own_keys = keys.for_endpoint(endpoint, settings, role="worker")
        self.endpoint = endpoint
        self.parted = False  # it sends no more frames
        self.asked: set[tuple[bytes, int]] = set()  # request ids and epochs of frames without answers
        self.socket = context.socket(zmq.DEALER)
        # A frame queued to a broker that is not there would be answered by nobody.
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.SNDTIMEO, int(settings.worker_silence_s * 1e3))
        self.socket.setsockopt(zmq.LINGER, _LINGER_MS)
        self.socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        self.socket.setsockopt(zmq.MAXMSGSIZE, settings.max_body_bytes + links.SEALED_MORE_BYTES)
        self.socket.copy_threshold = _COPIED_BYTES
        links.keep_alive(self.socket)
        links.seal_as_peer(self.socket, own_keys)
        self.handshakes = Handshakes(self.socket, endpoint)
        self.socket.connect(endpoint)

    def can_send(self) -> bool:
        """Whether a message would leave at once, over a connection on which we have said who we are."""
        return bool(self.socket.poll(0, zmq.POLLOUT)) and not self.handshakes.pending()

    def drop_unread(self) -> None:
        """It says nothing over a new connection before we do: what is unread came over the one before."""
        while self.socket.poll(0):
            parts.receive(self.socket)

    def close(self) -> None:
        """Close; what was sent still leaves within the linger time."""
        self.handshakes.close()
        self.socket.close()


class Brokers:
    """All brokers that this worker serves; one, unless `POSE_BROKERS` names several."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], settings: Settings) -> None:
        """Raises `ValueError` for endpoints that may not be used, or for keys."""
        addresses = settings.worker_broker_addresses()
        self._decode: Decoder[BrokerToWorker] = Decoder(BrokerToWorker)
        self._brokers = [_Broker(context, address, settings) for address in addresses]
        self._poller = zmq.Poller()
        for broker in self._brokers:
            self._poller.register(broker.handshakes.monitor, zmq.POLLIN)
            self._poller.register(broker.socket, zmq.POLLIN)
        self._speaker = self._brokers[0]  # who said something last
        self._leaving = False

    @property
    def ask_for_each_session(self) -> bool:
        """Whether they ask for sessions one by one, and need not be told of all."""
        return len(self._brokers) > 1

    def send(self, message: Message, *payload: Buffer) -> None:
        """An answer goes to who asked, an introduction to who spoke last, all else to everybody.

        A broker that stays away longer than its own patience with us has forgotten the frame; where there are
        others, nobody waits for it.
        """
        for broker in self._whom(message):
            self._send(broker, message, payload)

    def can_send(self) -> bool:
        """Whether any of them would hear it at once."""
        return any(broker.can_send() for broker in self._brokers)

    def waits_for(self, work: Work) -> bool:
        """Whether the broker that handed this frame out still wants its answer."""
        return any((work.request_id, work.epoch) in broker.asked for broker in self._brokers)

    def receive(self, *, timeout_s: float) -> tuple[BrokerToWorker, list[Buffer]] | NewConnection | None:
        """What happened next; None: nothing did in time. What is not readable is a sign of life at most.

        The brokers' `Goodbye` comes once, when no frame of any of them can follow.
        """
        ready = dict(self._poller.poll(int(timeout_s * 1e3)))
        for broker in self._brokers:
            # First: what came before was said over another connection.
            if broker.handshakes.monitor in ready and broker.handshakes.succeeded():
                broker.drop_unread()
                return self._connected(broker)
        for broker in self._in_turns():
            if broker.socket in ready:
                return self._read(broker)
        return None

    def close(self) -> None:
        """Close; what was sent still leaves within the linger time."""
        for broker in self._brokers:
            broker.close()

    def _in_turns(self) -> Iterator[_Broker]:
        """The brokers, who spoke last at the end: none keeps another from being heard."""
        after = self._brokers.index(self._speaker) + 1
        yield from self._brokers[after:] + self._brokers[:after]

    def _connected(self, broker: _Broker) -> tuple[BrokerToWorker, list[Buffer]] | NewConnection:
        self._speaker = broker
        broker.asked.clear()  # it gives what we hold to whom it likes
        if self._leaving:
            return self._part(broker)
        return NewConnection()

    def _read(self, broker: _Broker) -> tuple[BrokerToWorker, list[Buffer]] | NewConnection:
        self._speaker = broker
        header, *payload = parts.receive(broker.socket)
        try:
            message = self._decode(header.buffer)
        except ProtocolError as error:
            log.warning("message from the broker refused: %s", error)
            return Heartbeat(), []
        match message:
            case Work():
                broker.asked.add((message.request_id, message.epoch))
            case WhoAreYou():
                return self._connected(broker)
            case Goodbye():
                return self._part(broker)
        return message, [frame.buffer for frame in payload]

    def _part(self, broker: _Broker) -> tuple[BrokerToWorker, list[Buffer]]:
        """A broker sends no more frames."""
        broker.parted = True
        farewell = all(other.parted or not other.can_send() for other in self._brokers)
        return (Goodbye() if farewell else Heartbeat()), []

    def _whom(self, message: Message) -> list[_Broker]:
        match message:
            case Result() | Failure():
                frame = (message.request_id, message.epoch)
                asked = [broker for broker in self._brokers if frame in broker.asked]
                # A single broker is told what it has given to others by now, and counts it.
                return asked if asked or self.ask_for_each_session else self._brokers
            case Ready() | Recalled():
                return [self._speaker]
        return self._brokers

    def _send(self, broker: _Broker, message: Message, payload: tuple[Buffer, ...]) -> None:
        match message:
            case Result() | Failure():
                broker.asked.discard((message.request_id, message.epoch))
            case Ready():
                share = -(-message.credits // len(self._brokers))
                message = replace(message, credits=share)
            case Goodbye():
                self._leaving = True
        wait = not self.ask_for_each_session or isinstance(message, LoadFailed)
        try:
            parts.send(broker.socket, [messages.encode(message), *payload], wait=wait)
        except zmq.Again:
            log.warning("the broker at %s is away; a %s is dropped", broker.endpoint, type(message).__name__)
