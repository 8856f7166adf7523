"""A client as `wire.connection` is one: requests in flight, deadlines, all sent again when reconnected.

It has a connection to each broker. Which of them serves its session, and when the next one does, is decided
by the rules of real clients (`wire.homes`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulation.network import Link
from wire.homes import PATIENCE_S, Homes
from wire.messages import Failure, Frame, FromBroker, Result

if TYPE_CHECKING:
    from tests.simulation.broker import SimulatedBroker
    from tests.simulation.world import World

#: When everything has healed all must be answered within this time, seconds.
HEALING_S = 60.0

#: Bits of a digest that are the frame number; those above tell the video.
VIDEO_SHIFT = 12

#: A repeat asks for one of so many frames that were answered last; the service keeps more of them.
_REPEATABLE = 3

#: So few answers are enough for a client that has this many frames in flight, and for its repeats.
FEW_KEPT_ANSWERS, _FEW_IN_FLIGHT = 6, (1, 2)


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame of one video, with what tells its picture from all others."""

    session_id: str
    video: int
    number: int
    digest: int
    size_bytes: int


@dataclass(slots=True, eq=False)
class Request:
    """One request, as its client sees it."""

    request_id: bytes
    picture: Picture
    deadline: float  # virtual seconds
    broker: str = ""  # that it was sent to
    term: int = 0  # of that broker, with which it was sent last
    outcome: str | None = None


@dataclass(slots=True, eq=False)
class _Way:
    """To one broker."""

    broker: "SimulatedBroker"
    link: Link | None = None
    away_since: float = 0.0  # virtual seconds, if there is no connection
    shut_until: float = 0.0  # there can be none
    attempts: int = 0  # tells the newest one from older ones
    term: int = 0  # the last one of the broker that we were told of

    @property
    def is_up(self) -> bool:
        return self.link is not None and self.link.is_up

    def is_gone(self, now: float) -> bool:
        """As `wire.connection` sees it."""
        return not self.is_up and now >= self.away_since + PATIENCE_S


