"""Two real brokers with the same workers: one ends or is cut off, and every frame is answered as ever."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from tests.broker.running import PATIENCE_S, BrokerProcess, running_broker
from tests.workers.redis_server import RedisServer, redis_server
from tests.workers.test_worker_loop import counting_worker
from wire.connection import Connection
from wire.exchange import Answer
from wire.line import Lines
from wire.messages import Frame, Result, Source
from wire.rendezvous import key_of, ranked
from wire.settings import Settings, load

FRAMES = 30
IN_FLIGHT = 4
MOST_BYTES = 2**20


@dataclass
class Cluster:
    """Two brokers, two workers and their store."""

    brokers: list[BrokerProcess]
    environ: dict[str, str]
    server: RedisServer

    @property
    def settings(self) -> Settings:
        return load(self.environ)

    @property
    def endpoints(self) -> list[str]:
        return self.settings.broker_addresses()

    def home(self, session: str) -> BrokerProcess:
        """The broker that serves a session when all are there."""
        first = ranked(key_of(frame(0, session)), self.endpoints)[0]
        return next(broker for broker in self.brokers if broker.frames == first)


@contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    places = [directory / name for name in ("a", "b")]
    for place in places:
        place.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(redis_server(directory))
        together = {
            "brokers": ",".join(f"ipc://{place}/frames.ipc" for place in places),
            "worker_brokers": ",".join(f"ipc://{place}/workers.ipc" for place in places),
            "store_url": server.url,
            "gap_wait_s": 2.0,
            # Fewer than are folded while a broker is paused: by its answer alone a frame would not be known.
            "kept_answers": IN_FLIGHT + 2,
        }
        brokers = [stack.enter_context(running_broker(place, **together)) for place in places]
        for index in range(2):
            stack.enter_context(counting_worker(brokers[0].environ, index))
        cluster = Cluster(brokers, brokers[0].environ, server)
        with Connection(cluster.endpoints, max_frame_bytes=MOST_BYTES) as connection:
            deadline = time.monotonic() + PATIENCE_S
            while connection.status(PATIENCE_S).workers.__len__() < 2:
                assert time.monotonic() < deadline, "the workers never came"
        yield cluster


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path) as service:
        yield service


def frame(number: int, session: str | None, client: str = "") -> Frame:
    return Frame(
        request_id=os.urandom(16),
        frame_number=number,
        deadline_ms=int(PATIENCE_S * 1000),
        session_id=session,
        source=Source(client=client, width_px=640, height_px=360, thumbnail=b""),
    )


def picture(session: str | None, number: int) -> bytes:
    return f"picture {number} of {session}".encode()


class Stream:
    """Sends the frames of one video, some at a time."""

    def __init__(self, connection: Connection, session: str | None, client: str = "") -> None:
        self.session = session
        self.client = client
        self.results: list[Result] = []
        self._connection = connection
        self._open: list[Future[Answer]] = []
        self._sent = 0

    def send_until(self, count: int) -> None:
        """Have so many answers."""
        while len(self.results) < count:
            while len(self._open) < IN_FLIGHT and self._sent < FRAMES:
                asked = frame(self._sent, self.session, self.client)
                self._open.append(self._connection.submit(asked, picture(self.session, self._sent)))
                self._sent += 1
            self.results.append(self._open.pop(0).result(PATIENCE_S).result)


def told(results: Sequence[Result]) -> list[tuple[int, int]]:
    """Of each answer its frame, and how many had been folded: a frame folded twice or never would show."""
    return [(result.frame_number, result.num_persons_detected) for result in results]


def wait_until_it_is_done_with_what_it_held(broker: BrokerProcess) -> None:
    deadline = time.monotonic() + PATIENCE_S
    with Connection(broker.frames, max_frame_bytes=MOST_BYTES) as connection:
        while (status := connection.status(PATIENCE_S)) and (
            len(status.workers) < 2 or status.queued_frames or status.in_flight
        ):
            assert time.monotonic() < deadline, f"it still holds frames: {status}"


UNDISTURBED = [(number, number + 1) for number in range(FRAMES)]


def test_sessions_spread_and_each_broker_sees_its_own(service: Cluster) -> None:
    with Connection(service.endpoints, max_frame_bytes=MOST_BYTES) as connection:
        streams = [Stream(connection, f"session {number}") for number in range(12)]
        for stream in streams:
            stream.send_until(2)
        status = connection.status(PATIENCE_S)
    per_broker = []
    for broker in service.brokers:
        with Connection(broker.frames, max_frame_bytes=MOST_BYTES) as connection:
            per_broker.append(connection.status(PATIENCE_S).sessions)

    homes = [service.home(stream.session) for stream in streams]
    assert per_broker == [homes.count(broker) for broker in service.brokers]
    assert min(per_broker) > 0
    assert (status.sessions, len(status.workers)) == (12, 2)


def test_a_broker_is_killed_in_a_stream_and_no_frame_is_lost_or_folded_twice(service: Cluster) -> None:
    with Connection(service.endpoints, max_frame_bytes=MOST_BYTES) as connection:
        streams = [Stream(connection, f"session {number}") for number in range(4)]
        streams += [Stream(connection, None, client=f"10.0.0.{number}") for number in range(2)]
        for stream in streams:
            stream.send_until(8)
        victim = service.home("session 0")
        victim.process.kill()
        for stream in streams:
            stream.send_until(20)
        victim.ended()
        victim.start()
        for stream in streams:
            stream.send_until(FRAMES)

    for stream in streams:
        assert told(stream.results) == UNDISTURBED, stream.session or stream.client
        assert {result.history for result in stream.results} <= {"complete", "restored"}
        assert len({result.session_id for result in stream.results}) == 1


def test_a_paused_broker_is_passed_over_and_harms_nobody_when_it_goes_on(service: Cluster) -> None:
    victim = service.home("dance")
    neighbours = (f"session {number}" for number in range(99))
    walk, waltz = islice((session for session in neighbours if service.home(session) is victim), 2)
    lines = Lines(service.endpoints, max_frame_bytes=MOST_BYTES)
    walked = [lines.ask(frame(0, walk), picture(walk, 0)).result]
    with (
        Connection(service.endpoints, max_frame_bytes=MOST_BYTES) as connection,
        ThreadPoolExecutor(2) as pool,
    ):
        stream, unread = Stream(connection, "dance"), Stream(connection, waltz)
        stream.send_until(8)
        victim.process.send_signal(signal.SIGSTOP)
        asked = pool.submit(lines.ask, frame(1, walk), picture(walk, 1))
        going_on = pool.submit(unread.send_until, 16)
        stream.send_until(16)  # once the silence of its connection tells
        walked.append(asked.result(PATIENCE_S).result)
        going_on.result(PATIENCE_S)
        victim.process.send_signal(signal.SIGCONT)
        wait_until_it_is_done_with_what_it_held(victim)
        for each in (stream, unread):
            each.send_until(FRAMES)
        walked += [lines.ask(frame(number, walk), picture(walk, number)).result for number in range(2, 6)]
    lines.close()

    assert told(stream.results) == UNDISTURBED
    assert told(unread.results) == UNDISTURBED
    assert told(walked) == UNDISTURBED[:6]


def test_threads_that_wait_for_an_answer_get_it_from_the_next_broker(service: Cluster) -> None:
    lines = Lines(service.endpoints, max_frame_bytes=MOST_BYTES)
    results = []
    with ThreadPoolExecutor(1) as pool:
        for number in range(12):
            if number == 6:
                service.home("dance").process.kill()
            asked = pool.submit(lines.ask, frame(number, "dance"), picture("dance", number))
            results.append(asked.result(PATIENCE_S).result)
    lines.close()

    assert told(results) == UNDISTURBED[:12]
