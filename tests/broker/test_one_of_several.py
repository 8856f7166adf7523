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


def terms(bench):
    """Under which requests are to be sent again; their clients were told since the last time."""
    told = [action.message.term for action in bench.to_clients]
    bench.to_clients.clear()
    return told


def sent_again(bench, request, *, term):
    bench.frame(request.frame_number, request_id=request.request_id, term=term)


def test_what_came_before_another_broker_was_seen_to_have_had_the_session_is_sent_back(bench):
    first, second = bench.frame(20, term=0), bench.frame(25, term=0)
    tell(bench, *range(30))
    assert bench.work() == []
    (term, same) = terms(bench)
    assert term == same

    late = bench.frame(10, term=0)  # unread until now
    assert terms(bench) == [term]
    assert bench.sent(Recall) == []

    sent_again(bench, first, term=term)
    sent_again(bench, second, term=term)
    tell(bench, *range(30))
    bench.frame(30, term=term)
    assert numbers(bench.work()) == [20, 25, 30]
    sent_again(bench, late, term=0)
    assert terms(bench) == [term]


def test_it_is_sent_back_once_more_where_the_other_broker_went_on_meanwhile(bench):
    request = bench.frame(20, term=0)
    tell(bench, *range(30))
    (term,) = terms(bench)
    sent_again(bench, request, term=term)
    tell(bench, *range(31))
    (later,) = terms(bench)
    assert later > term
    sent_again(bench, request, term=later)
    tell(bench, *range(31))
    assert numbers(bench.work()) == [20]


def test_other_sessions_and_clients_of_one_broker_go_on(bench):
    bench.frame(20, term=0)
    tell(bench, *range(30))
    terms(bench)
    bench.frame(21)
    tell(bench, *range(30))
    bench.frame(0, "walk", term=0)
    bench.routing.recalled(b"w0", Recalled(session_id="walk", sessions=[]), now=bench.now)
    bench.collect()
    assert {work.session_id for work in bench.work()} == {"dance", "walk"}
    assert bench.outcomes() == []


def test_what_a_worker_was_given_before_is_waited_for_no_more(bench):
    requests = [bench.frame(number, term=0) for number in range(3)]
    tell(bench)
    first, *others = bench.work()
    give_back(bench, first, epoch=50)
    tell(bench, *range(40), epoch=50)
    (term, *_) = terms(bench)

    for request in requests:
        sent_again(bench, request, term=term)
    tell(bench, *range(40), epoch=50)
    anew = bench.work()
    assert len({work.request_id for work in (*others, *anew)}) == 4  # all that the worker holds
    for work in others:
        give_back(bench, work, epoch=50)
    anew += bench.work()
    assert numbers(anew) == [0, 1, 2]
    for work in anew:
        bench.answer(work)
    assert bench.outcomes() == [0, 1, 2]


def test_who_speaks_of_no_term_is_given_to_a_worker_again(bench):
    bench.frame(20)
    tell(bench)
    bench.wait(0.3)
    (work,) = bench.work()
    give_back(bench, work, epoch=50)
    tell(bench, *range(20, 20 + 5 * 16, 5), epoch=50)
    assert numbers(bench.work()) == [20]
