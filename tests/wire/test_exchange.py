"""A thread with sockets of its own has many requests in flight, whether brokers come or go meanwhile."""

import threading
import time
from contextlib import closing

import pytest

from tests.broker.running import PATIENCE_S
from tests.wire.hand_broker import MAX_FRAME_BYTES, HandBroker, frame
from wire.connection import Connection
from wire.errors import DeadlineExceeded, ImageTooLarge, Internal, ProtocolError
from wire.rendezvous import key_of, ranked

PICTURE = b"a picture"


@pytest.fixture
def exchange(connection):
    with connection.exchange() as exchange:
        yield exchange


def submit(exchange, asked, *, within_s=PATIENCE_S):
    exchange.submit(asked, (PICTURE,), ends_at=time.monotonic() + within_s)


def settled(exchange, count=1):
    """What became of so many requests."""
    until, came = time.monotonic() + PATIENCE_S, []
    while len(came) < count and time.monotonic() < until:
        came += exchange.turn(0.05)
    assert len(came) == count
    return came


def sent_until(exchange, broker):
    """The next request that reaches the broker, while the exchange turns."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert exchange.turn(0.01) == []
        if broker.has_request():
            return broker.receive_any()
    raise AssertionError("nothing came")


def test_answers_settle_their_requests_in_any_order(broker, exchange):
    asked = [frame(number) for number in range(20)]
    for one in asked:
        submit(exchange, one)
    requests = [sent_until(exchange, broker) for _ in asked]
    for client, header, payload in reversed(requests):
        assert payload == [PICTURE]
        broker.answer(client, header, b"joints")

    came = settled(exchange, 20)

    assert [request_id for request_id, _ in came] == [one.request_id for one in reversed(asked)]
    assert {outcome.result.frame_number for _, outcome in came} == set(range(20))


def test_a_request_on_a_new_connection_is_sent_once(broker, connection):
    for _ in range(10):
        with connection.exchange() as exchange:
            for number in range(2):
                submit(exchange, frame(number))
                client, header, _ = sent_until(exchange, broker)
                assert header["frame_number"] == number
                broker.answer(client, header)
                settled(exchange)


def test_what_is_in_flight_is_sent_again_to_a_new_broker_under_its_old_id(endpoint, exchange):
    asked = [frame(number) for number in range(3)]
    with closing(HandBroker(endpoint)) as first:
        for one in asked:
            submit(exchange, one)
        for _ in asked:
            sent_until(exchange, first)

    with closing(HandBroker(endpoint)) as second:
        for one in asked:
            client, header, _ = sent_until(exchange, second)
            assert header["request_id"] == one.request_id
            second.answer(client, header)
            ((request_id, _),) = settled(exchange)
            assert request_id == one.request_id


def test_what_a_broker_that_is_gone_did_not_answer_goes_to_the_next(tmp_path):
    endpoints = [f"ipc://{tmp_path}/{name}.ipc" for name in ("a", "b")]
    asked = frame()
    home, next_one = ranked(key_of(asked), endpoints)
    with (
        closing(HandBroker(next_one)) as next_broker,
        Connection(endpoints, max_frame_bytes=MAX_FRAME_BYTES) as connection,
        connection.exchange() as exchange,
    ):
        with closing(HandBroker(home)) as first:
            submit(exchange, asked)
            sent_until(exchange, first)
        client, header, _ = sent_until(exchange, next_broker)
        assert header["request_id"] == asked.request_id
        next_broker.answer(client, header)
        settled(exchange)


def send_back(broker, client, header, *, term):
    refusal = {"type": "failure", "v": 1, "code": "busy", "message": "again"}
    broker.send(client, {**refusal, "request_id": header["request_id"], "term": term})


def test_what_a_broker_sends_back_it_gets_again_under_the_term_that_it_told(broker, exchange):
    asked = [frame(number) for number in range(3)]
    for one in asked:
        submit(exchange, one)
    requests = [sent_until(exchange, broker) for _ in asked]
    assert [header["term"] for _, header, _ in requests] == [0, 0, 0]
    for client, header, _ in requests:
        send_back(broker, client, header, term=7)
    send_back(broker, client, header, term=7)  # a copy of the last, which came over an older connection

    again = [sent_until(exchange, broker) for _ in asked]

    assert [(header["request_id"], header["term"]) for _, header, _ in again] == [
        (one.request_id, 7) for one in asked
    ]
    for client, header, payload in again:
        assert payload == [PICTURE]
        broker.answer(client, header)
    settled(exchange, 3)
    assert not broker.has_request()
    submit(exchange, frame(3))
    _, header, _ = sent_until(exchange, broker)
    assert header["term"] == 7


def test_who_begins_beside_another_knows_the_brokers_term(broker, connection):
    future = connection.submit(frame(), PICTURE)
    client, header, _ = broker.receive()
    send_back(broker, client, header, term=7)
    while header["term"] != 7:  # the first may have come once more, as after any handshake
        client, header, _ = broker.receive_any()
    broker.answer(client, header)
    future.result(PATIENCE_S)

    with connection.exchange() as exchange:
        submit(exchange, frame(1))
        client, header, _ = sent_until(exchange, broker)
        assert header["term"] == 7
        broker.answer(client, header)
        settled(exchange)


def test_a_broker_that_is_known_to_be_away_is_not_waited_for_once_more(tmp_path):
    endpoints = [f"ipc://{tmp_path}/{name}.ipc" for name in ("a", "b")]
    home, next_one = ranked(key_of(frame()), endpoints)
    with (
        closing(HandBroker(next_one)) as next_broker,
        Connection(endpoints, max_frame_bytes=MAX_FRAME_BYTES) as connection,
    ):
        known = connection.submit(frame(), PICTURE)
        next_broker.answer(*next_broker.receive()[:2])
        known.result(PATIENCE_S)
        with connection.exchange() as exchange:
            submit(exchange, frame(1))
            with closing(HandBroker(home)) as first:
                assert sent_until(exchange, next_broker)[1]["frame_number"] == 1
                assert not first.has_request()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_request_fails_at_its_deadline_whether_or_not_a_broker_is_there(is_there, request, exchange):
    if is_there:
        request.getfixturevalue("broker")
    submit(exchange, frame(), within_s=0.05)
    ((_, outcome),) = settled(exchange)
    assert isinstance(outcome, DeadlineExceeded)


def test_an_answer_that_came_while_nobody_looked_counts_after_the_deadline(broker, exchange):
    asked = frame()
    ends_at = time.monotonic() + 1.5
    exchange.submit(asked, (PICTURE,), ends_at=ends_at)
    broker.answer(*sent_until(exchange, broker)[:2])
    while time.monotonic() < ends_at:
        time.sleep(0.01)

    ((_, outcome),) = settled(exchange)

    assert outcome.result.request_id == asked.request_id


def test_who_is_not_waited_for_any_more_settles_nothing(broker, exchange):
    given_up, waited_for = frame(0), frame(1)
    submit(exchange, given_up)
    late = sent_until(exchange, broker)[:2]
    exchange.withdraw(given_up.request_id)
    submit(exchange, waited_for)
    broker.answer(*late)
    broker.answer(*sent_until(exchange, broker)[:2])

    ((request_id, _),) = settled(exchange)

    assert request_id == waited_for.request_id


def test_an_id_in_flight_is_not_taken_twice(exchange):
    asked = frame()
    submit(exchange, asked)
    with pytest.raises(ProtocolError):
        submit(exchange, asked)


def test_a_picture_over_the_limit_is_refused_before_it_costs_the_connection(broker, exchange):
    refused, taken = frame(0), frame(1)
    exchange.submit(refused, (bytes(MAX_FRAME_BYTES + 1),), ends_at=time.monotonic() + PATIENCE_S)
    submit(exchange, taken)

    ((request_id, outcome),) = settled(exchange)
    assert request_id == refused.request_id
    assert isinstance(outcome, ImageTooLarge)

    _, header, _ = sent_until(exchange, broker)
    assert header["request_id"] == taken.request_id


def test_closing_the_connection_fails_what_another_thread_waits_for(connection):
    began, outcomes = threading.Event(), []

    def wait():
        with connection.exchange() as exchange:
            submit(exchange, frame())
            began.set()
            outcomes.extend(outcome for _, outcome in settled(exchange))

    thread = threading.Thread(target=wait)
    thread.start()
    assert began.wait(PATIENCE_S)
    connection.close()
    thread.join(PATIENCE_S)

    assert [type(outcome) for outcome in outcomes] == [Internal]
    with pytest.raises(Internal, match="closed"), connection.exchange():
        pass
