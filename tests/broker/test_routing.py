"""What the routing core decides, case by case; time is an argument."""

import msgspec
import pytest

from broker.choice import Undecided
from broker.streams import Placed
from tests.broker.core import SETTINGS, Bench, numbers
from wire.errors import ThumbnailWanted
from wire.messages import Failure, Forget, Goodbye, Heartbeat, LoadFailed, Options, Source, WhoAreYou


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
    (first,) = bench.work()
    bench.wait(1.0)
    assert bench.work() == []  # with its first frame's answer, the client may send what is missing
    bench.answer(first)
    bench.wait(0.24)
    assert bench.work() == []
    bench.wait(0.02)
    assert numbers(bench.work()) == [2]


def test_a_pool_whose_first_frames_are_slow_keeps_its_order(bench):
    bench.worker()
    for number in (6, 0, 2, 7, 1):
        bench.frame(number)
    handed = bench.work()
    bench.wait(0.3)
    assert numbers(handed) == [0, 1, 2]
    for work, number in zip(handed, (5, 3, 4), strict=True):
        bench.answer(work)
        bench.wait(0.1)
        bench.frame(number)
    assert numbers(bench.work()) == [3, 4, 5, 6]


def test_a_late_frame_goes_out_at_once(bench):
    bench.worker()
    bench.frame(0)
    bench.answer(*bench.work())
    bench.frame(2)
    bench.wait(0.3)
    bench.frame(1)
    assert numbers(bench.work()) == [2, 1]


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


def test_a_stranger_that_says_goodbye_may_go(bench):
    bench.routing.goodbye(b"w0", now=bench.now)
    bench.collect()
    assert bench.sent(Goodbye)
    assert not bench.sent(WhoAreYou)


def test_a_drained_worker_gets_nothing_new(bench):
    bench.worker(b"w0")
    bench.routing.goodbye(b"w0", now=bench.now)
    bench.frame(0)
    assert bench.work() == []


# ------------------------------------------------------------------- lost workers


def test_a_lost_workers_frames_go_first_and_in_order(bench):
    bench.worker(b"w0", worker_credits=3)
    for number in range(5):
        bench.frame(number)
    old = bench.work()
    bench.worker(b"w1")
    bench.lose()
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
    bench.lose()
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
                bench.lose()
                bench.worker()
                break
            bench.answer(work)
    assert sorted(map(str, bench.outcomes())) == ["0", "2", "3", "poison_frame"]
    assert bench.routing.counters["workers_lost"] == 2


def test_a_frame_is_not_blamed_for_workers_that_ended_before_it_got_to_them(bench):
    workers = [b"w0", b"w1", b"w2"]
    for worker in workers:
        bench.worker(worker)
    bench.frame(0)
    for worker in workers:  # none of what is decided meanwhile is sent
        bench.routing.worker_unroutable(worker, now=bench.now)
    bench.collect()
    bench.worker(b"w3")
    bench.answer(bench.work(b"w3")[0], b"w3")
    assert bench.outcomes() == [0]


@pytest.mark.parametrize(
    ("losses", "outcome"),
    [
        (["dies", "dies"], "poison_frame"),
        (["falls silent", "falls silent"], 0),
        (["falls silent", "dies"], 0),
        (["dies", "falls silent"], 0),
        (["falls silent", "falls silent", "falls silent"], "poison_frame"),
        (["falls silent", "dies", "falls silent"], "poison_frame"),
    ],
    ids=lambda value: " then ".join(value) if isinstance(value, list) else str(value),
)
def test_a_worker_that_dies_blames_its_frame_more_than_one_that_falls_silent(bench, losses, outcome):
    bench.frame(0)
    for loss in losses:
        bench.worker()
        if loss == "dies":
            bench.lose()
        else:
            bench.pass_time(SETTINGS.worker_silence_s + 0.5)
    bench.worker()
    for work in bench.work()[len(losses) :]:
        bench.answer(work)
    assert bench.outcomes() == [outcome]


def test_when_a_connection_closes_all_are_spoken_to_at_once_and_again(bench):
    bench.worker(b"w0")
    bench.worker(b"w1")
    bench.to_workers.clear()
    bench.routing.connection_closed(now=bench.now)
    bench.collect()
    assert sorted(bench.workers()) == [b"w0", b"w1"]
    bench.pass_time(0.25)
    assert bench.workers().count(b"w0") == 4
    bench.to_workers.clear()
    bench.pass_time(0.5)
    assert bench.workers() == []


