"""What the routing core decides, case by case; time is an argument."""

import os
from itertools import count

import msgspec
import pytest

from broker.outbox import ToClient, ToWorker
from broker.routing import Routing
from broker.streams import Streams
from tests.broker.simulation import ready, result_for
from wire.messages import (
    Failure,
    Forget,
    Frame,
    Goodbye,
    Heartbeat,
    LoadFailed,
    Options,
    Result,
    StatusRequest,
    WhoAreYou,
    Work,
)
from wire.settings import Settings

SETTINGS = Settings(runtime_dir="/nonexistent")


class Bench:
    """The core with a clock in hand, and what it sent."""

    def __init__(self, **settings):
        ids = count()
        self.now = 0.0
        self.to_clients = []
        self.to_workers = []
        self.routing = Routing(
            msgspec.structs.replace(SETTINGS, **settings),
            streams=Streams(new_session_id=lambda: f"stream-{next(ids)}", pause_s=30.0),
            first_serial=1,
            now=0.0,
        )

    def collect(self):
        for action in self.routing.take_actions():
            match action:
                case ToClient():
                    self.to_clients.append(action)
                case ToWorker():
                    self.to_workers.append(action)

    def wait(self, seconds):
        """Let time pass, with workers that stay alive."""
        self.pass_time(seconds, alive=True)

    def pass_time(self, seconds, *, alive=False):
        """Let time pass, with workers that are silent or not."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, max(self.now, self.routing.wake_at()))
            self.routing.tick(now=self.now)
            for address in self.workers() if alive else ():
                self.routing.heartbeat(address, now=self.now)
            self.collect()

    def workers(self):
        return [action.worker for action in self.to_workers if isinstance(action.message, Heartbeat)]

    def worker(self, address=b"w0", *, worker_credits=4):
        self.routing.ready(address, ready(address.decode(), worker_credits=worker_credits), now=self.now)
        self.collect()

    def open_the_lobby(self):
        """A worker came and left again: frames are placed, and wait for another."""
        self.worker(b"left")
        self.routing.goodbye(b"left", now=self.now)
        self.routing.worker_unroutable(b"left", now=self.now)
        self.collect()
        self.to_workers.clear()

    def frame(
        self,
        number,
        session="dance",
        *,
        picture=None,
        client=b"c",
        deadline_s=60.0,
        request_id=None,
        **fields,
    ):
        request = Frame(
            request_id=request_id or os.urandom(16),
            frame_number=number,
            deadline_ms=int(deadline_s * 1000),
            session_id=session,
            **fields,
        )
        digest = number if picture is None else picture
        self.routing.frame(client, request, [b"jpeg"], payload_bytes=100, digest=digest, now=self.now)
        self.collect()
        return request

    def work(self, worker=None):
        """The frames that were handed out, and forget about them."""
        handed = [
            action.message
            for action in self.to_workers
            if isinstance(action.message, Work) and worker in (None, action.worker)
        ]
        self.to_workers = [a for a in self.to_workers if a.message not in handed]
        return handed

    def answer(self, work, worker=b"w0"):
        self.routing.answer(worker, result_for(work), [b"arrays"], now=self.now)
        self.collect()

    def outcomes(self):
        """What clients were told since the last time: codes, or numbers of results."""
        told = [action.message for action in self.to_clients]
        self.to_clients.clear()
        return [
            m.frame_number if isinstance(m, Result) else m.code
            for m in told
            if isinstance(m, Result | Failure)
        ]

    def sent(self, kind):
        return [action.message for action in self.to_workers if isinstance(action.message, kind)]


def numbers(work):
    return [item.frame_number for item in work]


@pytest.fixture
def bench():
    return Bench()


# ----------------------------------------------------------------- order and credits


def test_a_worker_gets_no_more_than_its_credits(bench):
    bench.worker(worker_credits=2)
    for number in range(5):
        bench.frame(number)
    held = bench.work()
    assert numbers(held) == [0, 1]
    bench.answer(held[0])
    assert numbers(bench.work()) == [2]


def test_frames_go_out_in_frame_order(bench):
    for number in (3, 1, 0, 2):
        bench.frame(number)
    bench.worker()
    assert numbers(bench.work()) == [0, 1, 2, 3]


def test_a_missing_frame_is_waited_for_no_longer_than_it_may(bench):
    bench.worker()
    bench.frame(0)
    bench.frame(2)
    assert numbers(bench.work()) == [0]
    bench.wait(0.24)
    assert bench.work() == []
    bench.wait(0.02)
    assert numbers(bench.work()) == [2]


def test_a_late_frame_goes_out_at_once(bench):
    bench.worker()
    bench.frame(0)
    bench.frame(2)
    bench.wait(0.3)
    bench.frame(1)
    assert numbers(bench.work()) == [0, 2, 1]


def test_sessions_take_turns(bench):
    bench.worker(worker_credits=1)
    for number in range(3):
        bench.frame(number, "greedy")
    bench.frame(0, "modest")
    order = []
    for _ in range(4):
        (work,) = bench.work()
        order.append(work.session_id)
        bench.answer(work)
    assert order == ["greedy", "greedy", "modest", "greedy"]


# ----------------------------------------------------------------------- ownership


def test_a_session_stays_with_its_worker(bench):
    bench.worker(b"w0")
    bench.worker(b"w1")
    bench.frame(0)
    (first,) = bench.work()
    bench.answer(first)
    for number in range(1, 5):
        bench.frame(number)
        (work,) = bench.work(b"w0")
        assert work.epoch == first.epoch
        bench.answer(work)


def test_sessions_spread_over_workers(bench):
    bench.worker(b"w0")
    bench.worker(b"w1")
    for index in range(6):
        bench.frame(0, f"s{index}")
    assert len(bench.work(b"w0")) == len(bench.work(b"w1")) == 3


def test_sessions_that_waited_for_workers_do_not_all_go_to_the_first(bench):
    for index in range(8):
        bench.frame(0, f"s{index}")
    bench.worker(b"w0", worker_credits=4)
    bench.worker(b"w1", worker_credits=4)
    assert len(bench.work(b"w0")) == len(bench.work(b"w1")) == 4


def test_a_drained_workers_session_moves_with_its_last_answer(bench):
    bench.worker(b"w0")
    bench.frame(0)
    bench.frame(1)
    held = bench.work()
    bench.worker(b"w1")
    bench.routing.goodbye(b"w0", now=bench.now)
    bench.frame(2)
    assert bench.sent(Goodbye)
    bench.answer(held[0])
    assert bench.work() == []
    bench.answer(held[1])
    (moved,) = bench.work(b"w1")
    assert moved.frame_number == 2
    assert moved.epoch > held[0].epoch


def test_a_drained_worker_gets_nothing_new(bench):
    bench.worker(b"w0")
    bench.routing.goodbye(b"w0", now=bench.now)
    bench.frame(0)
    assert bench.work() == []


# ------------------------------------------------------------------- lost workers


def lose(bench, address=b"w0"):
    bench.routing.worker_unroutable(address, now=bench.now)
    bench.collect()


def test_a_lost_workers_frames_go_first_and_in_order(bench):
    bench.worker(b"w0", worker_credits=3)
    for number in range(5):
        bench.frame(number)
    old = bench.work()
    bench.worker(b"w1")
    lose(bench)
    handed = []
    for _ in range(3):  # alone, each: one of them may be to blame
        (work,) = bench.work(b"w1")
        handed.append(work)
        bench.answer(work, b"w1")
    assert numbers(handed) == [0, 1, 2]
    assert {work.epoch for work in handed} == {handed[0].epoch}
    assert handed[0].epoch > old[0].epoch
    assert numbers(bench.work(b"w1")) == [3, 4]


def test_a_late_result_of_a_former_owner_is_dropped(bench):
    bench.worker(b"w0")
    bench.frame(0)
    (old,) = bench.work()
    lose(bench)
    bench.worker(b"w0")  # it only was slow, and comes back
    (new,) = bench.work()
    bench.answer(old)
    assert bench.outcomes() == []
    assert bench.routing.counters["stale_results"] == 1
    bench.answer(new)
    assert bench.outcomes() == [0]


def test_a_frame_that_ends_two_workers_is_stepped_over_and_the_innocent_are_not(bench):
    bench.worker()
    for number in range(4):
        bench.frame(number)
    deadly = 1
    for _ in range(10):
        for work in bench.work():
            if work.frame_number == deadly:
                lose(bench)
                bench.worker()
                break
            bench.answer(work)
    assert sorted(map(str, bench.outcomes())) == ["0", "2", "3", "poison_frame"]
    assert bench.routing.counters["workers_lost"] == 2


def test_a_silent_worker_is_given_up_and_asked_who_it_is_when_it_speaks(bench):
    bench.worker()
    bench.pass_time(SETTINGS.worker_silence_s + 0.5)
    assert bench.routing.counters["workers_lost"] == 1
    bench.routing.heartbeat(b"w0", now=bench.now)
    bench.collect()
    assert bench.sent(WhoAreYou)


def test_a_worker_hears_from_us_while_nothing_happens(bench):
    bench.worker()
    bench.to_workers.clear()
    for _ in range(40):
        bench.now += 0.1
        bench.routing.heartbeat(b"w0", now=bench.now)
        bench.routing.tick(now=bench.now)
    bench.collect()
    assert 3 <= len(bench.sent(Heartbeat)) <= 4


def test_a_worker_that_says_ready_again_keeps_what_it_holds(bench):
    bench.worker()
    bench.frame(0)
    (work,) = bench.work()
    bench.worker()
    bench.answer(work)
    assert bench.outcomes() == [0]


# --------------------------------------------------------------------- deadlines


def test_a_frame_that_expires_in_the_queue_is_never_folded(bench):
    bench.open_the_lobby()
    bench.frame(0, deadline_s=1.0)
    bench.frame(1, deadline_s=60.0)
    bench.wait(1.1)
    assert bench.outcomes() == ["deadline_exceeded"]
    bench.worker()
    assert numbers(bench.work()) == [1]


def test_a_fold_is_not_cut_short_but_its_late_result_is_dropped(bench):
    bench.worker(worker_credits=1)
    bench.frame(0, deadline_s=1.0)
    bench.frame(1)
    (work,) = bench.work()
    bench.wait(1.1)
    assert bench.outcomes() == ["deadline_exceeded"]
    assert bench.work() == []  # it holds its credit until it has answered
    bench.answer(work)
    assert bench.outcomes() == []
    assert numbers(bench.work()) == [1]


# ----------------------------------------------------------------------- repeats


def test_a_repeat_is_folded_once_and_answered_to_both(bench):
    bench.worker()
    bench.frame(0, client=b"one")
    bench.frame(0, client=b"two")
    (work,) = bench.work()
    bench.answer(work)
    assert {action.client for action in bench.to_clients} == {b"one", b"two"}
    assert len({action.message.request_id for action in bench.to_clients}) == 2


@pytest.mark.parametrize(
    "difference", [{"picture": 99}, {"options": Options(visualize=True)}], ids=["picture", "options"]
)
def test_the_same_number_with_another_wish_is_no_repeat(bench, difference):
    bench.worker()
    bench.frame(0)
    bench.frame(1)
    bench.frame(1, **difference)
    assert numbers(bench.work()) == [0, 1, 1]


def test_a_request_that_is_sent_again_is_answered_once_over_the_newer_connection(bench):
    bench.worker()
    request = bench.frame(0, client=b"old")
    bench.frame(0, client=b"new", request_id=request.request_id)
    bench.answer(*bench.work())
    assert [action.client for action in bench.to_clients] == [b"new"]


def test_a_request_id_that_is_taken_is_refused(bench):
    request = bench.frame(0)
    bench.frame(1, request_id=request.request_id)
    assert bench.outcomes() == ["protocol_error"]


def played(bench, numbers_, session="dance"):
    for number in numbers_:
        bench.frame(number, session)
        bench.wait(0.3)
        for work in bench.work():
            bench.answer(work)
    bench.outcomes()


@pytest.mark.parametrize(
    ("before", "frame_0_picture", "generation"),
    [
        pytest.param([0, 1, 2], 0, "same", id="repeat"),
        pytest.param([0, 1, 2], 77, "new", id="another picture"),
        pytest.param(range(60), 0, "new", id="second showing"),
        pytest.param([5, 6, 7], 0, "new", id="first 0 of a video that began later"),
    ],
)
def test_frame_0_may_begin_a_new_generation(bench, before, frame_0_picture, generation):
    bench.worker()
    bench.frame(before[0])
    bench.wait(0.3)
    (first,) = bench.work()
    bench.answer(first)
    played(bench, before[1:])
    bench.frame(0, picture=frame_0_picture)
    (work,) = bench.work()
    assert (work.generation > first.generation) == (generation == "new")
    assert work.continues == (generation == "same")


def test_no_two_videos_have_the_same_generation_nor_two_ownerships_the_same_epoch(bench):
    bench.worker(b"w0")
    works = []
    for name in ("a", "b"):
        for picture in range(3):
            bench.frame(0, name, picture=picture)
            (work,) = bench.work()
            works.append(work)
            bench.answer(work, b"w0")
    generations = [work.generation for work in works]
    assert sorted(set(generations)) == generations
    assert not set(generations) & {work.epoch for work in works}


def test_a_0_that_was_overtaken_is_no_new_generation(bench):
    bench.worker()
    bench.frame(1)
    bench.wait(0.3)
    bench.frame(0)
    one, zero = bench.work()
    assert (one.frame_number, zero.frame_number) == (1, 0)
    assert one.generation == zero.generation


# ------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("bound", "sessions"),
    [
        ({"max_queue_frames": 3}, ["a", "b", "c", "d"]),
        ({"max_queue_bytes": 350}, ["a", "b", "c", "d"]),
        ({"max_sessions": 3}, ["a", "b", "c", "d"]),
        ({"max_session_frames": 3}, ["a", "a", "a", "a"]),
    ],
    ids=lambda value: next(iter(value)),
)
@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "loading"])
def test_past_a_bound_it_is_busy_until_there_is_room(bound, sessions, loaded):
    bench = Bench(**bound)
    if loaded:
        bench.open_the_lobby()
    elif "max_sessions" in bound:
        pytest.skip("sessions are counted when it is known which there are")
    for number, session in enumerate(sessions):
        bench.frame(number, session)
    (refusal,) = bench.to_clients
    assert refusal.message.code == "busy"
    assert refusal.message.retry_after_s > 0
    bench.outcomes()
    bench.worker()
    bench.wait(0.3)
    for work in bench.work():
        bench.answer(work)
    bench.outcomes()
    bench.frame(9, sessions[-1])
    assert bench.outcomes() == []


def test_the_quietest_session_makes_room_for_a_new_one():
    bench = Bench(max_sessions=2)
    bench.worker()
    played(bench, [0], "old")
    played(bench, [0], "recent")
    played(bench, [1], "old")
    bench.frame(0, "new")
    assert [forget.session_id for forget in bench.sent(Forget)] == ["recent"]


def test_an_idle_session_is_forgotten_by_its_owner_too(bench):
    bench.worker()
    played(bench, [0])
    bench.wait(SETTINGS.session_idle_s + 1.0)
    assert [forget.session_id for forget in bench.sent(Forget)] == ["dance"]
    bench.routing.status(b"c", StatusRequest(request_id=bytes(16)), now=bench.now)
    bench.collect()
    assert bench.to_clients[-1].message.sessions == 0


# ------------------------------------------------------------------------ loading


def test_a_worker_that_cannot_load_fails_what_waits_unless_another_serves(bench):
    bench.frame(0, "waits")
    bench.routing.load_failed(LoadFailed(name="w1", reason="no file"))
    bench.frame(0, "comes later")
    bench.collect()
    assert bench.outcomes() == ["model_not_loaded"] * 2
    bench.worker()
    bench.routing.load_failed(LoadFailed(name="w1", reason="no file"))
    bench.frame(0, "is served")
    assert bench.outcomes() == []
    assert len(bench.work()) == 1


def test_requests_wait_while_the_only_worker_that_could_load_is_restarted(bench):
    bench.worker()
    bench.routing.load_failed(LoadFailed(name="w1", reason="no file"))
    lose(bench)
    bench.frame(0)
    assert bench.outcomes() == []
    bench.worker()
    assert numbers(bench.work()) == [0]
