"""A broker that has just started learns which sessions there are before it places a frame."""

import pytest

from tests.broker.core import Bench, numbers
from wire.messages import Forget, HeldSession, LoadFailed, SeenFrame, Source

SOURCE = Source(client="10.0.0.1", width_px=640, height_px=360, thumbnail=b"")


def held(*frame_numbers, session="dance", generation=7, epoch=9, **fields):
    """A session in the store; a frame's digest is its number."""
    frames = [SeenFrame(number, number) for number in frame_numbers]
    return HeldSession(session_id=session, generation=generation, epoch=epoch, frames=frames, **fields)


@pytest.fixture
def bench():
    return Bench()


# ----------------------------------------------------------------------- the lobby


def test_nothing_is_placed_before_the_first_worker_is_ready(bench):
    bench.frame(0)
    bench.frame(1)
    status = bench.status()
    assert (status.sessions, status.queued_frames, status.queued_bytes) == (0, 2, 200)
    bench.worker()
    assert numbers(bench.work()) == [0, 1]
    status = bench.status()
    assert (status.sessions, status.queued_frames, status.in_flight) == (1, 0, 2)


def test_what_waits_is_let_in_in_order_of_arrival(bench):
    for session in "cab":
        bench.frame(0, session)
    bench.worker()
    assert [work.session_id for work in bench.work()] == ["c", "a", "b"]


def test_frames_that_overtook_each_other_before_are_put_in_order(bench):
    for number in (7, 5, 6):
        bench.frame(number)
    bench.wait(10.0)
    bench.worker(sessions=[held(0, 3, 4)])
    assert numbers(bench.work()) == [5, 6, 7]


def test_deadlines_pass_meanwhile(bench):
    bench.frame(0, "short", deadline_s=1.0)
    bench.frame(0, "long", deadline_s=60.0)
    bench.wait(1.1)
    assert bench.outcomes() == ["deadline_exceeded"]
    assert bench.status().queued_bytes == 100
    bench.worker()
    (work,) = bench.work()
    assert work.session_id == "long"
    assert 58_000 < work.deadline_ms < 59_000
    assert bench.routing.counters["accepted"] == 2


def test_a_request_that_is_sent_again_meanwhile_is_one_fold_and_answered_over_both_connections(bench):
    request = bench.frame(0, client=b"old")
    bench.frame(0, client=b"new", request_id=request.request_id)
    bench.worker()
    bench.answer(*bench.work())
    assert [action.client for action in bench.to_clients] == [b"old", b"new"]


def test_two_requests_for_one_frame_are_still_one_fold(bench):
    bench.frame(0)
    bench.frame(0)
    bench.worker()
    bench.answer(*bench.work())
    assert bench.outcomes() == [0, 0]
    assert bench.status().queued_bytes == 0


def test_a_worker_that_cannot_load_fails_them_by_name_and_the_next_may_still_tell(bench):
    bench.frame(5)
    bench.routing.load_failed(LoadFailed(name="w0", reason="no file"))
    bench.collect()
    assert bench.outcomes() == ["model_not_loaded"]
    assert bench.status().queued_frames == 0
    bench.worker(sessions=[held(5)])
    bench.frame(6)
    (work,) = bench.work()
    assert work.continues


# -------------------------------------------------------------------------- recall


def test_a_recalled_session_goes_on_in_its_video_under_a_new_epoch(bench):
    bench.worker(sessions=[held(0, 1, 2, generation=1_000, epoch=2_000)])
    bench.frame(3)
    (work,) = bench.work()
    assert work.generation == 1_000
    assert work.epoch > 2_000
    assert work.continues
    assert bench.routing.counters["sessions_recalled"] == 1


def test_a_session_that_the_store_does_not_know_begins(bench):
    bench.worker(sessions=[held(0, 1, 2, generation=1_000, epoch=2_000)])
    bench.frame(0, "another")
    (work,) = bench.work()
    assert not work.continues
    assert work.generation > 2_000


