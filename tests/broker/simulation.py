"""A world for the routing core: clients, workers, a store and a network under a virtual clock.

Everything random comes from one seed, so a failing history can be replayed; `World.history`
tells it. The promises are checked after each event, from the outside: by what the core sends.
"""

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec

from broker.outbox import Action, Noted, ToClient, ToWorker
from broker.routing import Routing
from broker.streams import Streams
from wire.messages import (
    Failure,
    Forget,
    Frame,
    Goodbye,
    Heartbeat,
    HeldSession,
    Ready,
    Result,
    SeenFrame,
    Status,
    StatusRequest,
    WhoAreYou,
    Work,
)
from wire.settings import Settings

SETTINGS = Settings(
    max_queue_frames=30,
    max_queue_bytes=3_000,
    max_sessions=6,
    max_session_frames=12,
    heartbeat_s=1.0,
    worker_silence_s=5.0,
    session_idle_s=60.0,
    gap_wait_s=0.25,
    runtime_dir="/nonexistent",
)

#: Frames of which the store tells a broker that has just started.
KEPT_FRAMES = 16

#: The counters of which each accepted request ends in one.
ENDS = ("answered", "failed", "expired", "poisoned", "not_loaded")


def result_for(work: Work) -> Result:
    """The answer of a worker that saw nobody."""
    return Result(
        request_id=work.request_id,
        session_id=work.session_id,
        epoch=work.epoch,
        frame_number=work.frame_number,
        width_px=640,
        height_px=360,
        people=[],
        primary=None,
        history="complete",
        num_persons_detected=0,
        num_tracks=0,
        observer="none",
        tracker="none",
        model_version="none",
        stages_ms={},
        arrays=[],
    )


def ready(name: str = "w", *, worker_credits: int = 4, sessions: Sequence[HeldSession] = ()) -> Ready:
    """The message of a worker that can serve."""
    return Ready(
        name=name,
        credits=worker_credits,
        device="cpu",
        models={"body": "loaded"},
        observer="none",
        sessions=list(sessions),
    )


@dataclass
class Client:
    """Sends the frames of one video, so many at a time; `numbers` is the order it sends them in."""

    name: bytes
    session_id: str
    numbers: list[int]
    concurrency: int
    deadline_ms: int
    open: int = 0
    sent: int = 0


@dataclass
class Request:
    """One request as the outside sees it."""

    client: Client
    frame: Frame
    sent_at: float
    outcomes: list[str] = field(default_factory=list)


def _size(frame: Frame) -> int:
    """Bytes of its picture: some are large."""
    return 50 if frame.frame_number % 3 else 300


class SimulatedWorker:
    """Holds frames, answers them in order, beats, and fails as it is told."""

    def __init__(self, world: "World", address: bytes) -> None:
        self.world = world
        self.address = address
        self.credits = world.random.randint(1, 4)
        self.held: list[Work] = []
        self.state = "up"  # up, hung, draining, gone
        self.confirmed = False  # the broker confirmed our goodbye

    def turn(self) -> None:
        """One turn of its loop: answer some frames, then say it is alive."""
        random_ = self.world.random
        if self.state == "gone":
            return
        if self.state != "hung":
            for work in self.held[: random_.randint(0, self.credits)]:
                if self.world.is_poison(work):
                    self.die()
                    return
                self.held.remove(work)
                self.world.store(work)
                self.send(result_for(work))
            self.send(Heartbeat())
            if self.state == "draining" and self.confirmed and not self.held:
                self.die()
                return
        self.world.after(random_.uniform(0.02, 0.4), self.turn)

    def send(self, message: Result | Heartbeat | Ready | Goodbye) -> None:
        """To the broker, after the network's delay; what was sent before arrives before."""
        self.world.deliver(self.address, lambda: self.world.worker_says(self, message))

    def die(self) -> None:
        """End at once; a supervisor starts another in its place."""
        if self.state != "gone":
            self.state = "gone"
            self.world.after(0.002, self.world.connection_closed)
            self.world.after(self.world.random.uniform(0.1, 3.0), self.world.start_worker)

    def hang(self, for_s: float) -> None:
        """Do nothing for a while, then go on as if nothing had been."""
        if self.state == "up":
            self.state = "hung"
            self.world.after(for_s, self._wake)

    def _wake(self) -> None:
        if self.state == "hung":
            self.state = "up"

    def drain(self) -> None:
        """Ask for no more frames, answer what is held, end."""
        if self.state == "up":
            self.state = "draining"
            self.send(Goodbye())
            self.world.after(SETTINGS.worker_silence_s, self._part)

    def _part(self) -> None:
        self.confirmed = True  # nobody answered: the broker is gone

    def receive(self, message: object) -> None:
        """From the broker."""
        match message:
            case Work():
                self.held.append(message)
            case WhoAreYou() if self.state != "draining":
                self.send(self.world.ready(self))
            case Goodbye():
                self.confirmed = True


