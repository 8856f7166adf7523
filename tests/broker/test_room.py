"""Which frames have the room that there is: at a bound the earlier ones of a session, whoever came first."""

import random
from itertools import count

import pytest

from tests.broker.core import Bench, numbers

BOUNDS = [
    pytest.param({bound: most}, id=bound)
    for bound, most in {"max_queue_frames": 3, "max_queue_bytes": 350, "max_session_frames": 3}.items()
]
SESSIONS = [pytest.param("dance", id="named"), pytest.param(None, id="unnamed")]


def waiting_for_a_frame(missing, session="dance", **bound):
    """A core in which the three frames after one that is missing have taken all room."""
    bench = Bench(gap_wait_s=1.0, **bound)
    bench.worker()
    for number in range(missing):
        bench.frame(number, session)
        bench.wait(0.3)
        bench.answer(*bench.work())
    for number in range(missing + 1, missing + 4):
        bench.frame(number, session)
    bench.wait(0.5)  # by then it is clear whose they are, also where they name no session
    bench.outcomes()
    return bench


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("bound", BOUNDS)
def test_the_last_frame_that_waits_gives_its_room_to_the_one_it_waits_for(bound, session):
    bench = waiting_for_a_frame(20, session, **bound)

    bench.frame(20, session)

    (refused,) = [action.message for action in bench.to_clients]
    assert refused.code == "busy"
    assert refused.retry_after_s > 0
    assert numbers(bench.work()) == [20, 21, 22]
    assert (bench.status().counters["displaced"], bench.status().counters["stepped_over"]) == (1, 0)


def test_a_large_frame_gets_the_room_of_several():
    bench = waiting_for_a_frame(1, max_queue_bytes=350)
    bench.frame(1, size_bytes=250)
    assert bench.outcomes() == ["busy", "busy"]
    assert numbers(bench.work()) == [1, 2]


def test_nobody_gives_up_room_in_vain():
    bench = waiting_for_a_frame(1, max_queue_bytes=350)
    bench.frame(1, size_bytes=351)
    assert bench.outcomes() == ["busy"]
    bench.wait(1.0)
    assert numbers(bench.work()) == [2, 3, 4]


@pytest.mark.parametrize("number", [pytest.param(0, id="late"), pytest.param(3, id="repeat"), 5])
def test_a_frame_that_nobody_waits_for_gets_nobodys_room(number):
    bench = waiting_for_a_frame(1, max_queue_frames=3)
    bench.frame(number)
    assert bench.outcomes() == ["busy"]
    assert bench.status().counters["displaced"] == 0


def test_nor_does_one_of_another_session():
    bench = waiting_for_a_frame(1, max_queue_frames=3)
    bench.frame(1, "another")
    assert bench.status().counters["displaced"] == 0


def test_what_went_out_before_is_not_given_up():
    bench = Bench(max_queue_frames=2)
    bench.worker(b"w0")
    bench.frame(1)
    bench.frame(2)
    bench.wait(0.3)
    bench.lose(b"w0")
    bench.outcomes()
    bench.frame(0)
    assert bench.outcomes() == ["busy"]


class Pool:
    """A client that has so many frames under way and sends what is refused again."""

    def __init__(self, bench, chance, session, under_way):
        self.answered = set()
        self.session = session
        self._bench, self._chance = bench, chance
        self._to_send = count()
        self._open = {}  # request id -> number
        self._again = [(0.0, next(self._to_send)) for _ in range(under_way)]  # when, number

    def take(self, message):
        """An answer, if it is ours."""
        number = self._open.pop(message.request_id, None)
        if number is None:
            return
        if getattr(message, "code", None) == "busy":
            self._send_at(message.retry_after_s * self._chance.uniform(1.0, 1.5), number)
        else:
            self.answered.add(number)
            self._send_at(self._chance.uniform(0.0, 0.03), next(self._to_send))

    def send(self):
        """What is due."""
        due = [entry for entry in self._again if entry[0] <= self._bench.now]
        self._again = [entry for entry in self._again if entry[0] > self._bench.now]
        for _, number in self._chance.sample(due, len(due)):
            sent = self._bench.frame(number, self.session)
            self._open[sent.request_id] = number

    def _send_at(self, delay_s, number):
        self._again.append((self._bench.now + delay_s, number))


@pytest.mark.parametrize("bound", BOUNDS)
def test_two_clients_with_sixteen_frames_under_way_always_go_on(bound):
    for seed in range(20):
        chance = random.Random(seed)
        bench = Bench(gap_wait_s=10.0, **bound)  # nobody waits for that
        bench.worker()
        clients = [Pool(bench, chance, session, under_way=16) for session in ("dance", "walk")]
        while any(len(client.answered) < 40 for client in clients):
            assert bench.now < 20.0, f"seed {seed}: {[len(client.answered) for client in clients]}"
            for client in clients:
                client.send()
            bench.wait(0.03)
            for work in bench.work():
                bench.answer(work)
            told = [action.message for action in bench.to_clients]
            bench.to_clients.clear()
            for client in clients:
                for message in told:
                    client.take(message)