def test_the_time_in_which_the_broker_stood_still_is_nobodys_silence(bench):
    bench.worker()
    bench.now = 1000.0
    bench.routing.tick(now=bench.now)
    bench.collect()
    assert bench.routing.counters["workers_lost"] == 0
    bench.pass_time(SETTINGS.worker_silence_s + 0.5)
    assert bench.routing.counters["workers_lost"] == 1


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


def test_a_request_that_is_sent_again_is_one_fold_and_answered_over_both_connections(bench):
    bench.worker()
    request = bench.frame(0, client=b"old")
    bench.frame(0, client=b"new", request_id=request.request_id)
    bench.answer(*bench.work())
    assert [action.client for action in bench.to_clients] == [b"old", b"new"]


def test_a_request_id_that_is_taken_is_refused(bench):
    request = bench.frame(0)
    bench.frame(1, request_id=request.request_id)
    assert bench.outcomes() == ["protocol_error"]


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
    bench.play(before[1:])
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


def bounds(**more):
    """For each bound of three: the sessions of four frames, the last of which goes past it."""
    cases = {"max_queue_frames": 3, "max_queue_bytes": 350, "max_session_frames": 3, **more}
    return [
        pytest.param({name: bound}, list("aaaa" if name == "max_session_frames" else "abcd"), id=name)
        for name, bound in cases.items()
    ]


@pytest.mark.parametrize(("bound", "sessions"), bounds(max_sessions=3))
def test_past_a_bound_it_is_busy_until_there_is_room(bound, sessions):
    bench = Bench(**bound)
    bench.open_the_lobby()
    check_bound(bench, sessions)


@pytest.mark.parametrize(("bound", "sessions"), bounds())
def test_the_bounds_hold_while_models_load(bound, sessions):
    check_bound(Bench(**bound), sessions)


def check_bound(bench, sessions):
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
    bench.play([0], "old")
    bench.play([0], "recent")
    bench.play([1], "old")
    bench.frame(0, "new")
    assert [forget.session_id for forget in bench.sent(Forget)] == ["recent"]


def test_an_idle_session_is_forgotten_by_its_owner_too(bench):
    bench.worker()
    bench.play([0])
    bench.wait(SETTINGS.session_idle_s + 1.0)
    assert [forget.session_id for forget in bench.sent(Forget)] == ["dance"]
    assert bench.status().sessions == 0


def test_a_session_without_an_owner_is_forgotten_by_whoever_can(bench):
    bench.worker(b"w0")
    bench.play([0])
    bench.lose(b"w0")
    bench.worker(b"w1")
    bench.wait(SETTINGS.session_idle_s + 1.0)
    (told,) = [action.worker for action in bench.to_workers if isinstance(action.message, Forget)]
    assert told == b"w1"


def test_a_pool_of_ten_never_meets_a_refusal(bench):
    for number in range(10):
        bench.frame(number, None)
    bench.worker(worker_credits=4)
    sent = 10
    while sent < 300:
        bench.wait(0.02)
        for work in bench.work():
            bench.answer(work)
            bench.frame(sent, None)
            sent += 1
    assert not [outcome for outcome in bench.outcomes() if isinstance(outcome, str)]


# --------------------------------------------------------- frames without a session id


class Renumbering:
    """Streams that put every frame into one session, and count by themselves."""

    def __init__(self):
        self.placed = 0
        self.forgotten = []

    def place(self, source, frame_number, **_):
        if source.thumbnail is None:
            raise ThumbnailWanted("which video?")
        self.placed += 1
        return Placed(f"stream-{frame_number}", self.placed - 1, begins=self.placed == 1)

    def answered(self, session_id, **_):
        assert session_id.startswith("stream-")

    def forget(self, session_id):
        self.forgotten.append(session_id)


PLACEABLE = Source(client="10.0.0.1", width_px=640, height_px=360, thumbnail=b"grey")


def test_a_stream_may_count_otherwise_but_its_caller_gets_his_own_number_back():
    bench = Bench(streams=Renumbering())
    bench.worker()
    for picture in (1, 2, 3):
        bench.frame(0, None, picture=picture, source=PLACEABLE)
    held = bench.work()
    assert numbers(held) == [0, 1, 2]
    assert len({work.generation for work in held}) == 1
    for work in held:
        bench.answer(work)
    assert bench.outcomes() == [0, 0, 0]