def test_frames_that_were_folded_before_go_to_the_worker_which_knows_them(bench):
    for number in (4, 5, 6):
        bench.frame(number)
    bench.worker(sessions=[held(3, 4, 5)])
    assert numbers(bench.work()) == [4, 5, 6]


def test_a_recalled_session_waits_for_a_missing_frame(bench):
    bench.worker(sessions=[held(3, 4, 5)])
    bench.frame(7)
    assert bench.work() == []
    bench.frame(6)
    assert numbers(bench.work()) == [6, 7]


def test_the_step_of_its_numbers_is_recalled(bench):
    bench.worker(sessions=[held(0, 5, 10, 15, 20)])
    bench.frame(25)
    assert numbers(bench.work()) == [25]


def test_few_numbers_do_not_tell_a_step_from_a_hole(bench):
    bench.worker(sessions=[held(0, 2)])
    bench.frame(4)
    assert not bench.work()
    bench.frame(3)
    assert numbers(bench.work()) == [3, 4]


@pytest.mark.parametrize(
    ("frames", "picture", "same"),
    [
        pytest.param((0, 1, 2), 0, True, id="repeat"),
        pytest.param((0, 1, 2), 77, False, id="another picture"),
        pytest.param((0, *range(50, 66)), 0, False, id="second showing"),
        pytest.param((50, 51), 0, False, id="of which nothing is known"),
    ],
)
def test_frame_0_of_a_recalled_session_may_begin_another_video(bench, frames, picture, same):
    bench.worker(sessions=[held(*frames, generation=7)])
    bench.frame(0, picture=picture)
    (work,) = bench.work()
    assert (work.generation == 7) == same
    assert work.continues == same


def test_a_recalled_stream_goes_on(bench):
    bench.worker(sessions=[held(0, 1, 2, session="stream", source=SOURCE)])
    bench.frame(3, None, source=SOURCE)
    (work,) = bench.work()
    assert work.session_id == "stream"


def test_a_stream_that_was_quiet_for_too_long_is_not_gone_on_with(bench):
    bench.worker(sessions=[held(0, 1, 2, session="stream", source=SOURCE, quiet_s=31.0)])
    bench.frame(3, None, source=SOURCE)
    bench.wait(1.5)
    (work,) = bench.work()
    assert work.session_id != "stream"


def test_the_quiet_time_of_a_recalled_session_goes_on(bench):
    bench.worker(sessions=[held(0, session="old", quiet_s=290.0), held(0, session="young", quiet_s=5.0)])
    bench.wait(15.0)
    assert [forget.session_id for forget in bench.sent(Forget)] == ["old"]


def test_only_the_first_workers_sessions_count(bench):
    bench.worker(b"w0", sessions=[held(0, 1, 2, generation=7)])
    bench.frame(0, picture=77)
    (new_video,) = bench.work()
    bench.worker(b"w1", sessions=[held(0, 1, 2, generation=7), held(5, session="another")])
    bench.answer(new_video)
    bench.frame(1)
    (work,) = bench.work()
    assert work.generation == new_video.generation
    assert bench.status().sessions == 1


def test_of_too_many_sessions_the_last_used_are_recalled():
    bench = Bench(max_sessions=2)
    stored = [held(0, session=name, epoch=epoch) for name, epoch in (("b", 2), ("a", 3), ("c", 1))]
    bench.worker(sessions=stored)
    assert bench.status().sessions == 2
    for name in "ab":
        bench.frame(1, name)
    assert [(work.session_id, work.continues) for work in bench.work()] == [("a", True), ("b", True)]
    bench.frame(0, "c")
    assert bench.outcomes() == ["busy"]


def test_receipts_go_on(bench):
    bench.worker(sessions=[held(3, 4, 5, skipped=3, expired=1)])
    bench.frame(8)
    bench.wait(0.3)
    (work,) = bench.work()
    assert (work.skipped, work.expired) == (5, 1)
