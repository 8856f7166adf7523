"""A broker that sees a session for the first time, where another may have served it before."""

import msgspec
import pytest

from tests.broker.core import Bench, numbers
from wire.messages import Failure, HeldSession, Recall, Recalled, SeenFrame


@pytest.fixture
def bench():
    bench = Bench(
        brokers="ipc://a,ipc://b", worker_brokers="ipc://c,ipc://d", broker_number=0, store_url="redis://e"
    )
    bench.worker()
    return bench


def tell(bench, *frame_numbers, epoch=9):
    """The worker says which frames of the session are in the store."""
    assert [question.session_id for question in bench.sent(Recall)] == ["dance"]
    bench.to_workers.clear()
    frames = [SeenFrame(number, number) for number in frame_numbers]
    held = [HeldSession(session_id="dance", generation=7, epoch=epoch, frames=frames)] if frames else []
    bench.routing.recalled(b"w0", Recalled(session_id="dance", sessions=held), now=bench.now)
    bench.collect()


def give_back(bench, work, *, epoch):
    """The worker finds that another broker's owner has the session."""
    failure = Failure(request_id=work.request_id, code="internal", message="", epoch=work.epoch)
    bench.routing.answer(b"w0", msgspec.structs.replace(failure, superseded_by=epoch), [], now=bench.now)
    bench.collect()


def test_nothing_is_placed_before_a_worker_has_told_and_then_none_before_an_earlier_one(bench):
    for number in (12, 10, 13):
        bench.frame(number)
    assert bench.work() == []
    tell(bench, *range(13))
    assert numbers(bench.work()) == [10, 12, 13]


def test_of_what_it_had_placed_before_it_refuses_what_is_too_old_to_have_its_answer_kept(bench):
    bench.frame(100)
    tell(bench)
    bench.wait(0.3)
    (work,) = bench.work()
    give_back(bench, work, epoch=50)
    tell(bench, 0, *range(105, 105 + 5 * 16, 5), epoch=50)
    assert bench.outcomes() == ["internal"]


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(range(20, 20 + 5 * 16, 5), id="its answer is kept, whatever the step"),
        pytest.param(range(25, 50, 5), id="all answers are kept, and its is not among them"),
    ],
)
def test_and_gives_the_rest_to_a_worker_again(bench, kept):
    bench.frame(20)
    tell(bench)
    bench.wait(0.3)
    (work,) = bench.work()
    give_back(bench, work, epoch=50)
    tell(bench, *kept, epoch=50)
    assert numbers(bench.work()) == [20]