def test_what_tells_videos_apart_travels_with_a_frame_only_if_its_caller_named_none(bench):
    bench.worker()
    bench.frame(0, None, source=PLACEABLE)
    bench.frame(0, "named", source=PLACEABLE)
    assert [work.source for work in bench.work()] == [PLACEABLE, None]


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "loading"])
def test_a_frame_that_could_belong_to_several_videos_is_sent_back_for_a_thumbnail(loaded):
    bench = Bench(streams=Renumbering())
    if loaded:
        bench.open_the_lobby()
    request = bench.frame(0, None, source=Source())
    bench.worker()
    assert bench.outcomes() == ["thumbnail_wanted"]
    bench.frame(0, None, source=PLACEABLE, request_id=request.request_id)
    assert numbers(bench.work()) == [0]
    counters = bench.routing.counters
    assert (counters["accepted"], counters["thumbnails_wanted"]) == (1, 1)


def test_a_stream_that_finds_no_room_has_not_begun():
    streams = Renumbering()
    bench = Bench(streams=streams, max_sessions=1)
    bench.open_the_lobby()
    bench.frame(0, "named")
    bench.frame(0, None, source=PLACEABLE)
    assert bench.outcomes() == ["busy"]
    assert streams.forgotten == ["stream-0"]


class Hesitating(Renumbering):
    """Streams that place frames from a time on."""

    def __init__(self, *, until):
        super().__init__()
        self.until = until
        self.dropped = []

    def __len__(self):
        return 0

    def place(self, source, frame_number, *, now, **rest):
        if now < self.until:
            raise Undecided(self.until)
        return super().place(source, frame_number, now=now, **rest)

    def drop(self, _source, frame_number, **_):
        self.dropped.append(frame_number)


def test_a_frame_of_an_unclear_video_waits_until_it_is_clear_and_lower_numbers_go_first():
    bench = Bench(streams=Hesitating(until=0.1))
    bench.worker()
    for number in (3, 1, 2):
        bench.frame(number, None, source=PLACEABLE)
    assert bench.work() == []
    assert bench.status().queued_frames == 3
    bench.wait(3.0)  # each of these streams waits for its missing 0
    assert [work.session_id for work in bench.work()] == ["stream-1", "stream-2", "stream-3"]
    assert bench.status().queued_frames == 0


def test_a_frame_whose_deadline_passes_while_its_video_is_unclear_expires():
    streams = Hesitating(until=60.0)
    bench = Bench(streams=streams)
    bench.worker()
    bench.frame(1, None, source=PLACEABLE, deadline_s=5.0)
    bench.wait(6.0)
    assert bench.outcomes() == ["deadline_exceeded"]
    assert streams.dropped == [1]
    bench.wait(60.0)
    assert bench.work() == []


def test_a_frame_of_an_unclear_video_is_failed_when_no_worker_can_load():
    streams = Hesitating(until=60.0)
    bench = Bench(streams=streams)
    bench.open_the_lobby()
    bench.frame(1, None, source=PLACEABLE)
    bench.routing.load_failed(LoadFailed(name="w1", reason="no file"))
    bench.collect()
    assert bench.outcomes() == ["model_not_loaded"]
    assert streams.dropped == [1]


def test_two_unnamed_videos_at_a_time_are_two_sessions(bench):
    bench.worker(worker_credits=64)
    for number in range(4):
        for video in (b"\x40", b"\xc0"):
            grey = bytes(number) + video * (576 - number)
            source = Source(client="10.0.0.1", width_px=640, height_px=360, thumbnail=grey)
            bench.frame(number, None, source=source, picture=(number, video))
    bench.wait(1.0)
    sessions = {}
    for work in bench.work():
        sessions.setdefault(work.session_id, []).append(work.frame_number)
    assert sessions == {"stream-0": [0, 1, 2, 3], "stream-1": [0, 1, 2, 3]}


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
    bench.lose()
    bench.frame(0)
    assert bench.outcomes() == []
    bench.worker()
    assert numbers(bench.work()) == [0]


def test_of_several_frames_that_a_former_owner_gives_back_only_the_first_takes_the_session_from_it(bench):
    bench.worker(b"w0")
    bench.worker(b"w1")
    bench.frame(0)
    bench.frame(1)
    given = bench.work(b"w0")
    for work in given:
        failure = Failure(request_id=work.request_id, code="internal", message="", epoch=work.epoch)
        told = msgspec.structs.replace(failure, superseded_by=10**6)
        bench.routing.answer(b"w0", told, [], now=bench.now)
        bench.collect()
    again = bench.work(b"w1")
    assert numbers(again) == [0, 1]
    assert len({work.epoch for work in again}) == 1
    assert again[0].epoch > 10**6
    assert bench.status().counters["sessions_moved"] == 1
