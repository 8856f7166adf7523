"""Whoever asks over a line of its own is answered, whether the broker comes or goes meanwhile."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.broker.running import PATIENCE_S, Peer, ready, result_for, running_broker
from tests.wire.hand_broker import MAX_FRAME_BYTES, HandBroker, frame
from wire.errors import Busy, DeadlineExceeded, ImageTooLarge, Internal, InvalidImage
from wire.line import Lines

PICTURE = b"a picture"


@pytest.fixture
def lines(endpoint):
    lines = Lines(endpoint, max_frame_bytes=MAX_FRAME_BYTES)
    yield lines
    lines.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as pool:
        yield pool


def test_a_request_is_written_as_the_protocol_says(broker, lines, pool):
    asked = frame(7)
    future = pool.submit(lines.ask, asked, PICTURE)
    client, header, payload = broker.receive()
    assert payload == [PICTURE]
    assert header["type"] == "frame"
    assert header["request_id"] == asked.request_id
    assert header["frame_number"] == 7
    assert 59_000 < header["deadline_ms"] <= 60_000

    broker.answer(client, header, b"joints", b"png")
    result, parts = future.result(PATIENCE_S)
    assert result.frame_number == 7
    assert [bytes(part) for part in parts] == [b"joints", b"png"]


def test_one_request_after_the_other_takes_one_connection(broker, lines, pool):
    clients = set()
    for number in range(5):
        future = pool.submit(lines.ask, frame(number), PICTURE)
        client, header, _ = broker.receive()
        clients.add(client)
        broker.answer(client, header)
        assert future.result(PATIENCE_S).result.frame_number == number
    assert len(clients) == 1


def test_a_request_on_a_new_connection_is_sent_once(broker, endpoint, pool):
    for _ in range(10):
        lines = Lines(endpoint, max_frame_bytes=MAX_FRAME_BYTES)
        for number in range(2):
            future = pool.submit(lines.ask, frame(number), PICTURE)
            client, header, _ = broker.receive_any()
            assert header["frame_number"] == number
            broker.answer(client, header)
            future.result(PATIENCE_S)
        lines.close()


def test_many_threads_ask_at_once_and_are_answered_in_any_order(broker, lines, pool):
    futures = [pool.submit(lines.ask, frame(number), b"x" * 100_000) for number in range(16)]
    requests = [broker.receive() for _ in futures]
    for client, header, _ in reversed(requests):
        broker.answer(client, header)
    assert [future.result(PATIENCE_S).result.frame_number for future in futures] == list(range(16))
    assert len({client for client, _, _ in requests}) == 16


@pytest.mark.parametrize(
    ("code", "kind"), [("busy", Busy), ("invalid_image", InvalidImage), ("new", Internal)]
)
def test_failures_are_raised_by_name(code, kind, broker, lines, pool):
    future = pool.submit(lines.ask, frame(), PICTURE)
    client, header, _ = broker.receive()
    failure = {"type": "failure", "v": 1, "code": code, "message": "because", "retry_after_s": 2.5}
    broker.send(client, failure | {"request_id": header["request_id"]})
    with pytest.raises(kind, match="because") as raised:
        future.result(PATIENCE_S)
    assert raised.value.retry_after_s == 2.5


def test_a_deadline_passes_without_a_broker(lines):
    with pytest.raises(DeadlineExceeded):
        lines.ask(frame(deadline_ms=50), PICTURE)


def test_an_answer_that_comes_too_late_is_nobody_elses(broker, lines, pool):
    with pytest.raises(DeadlineExceeded):
        lines.ask(frame(deadline_ms=100), PICTURE)
    client, header, _ = broker.receive()
    broker.answer(client, header)

    again = pool.submit(lines.ask, frame(1), PICTURE)
    same_client, header, _ = broker.receive()
    assert same_client == client
    broker.answer(client, header)
    assert again.result(PATIENCE_S).result.frame_number == 1


def test_what_is_asked_before_the_broker_starts_is_sent_when_it_does(endpoint, lines, pool):
    future = pool.submit(lines.ask, frame(3), PICTURE)
    broker = HandBroker(endpoint)
    client, header, payload = broker.receive()
    assert payload == [PICTURE]
    broker.answer(client, header)
    assert future.result(PATIENCE_S).result.frame_number == 3
    broker.close()


def test_what_waits_is_sent_again_to_a_new_broker_under_its_old_id(endpoint, lines, pool):
    asked = frame(3)
    first = HandBroker(endpoint)
    future = pool.submit(lines.ask, asked, PICTURE)
    first.receive()
    first.close()

    second = HandBroker(endpoint)
    client, header, payload = second.receive()
    assert header["request_id"] == asked.request_id
    assert payload == [PICTURE]
    second.answer(client, header)
    assert future.result(PATIENCE_S).result.frame_number == 3
    second.close()


def test_a_line_that_was_free_while_the_broker_was_restarted_goes_on(endpoint, lines, pool):
    for number in range(2):
        broker = HandBroker(endpoint)
        future = pool.submit(lines.ask, frame(number), PICTURE)
        client, header, _ = broker.receive()
        assert header["frame_number"] == number
        broker.answer(client, header)
        assert future.result(PATIENCE_S).result.frame_number == number
        broker.close()


def test_requests_survive_the_real_brokers_death(tmp_path, pool):
    with running_broker(tmp_path, heartbeat_s=0.2) as broker, Peer(broker.workers) as worker:
        lines = Lines(broker.frames, max_frame_bytes=MAX_FRAME_BYTES)
        worker.send(ready())
        future = pool.submit(lines.ask, frame(0), PICTURE)
        worker.receive_a("work")
        broker.stop(signal.SIGKILL)
        broker.start()
        worker.send({"type": "heartbeat", "v": 1})
        worker.receive_a("who_are_you")
        worker.send(ready())
        worker.send(result_for(worker.receive_a("work")[0]))
        assert future.result(PATIENCE_S).result.frame_number == 0
        lines.close()


def test_a_picture_over_the_limit_is_refused_before_it_costs_the_connection(lines):
    with pytest.raises(ImageTooLarge):
        lines.ask(frame(), bytes(MAX_FRAME_BYTES + 1))


def test_unreadable_answers_do_no_harm(broker, lines, pool):
    future = pool.submit(lines.ask, frame(5), PICTURE)
    client, header, _ = broker.receive()
    broker.send(client, {"type": "nonsense"})
    broker.send(client, [])
    broker.answer(client, header)
    assert future.result(PATIENCE_S).result.frame_number == 5


def test_closing_lets_nobody_ask_and_who_waits_is_answered(broker, lines, pool):
    future = pool.submit(lines.ask, frame(4), PICTURE)
    client, header, _ = broker.receive()
    lines.close()
    with pytest.raises(Internal, match="closed"):
        lines.ask(frame(), PICTURE)
    broker.answer(client, header)
    assert future.result(PATIENCE_S).result.frame_number == 4


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.1:5555", "tcp://example.org:5555"])
def test_it_does_not_leave_the_loopback(endpoint):
    with pytest.raises(ValueError, match="unencrypted"):
        Lines(endpoint, max_frame_bytes=MAX_FRAME_BYTES)