class World:
    """Runs one random history."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.calm = False  # nothing fails any more
        self.history: list[str] = []
        self.requests: dict[bytes, Request] = {}
        self.workers: dict[bytes, SimulatedWorker] = {}
        self.clients: list[Client] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        self._last_delivery: dict[bytes, float] = defaultdict(float)
        self._poison: set[tuple[str, int]] = set()
        self._stored: dict[str, HeldSession] = {}
        self._folded: set[tuple[str, int]] = set()
        self._counted: Counter[str] = Counter()  # by brokers that are gone
        self._start_broker()
        # What the promises are checked against.
        self._epoch_owner: dict[int, tuple[str, bytes]] = {}
        self._epoch_of: dict[str, int] = defaultdict(int)
        self._epoch_of_frame: dict[tuple[str, int], int] = {}  # of its last hand-out
        self._last_place: dict[int, tuple[int, int]] = {}  # epoch -> place of its last hand-out

    # ---------------------------------------------------------------- the world's events

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        """Do `event` later."""
        heapq.heappush(self._events, (self.now + delay_s, next(self._serial), event))

    def deliver(self, sender: bytes, event: Callable[[], None]) -> None:
        """Let a message arrive; one sender's messages keep their order."""
        at = max(self.now + self.random.expovariate(200), self._last_delivery[sender])
        self._last_delivery[sender] = at
        heapq.heappush(self._events, (at, next(self._serial), event))

    def is_poison(self, work: Work) -> bool:
        """Whether folding this frame ends the worker."""
        return (work.session_id, work.frame_number) in self._poison

    def start_worker(self) -> None:
        """A worker process starts and finds the broker."""
        worker = SimulatedWorker(self, f"worker-{len(self.workers)}".encode())
        self.workers[worker.address] = worker
        worker.send(self.ready(worker))
        self.after(0.1, worker.turn)

    def ready(self, worker: SimulatedWorker) -> Ready:
        """What a worker says when it can serve."""
        return ready(
            worker.address.decode(), worker_credits=worker.credits, sessions=list(self._stored.values())
        )

    def store(self, work: Work) -> None:
        """A worker folded a frame: it is kept, unless the session has another owner since."""
        stored = self._stored.get(work.session_id)
        if stored and stored.epoch > work.epoch:
            return
        self._folded.add((work.session_id, work.frame_number))
        frames = stored.frames if stored and stored.generation == work.generation else []
        if all(seen.frame_number != work.frame_number for seen in frames):
            frames = [*frames, SeenFrame(work.frame_number, work.frame_number)]
        self._stored[work.session_id] = HeldSession(
            session_id=work.session_id,
            generation=work.generation,
            epoch=work.epoch,
            frames=frames[-KEPT_FRAMES:],
            skipped=work.skipped,
            expired=work.expired,
        )

    def connection_closed(self) -> None:
        """The broker's socket tells that some worker's connection closed."""
        self.routing.connection_closed(now=self.now)

    def _start_broker(self) -> None:
        """A broker begins, with nothing but the clock; what an earlier one sent out counts no longer."""
        ids = count()
        self.routing = Routing(
            SETTINGS,
            streams=Streams(new_session_id=lambda: f"stream-{next(ids)}", pause_s=30.0),
            first_serial=1 + int(self.now * 1e6),
            now=self.now,
        )
        self._waiting: dict[str, set[int]] = defaultdict(set)  # session -> numbers that never went out
        self._went_out: dict[tuple[str, int], int] = {}  # frame -> when it went out first
        self._holds: dict[bytes, set[bytes]] = defaultdict(set)  # worker -> request ids it was given

    def _restart_broker(self) -> None:
        self.history.append(f"{self.now:.3f} the broker restarts")
        self._counted.update(self.routing.counters)
        self._start_broker()
        for client in self.clients:
            self.after(self.random.uniform(0.05, 0.5), lambda client=client: self._send_again(client))

    def _open_at_the_broker(self) -> int:
        counters = self.routing.counters
        return counters["accepted"] - sum(counters[name] for name in ENDS)

    def _send_again(self, client: Client) -> None:
        """A client has a new connection: what has no answer goes out once more, in its first order."""
        for request in [r for r in self.requests.values() if r.client is client and not r.outcomes]:
            left_s = request.sent_at + request.frame.deadline_ms / 1000 - self.now
            if left_s <= 0:
                request.outcomes.append("nobody waits")
                client.open -= 1
                continue
            frame = msgspec.structs.replace(request.frame, deadline_ms=max(1, int(left_s * 1000)))
            self.deliver(client.name, lambda frame=frame: self._frame_arrives(client, frame))
        self._send_more(client)

    def run(self, seconds: float) -> None:
        """Let clients, workers and accidents happen, then let the world heal and come to rest."""
        for _ in range(self.random.randint(1, 3)):
            self.start_worker()
        for index in range(self.random.randint(1, 8)):
            self._start_client(index)
        for _ in range(self.random.randint(0, 8)):
            self.after(self.random.uniform(0, seconds), self._accident)
        self._run_until(seconds)
        self.calm = True
        self._run_until(seconds + 120.0, until_at_rest=True)
        self._check_at_rest()

    def _run_until(self, end: float, *, until_at_rest: bool = False) -> None:
        while self.now < end and not (until_at_rest and self._at_rest()):
            tick_at = self.routing.wake_at()
            event_at = self._events[0][0] if self._events else end
            self.now = max(self.now, min(end, tick_at, event_at))
            if event_at <= self.now and self._events:
                heapq.heappop(self._events)[2]()
            else:
                self.routing.tick(now=self.now)
            self._act()
            self._check_bounds()

    def _at_rest(self) -> bool:
        return all(not client.open and client.sent == len(client.numbers) for client in self.clients)

    def _accident(self) -> None:
        up = [worker for worker in self.workers.values() if worker.state == "up"]
        if not up or self.calm:
            return
        worker = self.random.choice(up)
        kind = self.random.choice(("die", "hang", "hang", "drain", "restart the broker"))
        self.history.append(f"{self.now:.3f} {worker.address!r} {kind}")
        match kind:
            case "die":
                worker.die()
            case "hang":
                worker.hang(self.random.uniform(0.5, 15.0))
            case "drain":
                worker.drain()
            case _:
                self._restart_broker()

    # ------------------------------------------------------------------------- clients

    def _start_client(self, index: int) -> None:
        random_ = self.random
        stride = random_.choice((1, 1, 1, 2, 5))
        numbers = [n * stride for n in range(random_.randint(1, 30)) if random_.random() > 0.1]
        session_id = f"session-{index}"
        client = Client(
            name=f"client-{index}".encode(),
            session_id=session_id,
            numbers=numbers,
            concurrency=random_.choice((1, 1, 2, 4, 8)),
            deadline_ms=random_.choice((2_000, 30_000, 110_000)),
        )
        self.clients.append(client)
        if numbers and random_.random() < 0.2:
            self._poison.add((session_id, random_.choice(numbers)))
        self.after(random_.uniform(0, 5), lambda: self._send_more(client))

    def _send_more(self, client: Client) -> None:
        while client.open < client.concurrency and client.sent < len(client.numbers):
            number = client.numbers[client.sent]
            client.sent += 1
            self._send(client, number)
            if self.random.random() < 0.05:
                self._send(client, number)  # an impatient repeat

    def _send(self, client: Client, number: int) -> None:
        client.open += 1
        request_id = len(self.requests).to_bytes(16)
        frame = Frame(
            request_id=request_id,
            frame_number=number,
            deadline_ms=client.deadline_ms,
            session_id=client.session_id,
        )
        self.requests[request_id] = Request(client, frame, self.now)
        # Each request has a connection of its own here, so they overtake each other.
        self.after(self.random.expovariate(50), lambda: self._frame_arrives(client, frame))

    def _frame_arrives(self, client: Client, frame: Frame) -> None:
        if self.requests[frame.request_id].outcomes:
            return  # it was answered while it was sent again
        self.history.append(f"{self.now:.3f} {client.session_id} frame {frame.frame_number} arrives")
        session_id = client.session_id
        if not {(session_id, frame.frame_number)} & (self._went_out.keys() | self._folded):
            self._waiting[session_id].add(frame.frame_number)
        self.routing.frame(
            client.name,
            frame,
            [f"{session_id}/{frame.frame_number}"],
            payload_bytes=_size(frame),
            digest=frame.frame_number,
            now=self.now,
        )
        self._check_bytes()

    # ------------------------------------------------------------ what the core wants

    def worker_says(self, worker: SimulatedWorker, message: Result | Heartbeat | Ready | Goodbye) -> None:
        """A worker's message reaches the broker, unless its process is gone already."""
        match message:
            case Result():
                self._holds[worker.address].discard(message.request_id)
                self.routing.answer(worker.address, message, [], now=self.now)
            case Heartbeat():
                self.routing.heartbeat(worker.address, now=self.now)
            case Ready():
                self.routing.ready(worker.address, message, now=self.now)
            case Goodbye():
                self.routing.goodbye(worker.address, now=self.now)

    def _act(self) -> None:
        while actions := self.routing.take_actions():
            self._do(actions)

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case ToClient():
                    self._answer_client(action)
                case ToWorker():
                    self._to_worker(action)
                case Noted():
                    self.history.append(f"{self.now:.3f} {action.text % action.details}")

    def _answer_client(self, action: ToClient) -> None:
        request = self.requests[action.message.request_id]
        assert action.client == request.client.name
        message = action.message
        outcome = message.code if isinstance(message, Failure) else "answered"
        request.outcomes.append(outcome)
        assert len(request.outcomes) == 1, f"answered twice: {request}"
        if isinstance(message, Result):
            frame = (message.session_id, message.frame_number)
            assert frame == (request.client.session_id, request.frame.frame_number)
            assert message.epoch == self._epoch_of_frame[frame], "a former owner's result was delivered"
        late_s = self.now - request.sent_at - request.frame.deadline_ms / 1000
        assert late_s < 1.0, f"answered {late_s} s after its deadline: {request}"
        if outcome in ("busy", "deadline_exceeded", "poison_frame"):
            self._no_longer_waits(request)
        request.client.open -= 1
        self.after(self.random.uniform(0, 0.1), lambda: self._send_more(request.client))

    def _no_longer_waits(self, request: Request) -> None:
        same = [
            other
            for other in self.requests.values()
            if other.client is request.client
            and other.frame.frame_number == request.frame.frame_number
            and not other.outcomes
        ]
        if not same:
            self._waiting[request.client.session_id].discard(request.frame.frame_number)

    def _to_worker(self, action: ToWorker) -> None:
        worker = self.workers[action.worker]
        if worker.state == "gone":
            self.history.append(f"{self.now:.3f} {action.worker!r} is unroutable")
            self.routing.worker_unroutable(action.worker, now=self.now)
            return
        if isinstance(action.message, WhoAreYou):
            self._holds[action.worker].clear()  # given up: what it holds counts no longer
        if isinstance(action.message, Work):
            self._check_hand_out(action, worker)
        if not isinstance(action.message, Forget | Heartbeat):
            self.history.append(f"{self.now:.3f} to {action.worker!r}: {action.message}")
        message = action.message
        self.deliver(b"to " + action.worker, lambda: worker.receive(message))

    # ------------------------------------------------------------------------ promises

    def _check_hand_out(self, action: ToWorker, worker: SimulatedWorker) -> None:
        work = action.message
        assert isinstance(work, Work)
        frame = (work.session_id, work.frame_number)
        assert action.payload == [f"{work.session_id}/{work.frame_number}"]

        held = self._holds[worker.address]
        held.add(work.request_id)
        assert len(held) <= worker.credits, f"{worker.address!r} holds more than its credits"
        assert worker.state != "draining" or not worker.confirmed, "a frame after the confirmed goodbye"

        owner = self._epoch_owner.setdefault(work.epoch, (work.session_id, worker.address))
        assert owner == (work.session_id, worker.address), "an epoch names one session and one owner"
        assert work.epoch >= self._epoch_of[work.session_id], "a former owner was given a frame"
        self._epoch_of[work.session_id] = self._epoch_of_frame[frame] = work.epoch

        went_out_before = frame in self._went_out or frame in self._folded
        waiting = self._waiting[work.session_id]
        if not went_out_before:
            assert work.frame_number == min(waiting), f"{frame} overtook {min(waiting)}"
        waiting.discard(work.frame_number)
        place = (0, self._went_out[frame]) if frame in self._went_out else (1, 0)
        self._went_out.setdefault(frame, len(self._went_out))
        if not went_out_before or not self._is_repeat(work):
            last = self._last_place.get(work.epoch, (0, -1))
            assert place >= last, f"{frame} was handed out again after later frames"
            self._last_place[work.epoch] = place

    def _is_repeat(self, work: Work) -> bool:
        """Whether this is the second request for a frame that was answered, not a second try."""
        return any(
            request.outcomes and request.frame.frame_number == work.frame_number
            for request in self.requests.values()
            if request.client.session_id == work.session_id
        )

    def _check_bounds(self) -> None:
        assert 0 <= self._open_at_the_broker() <= SETTINGS.max_queue_frames

    def _check_bytes(self) -> None:
        """The pictures that somebody waits for, each counted once, are within the bound."""
        self.routing.status(b"operator", StatusRequest(request_id=bytes(16)), now=self.now)
        *actions, asked = self.routing.take_actions()
        assert isinstance(asked, ToClient) and isinstance(asked.message, Status)
        assert asked.message.queued_bytes <= SETTINGS.max_queue_bytes
        assert asked.message.sessions <= SETTINGS.max_sessions
        self._do(actions)

    def _check_at_rest(self) -> None:
        for request in self.requests.values():
            assert len(request.outcomes) == 1, f"never answered: {request}"
        assert self._at_rest()
        outcomes = [request.outcomes[0] for request in self.requests.values()]
        counters = self._counted + self.routing.counters
        assert counters["answered"] == outcomes.count("answered")
        assert counters["expired"] == outcomes.count("deadline_exceeded")
        assert counters["busy"] == outcomes.count("busy")
        assert counters["poisoned"] == outcomes.count("poison_frame")
        poisonous = {
            request.frame.request_id
            for request in self.requests.values()
            if (request.client.session_id, request.frame.frame_number) in self._poison
        }
        for request in self.requests.values():
            if request.frame.request_id in poisonous:
                assert request.outcomes[0] != "answered"