class SimulatedClient:
    """Sends the videos of one session, so many frames at a time, sometimes out of order, sometimes twice."""

    def __init__(self, world: "World", index: int) -> None:
        random = world.random
        self.index = index
        self.requests: list[Request] = []
        self._world = world
        self.session_id = f"session-{index}"
        few_are_kept = world.settings.kept_answers == FEW_KEPT_ANSWERS
        self._concurrency = random.choice(_FEW_IN_FLIGHT if few_are_kept else (1, 1, 2, 4, 8))
        self._lengths = (10, 40) if few_are_kept else (1, 16)  # of videos, frames
        self._deadline_s = random.choice((3.0, 110.0, 110.0, 110.0))
        self.repeats = 0.0 if few_are_kept else random.choice((0.0, 0.05, 0.2))
        self.holes = random.choice((0.0, 0.0, 0.1))
        self.was_cut_off = False  # with frames under way: one may come later than anybody waits for it
        self._to_send = self._pictures()
        self._video = 0
        self._answered: list[Picture] = []
        self._open: dict[bytes, Request] = {}  # all without an answer
        self._pending: dict[bytes, Request] = {}  # those of them that were given to the connection, in order
        self._ways = {broker.name: _Way(broker) for broker in world.brokers}
        self._homes = Homes([broker.name for broker in world.brokers])
        self._key = b"session " + self.session_id.encode()

    @property
    def is_impatient(self) -> bool:
        """Whether its deadlines are shorter than what a service may take to heal."""
        return self._deadline_s < HEALING_S

    @property
    def is_done(self) -> bool:
        """Whether all was sent and answered."""
        return not self._to_send and not self._open

    def start(self) -> None:
        """Connect, and begin to send."""
        self._connect_to_all()
        self._send_more()

    def connect(self, broker: "SimulatedBroker") -> None:
        """Find the broker, or try again; then send again what has no answer."""
        world, way = self._world, self._ways[broker.name]
        way.attempts += 1
        attempt = way.attempts
        if way.is_up:
            self.lost(broker)
        way.link = broker.accept_client(self) if world.calm or world.now >= way.shut_until else None
        if way.link is None:
            delay_s = world.random.uniform(0.05, 0.5)
            world.after(delay_s, lambda: self.connect(broker) if attempt == way.attempts else None)
            return
        for request in self._pending.values():
            if request.broker == broker.name:
                self._put(request)
        self._move_on()

    def lost(self, broker: "SimulatedBroker") -> None:
        """The connection to a broker ended."""
        way = self._ways[broker.name]
        assert way.link is not None
        way.link.is_up = False
        way.away_since = self._world.now
        self._world.after(PATIENCE_S, self._move_on)

    def cut_off(self, broker: "SimulatedBroker", for_s: float) -> None:
        """The broker cannot be reached for a while."""
        way = self._ways[broker.name]
        way.shut_until = self._world.now + for_s
        if way.is_up and way.link is not None:
            self.was_cut_off = True
            broker.hung_up(way.link)
            self.lost(broker)
            self.connect(broker)

    def restart(self) -> None:
        """The process ends and another takes its place: nobody waits for what was in flight."""
        if self._open:  # two videos of one session at a time cannot be told apart
            self._to_send = [picture for picture in self._to_send if picture.video == self._video]
        for request in list(self._open.values()):
            self._end(request, "nobody waits")
        self._connect_to_all()
        self._send_more()

    def _connect_to_all(self) -> None:
        for way in self._ways.values():
            way.away_since = self._world.now
            self.connect(way.broker)
        self._world.after(PATIENCE_S, self._move_on)

    def _is_there(self, broker: str) -> bool:
        return not self._ways[broker].is_gone(self._world.now)

    def _move_on(self) -> None:
        """What a broker that is gone did not answer goes to the next."""
        gone = {name for name in self._ways if not self._is_there(name)}
        if not gone or len(gone) == len(self._ways):
            return
        for request in self._pending.values():
            if request.broker in gone:
                request.broker = self._homes.move(
                    self._key, away_from=request.broker, is_there=self._is_there
                )
                self._put(request)

    def receive(self, broker: "SimulatedBroker", message: FromBroker, payload: list[bytes]) -> None:
        """An answer; one to a request that has its answer is ignored."""
        assert isinstance(message, Result | Failure)
        request = self._open.get(message.request_id)
        if isinstance(message, Failure) and message.term is not None:
            self._send_back(broker, request, message.term)
            return
        if request is None:
            return
        if isinstance(message, Result):
            self._world.promises.answered(request.picture, message, payload)
            self._answered.append(request.picture)
            self._settle(request, "answered")
        else:
            self._settle(request, message.code)

    def _send_back(self, broker: "SimulatedBroker", request: Request | None, term: int) -> None:
        """The broker asks for a request under a term that began."""
        way = self._ways[broker.name]
        way.term = max(way.term, term)
        if request is not None and request.broker == broker.name and request.term < term:
            self._put(request)

    def _settle(self, request: Request, outcome: str) -> None:
        self._end(request, outcome)
        self._world.after(self._world.random.uniform(0, 0.05), self._send_more)

    def _end(self, request: Request, outcome: str) -> None:
        request.outcome = outcome
        if request.picture.video and request.picture.number == 0 and outcome != "answered":
            self._to_send.clear()  # nothing tells the rest of a second video from the first
        del self._open[request.request_id]
        if self._pending.pop(request.request_id, None):
            self._homes.leave(self._key)

    def _send_more(self) -> None:
        random = self._world.random
        while self._to_send and len(self._in_flight()) < self._concurrency:
            if self._answered and random.random() < self.repeats:
                self._send(random.choice(self._answered[-_REPEATABLE:]))
                continue
            if self._to_send[0].video != self._video:
                if self._open:
                    return  # two videos of one session at a time cannot be told apart
                self._video = self._to_send[0].video
                self._answered.clear()
            if self._video and self._open and not self._answered:
                return  # nor can a frame of the second before its 0
            picture = self._to_send.pop(0)
            self._send(picture)
            if random.random() < self.repeats:
                self._send(picture)  # impatient

    def _in_flight(self) -> set[int]:
        """The pictures that wait for an answer; a repeat takes no place of its own."""
        return {request.picture.digest for request in self._open.values()}

    def _send(self, picture: Picture) -> None:
        world = self._world
        request_id = (self.index << 64 | len(self.requests)).to_bytes(16)
        request = Request(request_id, picture, world.now + self._deadline_s)
        self.requests.append(request)
        self._open[request_id] = request
        world.at(request.deadline, lambda: self._expire(request))
        # Through connections of their own, which overtake each other.
        world.after(world.random.choice((0.0, 0.03)) * world.random.random(), lambda: self._submit(request))

    def _submit(self, request: Request) -> None:
        if request.outcome is None:
            self._pending[request.request_id] = request
            request.broker = self._homes.enter(self._key, is_there=self._is_there)
            self._put(request)

    def _put(self, request: Request) -> None:
        way = self._ways[request.broker]
        link = way.link
        if link is None:
            return
        left_ms = max(1, round((request.deadline - self._world.now) * 1000))
        frame = Frame(
            request_id=request.request_id,
            frame_number=request.picture.number,
            deadline_ms=left_ms,
            session_id=self.session_id,
            term=way.term,
        )
        request.term = way.term
        picture = request.picture
        link.to_broker(lambda: way.broker.frame(link, frame, picture))

    def _expire(self, request: Request) -> None:
        if request.outcome is None:
            self._settle(request, "deadline_exceeded")

    def _pictures(self) -> list[Picture]:
        """One or two videos, with strides and holes."""
        random = self._world.random
        pictures = []
        videos = random.choice((1, 1, 1, 2))
        # A broker that hung may still have frames of the first: docs/reliability.md, "Not kept".
        for video in range(videos if len(self._world.brokers) == 1 else 1):
            stride = random.choice((1, 1, 1, 2, 5))
            count = random.randint(*self._lengths)
            numbers = [n * stride for n in range(count) if not n or random.random() >= self.holes]
            for number in numbers:
                digest = (self.index << 4 | video) << VIDEO_SHIFT | number
                size_bytes = 300 if number % 3 == 2 else 50
                pictures.append(Picture(self.session_id, video, number, digest, size_bytes))
        if random.random() < 0.15:
            self._world.promises.poison.add(random.choice(pictures).digest)
        return pictures
