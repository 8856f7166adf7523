"""The connection keeps many requests in flight, keeps their deadlines, and outlives the broker."""

import signal
import threading
import time

import pytest

from tests.broker.running import PATIENCE_S, Peer, ready, result_for, running_broker
from tests.wire.hand_broker import MAX_FRAME_BYTES, HandBroker, frame
from wire.connection import Connection
from wire.errors import Busy, DeadlineExceeded, ImageTooLarge, Internal, InvalidImage, ProtocolError


def test_a_request_is_written_as_the_protocol_says(broker, connection):
    asked = frame(7)
    future = connection.submit(asked, b"a picture")
    client, header, payload = broker.receive()
    assert payload == [b"a picture"]
    assert header["type"] == "frame"
    assert header["v"] == 1
    assert header["request_id"] == asked.request_id
    assert header["frame_number"] == 7
    assert header["session_id"] == "dance"
    assert header["options"] == {
        "visualize": True,
        "full_people": False,
        "meshes": True,
        "joined": False,
        "boxes": None,
        "target": None,
    }
    assert 59_000 < header["deadline_ms"] <= 60_000

    broker.answer(client, header, b"joints", b"png")
    result, frames = future.result(PATIENCE_S)
    assert result.frame_number == 7
    assert [bytes(frame) for frame in frames] == [b"joints", b"png"]


def test_answers_find_their_requests_in_any_order(broker, connection):
    futures = [connection.submit(frame(number), bytes([number])) for number in range(20)]
    requests = [broker.receive() for _ in futures]
    for client, header, _ in reversed(requests):
        broker.answer(client, header)
    assert [future.result(PATIENCE_S).result.frame_number for future in futures] == list(range(20))


def test_many_threads_share_it(broker, connection):
    answered = []

    def send(number):
        answered.append(connection.submit(frame(number), b"x" * 100_000).result(PATIENCE_S))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for _ in threads:
        broker.answer(*broker.receive()[:2])
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(answer.result.frame_number for answer in answered) == list(range(16))


@pytest.mark.parametrize(
    ("code", "kind"), [("busy", Busy), ("invalid_image", InvalidImage), ("new", Internal)]
)
def test_failures_are_raised_by_name(broker, connection, code, kind):
    future = connection.submit(frame(), b"a picture")
    client, header, _ = broker.receive()
    failure = {"type": "failure", "v": 1, "code": code, "message": "because", "retry_after_s": 2.5}
    broker.send(client, failure | {"request_id": header["request_id"]})
    with pytest.raises(kind, match="because") as raised:
        future.result(PATIENCE_S)
    assert raised.value.retry_after_s == 2.5


def test_a_deadline_passes_without_a_broker(connection):
    with pytest.raises(DeadlineExceeded):
        connection.submit(frame(deadline_ms=50), b"a picture").result(PATIENCE_S)


def test_a_deadline_passes_while_a_broker_says_nothing(broker, connection):
    future = connection.submit(frame(deadline_ms=50), b"a picture")
    with pytest.raises(DeadlineExceeded):
        future.result(PATIENCE_S)
    client, header, _ = broker.receive()
    broker.answer(client, header)  # too late, and of no harm
    again = connection.submit(frame(1), b"a picture")
    broker.answer(*broker.receive()[:2])
    assert again.result(PATIENCE_S).result.frame_number == 1


def test_what_is_submitted_before_the_broker_starts_is_sent_when_it_does(endpoint, connection):
    future = connection.submit(frame(3), b"a picture")
    broker = HandBroker(endpoint)
    client, header, payload = broker.receive()
    assert payload == [b"a picture"]
    broker.answer(client, header)
    assert future.result(PATIENCE_S).result.frame_number == 3
    broker.close()


def test_what_is_in_flight_is_sent_again_to_a_new_broker_under_its_old_id(endpoint, connection):
    asked = frame(3)
    first = HandBroker(endpoint)
    future = connection.submit(asked, b"a picture")
    first.receive()
    first.close()

    second = HandBroker(endpoint)
    client, header, payload = second.receive()
    assert header["request_id"] == asked.request_id
    assert payload == [b"a picture"]
    second.answer(client, header)
    assert future.result(PATIENCE_S).result.frame_number == 3
    second.close()


def test_requests_in_flight_survive_the_real_brokers_death(tmp_path):
    with (
        running_broker(tmp_path, heartbeat_s=0.2) as broker,
        Peer(broker.workers) as worker,
        Connection(broker.frames, max_frame_bytes=MAX_FRAME_BYTES) as connection,
    ):
        worker.send(ready())
        futures = [connection.submit(frame(number), b"a picture") for number in range(3)]
        for _ in futures:
            worker.receive_a("work")
        broker.stop(signal.SIGKILL)
        broker.start()
        # What the first broker handed out is answered to the second: it does not know it.
        worker.send({"type": "heartbeat", "v": 1})
        worker.receive_a("who_are_you")
        worker.send(ready())
        for _ in futures:
            worker.send(result_for(worker.receive_a("work")[0]))
        numbers = [future.result(PATIENCE_S).result.frame_number for future in futures]
        assert numbers == [0, 1, 2]


def test_the_status_of_a_real_broker(tmp_path):
    with (
        running_broker(tmp_path) as broker,
        Connection(broker.frames, max_frame_bytes=MAX_FRAME_BYTES) as connection,
    ):
        status = connection.status(PATIENCE_S)
        assert status.workers == []
        assert status.counters["accepted"] == 0
        assert status.limits["max_sessions"] > 0


def test_a_status_that_does_not_come_in_time_is_named(connection):
    with pytest.raises(DeadlineExceeded):
        connection.status(0.05)


def test_a_picture_over_the_limit_is_refused_before_it_costs_the_connection(connection):
    with pytest.raises(ImageTooLarge):
        connection.submit(frame(), bytes(MAX_FRAME_BYTES + 1)).result(PATIENCE_S)


def test_an_id_in_flight_is_not_taken_twice(connection):
    asked = frame()
    connection.submit(asked, b"a picture")
    with pytest.raises(ProtocolError):
        connection.submit(asked, b"a picture").result(PATIENCE_S)


def test_unreadable_answers_do_no_harm(broker, connection):
    future = connection.submit(frame(5), b"a picture")
    client, header, _ = broker.receive()
    broker.send(client, {"type": "nonsense"})
    broker.send(client, [])
    broker.answer(client, header)
    assert future.result(PATIENCE_S).result.frame_number == 5


def test_closing_fails_what_has_no_answer(broker, connection):
    future = connection.submit(frame(), b"a picture")
    broker.receive()
    connection.close()
    with pytest.raises(Internal, match="closed"):
        future.result(PATIENCE_S)
    with pytest.raises(Internal, match="closed"):
        connection.submit(frame(), b"a picture")


def test_closing_waits_for_answers_as_long_as_it_may(broker, connection):
    future = connection.submit(frame(4), b"a picture")
    client, header, _ = broker.receive()
    closing = threading.Thread(target=connection.close, kwargs={"linger_s": PATIENCE_S})
    closing.start()
    broker.answer(client, header)
    assert future.result(PATIENCE_S).result.frame_number == 4
    began = time.monotonic()
    closing.join(PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S / 2  # it ends with the last answer


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.1:5555", "tcp://example.org:5555"])
def test_it_does_not_leave_the_loopback(endpoint):
    with pytest.raises(ValueError, match="unencrypted"):
        Connection(endpoint, max_frame_bytes=MAX_FRAME_BYTES)
