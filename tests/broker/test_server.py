"""The broker process keeps the protocol, spoken to in frames written by hand."""

import os
import random
import signal

import msgpack
import pytest

from tests.broker.running import (
    Peer,
    frame,
    ready,
    result_for,
    running_broker,
    status_of,
    wait_for_status,
)


@pytest.fixture
def broker(tmp_path):
    """One that gives up nobody: the peers here say nothing while their tests are busy."""
    with running_broker(tmp_path, heartbeat_s=0.2, worker_silence_s=300) as broker:
        yield broker


@pytest.fixture
def client(broker):
    with Peer(broker.frames) as client:
        yield client


@pytest.fixture
def worker(broker):
    with Peer(broker.workers) as worker:
        worker.send(ready())
        worker.receive_a("heartbeat")
        yield worker


def answer(worker, *payload):
    """Let the worker answer the next frame; what it was asked."""
    work, image = worker.receive_a("work")
    worker.send(result_for(work), *payload)
    return work, image


def test_a_frame_goes_to_a_worker_and_its_result_to_the_client(client, worker):
    asked = frame(0) | {"timestamp_ms": 40.0, "options": {"visualize": True}, "from_the_future": 1}
    client.send(asked, b"a picture")
    work, image = answer(worker, b"first array", b"second array")

    assert image == [b"a picture"]
    assert work["session_id"] == "dance"
    assert work["frame_number"] == 0
    assert work["generation"] < work["epoch"]
    assert not work["continues"]
    assert work["source"] is None
    assert work["options"] == {
        "visualize": True,
        "full_people": False,
        "meshes": True,
        "joined": False,
        "boxes": None,
        "target": None,
    }
    assert work["timestamp_ms"] == 40.0
    assert 0 < work["deadline_ms"] <= 60_000

    result, payload = client.receive_a("result")
    assert payload == [b"first array", b"second array"]
    assert result["request_id"] == asked["request_id"]
    assert result["epoch"] == work["epoch"]
    assert result["stages_ms"] == {"observe": 1.5}


def test_a_large_picture_passes_unchanged(client, worker):
    picture = random.Random(0).randbytes(3_000_000)
    client.send(frame(0), picture)
    _, image = answer(worker, picture)
    assert image == [picture]
    assert client.receive_a("result")[1] == [picture]


def test_a_failure_reaches_the_client_by_name(client, worker):
    client.send(frame(0), b"no picture")
    work, _ = worker.receive_a("work")
    failure = {"type": "failure", "v": 1, "code": "invalid_image", "message": "not a picture"}
    worker.send(failure | {"request_id": work["request_id"], "epoch": work["epoch"]})
    answered, _ = client.receive_a("failure")
    assert answered["code"] == "invalid_image"
    assert answered["message"] == "not a picture"


def test_requests_wait_while_no_worker_is_ready(broker, client):
    client.send(frame(0), b"a picture")
    wait_for_status(client, queued_frames=1, queued_bytes=9)
    with Peer(broker.workers) as worker:
        worker.send(ready())
        answer(worker)
        client.receive_a("result")


def test_a_worker_that_cannot_load_is_reported_until_one_can(broker, client):
    client.send(frame(0), b"a picture")
    with Peer(broker.workers) as worker:
        worker.send({"type": "load_failed", "v": 1, "name": "w0", "reason": "no such file: body.npz"})
        failure, _ = client.receive_a("failure")
        assert failure["code"] == "model_not_loaded"
        assert "body.npz" in failure["message"]
        assert "body.npz" in status_of(client)["load_error"]
    with Peer(broker.workers) as worker:
        worker.send(ready())
        wait_for_status(client, load_error=None)
        client.send(frame(0), b"a picture")
        answer(worker)
        client.receive_a("result")


def test_a_stranger_is_asked_who_it_is(broker):
    with Peer(broker.workers) as worker:
        worker.send({"type": "heartbeat", "v": 1})
        assert worker.receive()[0]["type"] == "who_are_you"


def test_a_silent_worker_is_given_up_and_its_late_result_dropped(tmp_path):
    with (
        running_broker(tmp_path, heartbeat_s=0.2, worker_silence_s=4.0) as broker,
        Peer(broker.frames) as client,
        Peer(broker.workers) as first,
        Peer(broker.workers) as second,
    ):
        first.send(ready("first"))
        first.receive_a("heartbeat")
        client.send(frame(0), b"a picture")
        late, _ = first.receive_a("work")

        wait_for_status(client, workers_lost=1)
        second.send(ready("second"))
        work, image = second.receive_a("work")
        assert (work["frame_number"], image) == (0, [b"a picture"])
        assert work["epoch"] > late["epoch"]

        first.send(result_for(late))
        assert first.receive_a("who_are_you")
        second.send(result_for(work))
        result, _ = client.receive_a("result")
        assert result["epoch"] == work["epoch"]
        assert status_of(client)["counters"]["stale_results"] == 1


def test_the_frame_of_a_worker_that_vanished_goes_to_another(broker, client):
    with Peer(broker.workers) as first:
        first.send(ready("first"))
        first.receive_a("heartbeat")
        client.send(frame(0), b"a picture")
        first.receive_a("work")
    with Peer(broker.workers) as second:
        second.send(ready("second"))
        work, image = second.receive_a("work")
        assert (work["frame_number"], image) == (0, [b"a picture"])


def test_a_goodbye_is_confirmed_and_the_session_moves(broker, client, worker):
    client.send(frame(0), b"zero")
    client.send(frame(1), b"one")
    held = [worker.receive_a("work")[0], worker.receive_a("work")[0]]
    worker.send({"type": "goodbye", "v": 1})
    worker.receive_a("goodbye")
    client.send(frame(2), b"two")
    with Peer(broker.workers) as heir:
        heir.send(ready("heir"))
        heir.receive_a("heartbeat")
        for work in held:
            worker.send(result_for(work))
        assert heir.receive_a("work")[0]["frame_number"] == 2


def test_a_repeat_is_answered_together_with_the_first(client, worker):
    first, again = frame(0), frame(0)
    client.send(first, b"a picture")
    work, _ = worker.receive_a("work")
    client.send(again, b"a picture")
    wait_for_status(client, duplicates=1)
    worker.send(result_for(work))
    answered = {client.receive_a("result")[0]["request_id"] for _ in range(2)}
    assert answered == {first["request_id"], again["request_id"]}


def test_a_deadline_passes(client):
    client.send(frame(0, deadline_ms=50), b"a picture")
    assert client.receive_a("failure")[0]["code"] == "deadline_exceeded"


def test_past_its_bounds_it_is_busy_and_says_when_to_come_back(tmp_path):
    with running_broker(tmp_path, max_queue_frames=2) as broker, Peer(broker.frames) as client:
        for number in range(3):
            client.send(frame(number), b"a picture")
        busy, _ = client.receive_a("failure")
        assert busy["code"] == "busy"
        assert busy["retry_after_s"] > 0


def test_a_queue_of_one_frame_leaves_no_status_request_without_an_answer(tmp_path):
    with running_broker(tmp_path, max_queue_frames=1) as broker, Peer(broker.frames) as client:
        for _ in range(10):
            assert status_of(client)["limits"]["max_queue_frames"] == 1


def test_frames_without_a_session_get_one_that_cannot_be_guessed(client, worker):
    for number in range(2):
        client.send(
            frame(number, session=None) | {"source": {"client": "10.0.0.1", "thumbnail": b""}}, b"%d" % number
        )
    first, second = answer(worker)[0], answer(worker)[0]
    assert first["session_id"] == second["session_id"]
    assert len(first["session_id"]) > 32


PICTURE = b"a picture"


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param([b""], "protocol_error", id="empty header"),
        pytest.param([b"\xc1"], "protocol_error", id="not MessagePack"),
        pytest.param([b"\x91" * 5000], "protocol_error", id="nested without end"),
        pytest.param([msgpack.packb({"type": "work"})], "protocol_error", id="not for clients"),
        pytest.param([msgpack.packb(frame(0) | {"v": 2}), PICTURE], "protocol_error", id="other version"),
        pytest.param([msgpack.packb(frame(0))], "protocol_error", id="no payload"),
        pytest.param([msgpack.packb(frame(0)), PICTURE, PICTURE], "protocol_error", id="two payloads"),
        pytest.param([msgpack.packb(frame(0)), b""], "no_image", id="empty payload"),
        pytest.param([msgpack.packb(frame(-1)), PICTURE], "protocol_error", id="negative number"),
        pytest.param(
            [msgpack.packb(frame(0) | {"request_id": b"short"}), PICTURE], "protocol_error", id="short id"
        ),
    ],
)
def test_what_it_cannot_read_is_refused_by_name(client, frames, code):
    client.send_raw(*frames)
    assert client.receive_a("failure")[0]["code"] == code


def test_a_refusal_carries_the_request_id_where_it_can_be_read(client):
    asked = frame(0) | {"v": 2}
    client.send(asked, PICTURE)
    assert client.receive_a("failure")[0]["request_id"] == asked["request_id"]


def test_garbage_on_both_sockets_leaves_it_serving(broker, client, worker):
    chance = random.Random(7)
    template = msgpack.packb(frame(0))
    with Peer(broker.frames) as bad_client, Peer(broker.workers) as bad_worker:
        for _ in range(500):
            mutated = bytearray(template)
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
            parts = [chance.randbytes(chance.randrange(50)) for _ in range(chance.randrange(4))]
            bad_client.send_raw(chance.choice((bytes(mutated), chance.randbytes(20))), *parts)
            bad_worker.send_raw(chance.choice((bytes(mutated), chance.randbytes(20))), *parts)
    asked = frame(0, session="good")
    client.send(asked, PICTURE)
    while True:  # a mutated frame may have been a good one
        work, _ = answer(worker)
        if work["session_id"] == "good":
            break
    assert client.receive_a("result")[0]["request_id"] == asked["request_id"]


def test_a_client_that_vanished_costs_nothing(broker, client, worker):
    # Whether the broker has noticed the closed connection when the answer comes is a race: try until it has.
    for number in range(100):
        with Peer(broker.frames) as vanishing:
            vanishing.send(frame(number, session="gone"), PICTURE)
            work, _ = worker.receive_a("work")
        worker.send(result_for(work))
        if status_of(client)["counters"]["undelivered"]:
            break
    else:
        pytest.fail("the broker never noticed that its client was gone")

    client.send(frame(0), PICTURE)
    answer(worker)
    client.receive_a("result")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(broker, client, number):
    status_of(client)
    code, output = broker.stop(number)
    assert code == os.EX_OK
    assert output.rstrip().endswith("stopped")


def test_a_second_broker_does_not_steal_the_endpoint(broker, client):
    status_of(client)
    with running_broker(broker.directory) as second:
        code, output = second.ended()
    assert code == os.EX_TEMPFAIL
    assert "another broker serves" in output
    status_of(client)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"frames_endpoint": "tcp://0.0.0.0:5999"}, "unencrypted"),
        ({"workers_endpoint": "tcp://*:5999"}, "unencrypted"),
        ({"workers_endpoint": "udp://127.0.0.1:5999"}, "only ipc and tcp"),
        ({"workers_endpoint": "5999"}, "not a ZeroMQ endpoint"),
        ({"max_queue_farmes": 3}, "POSE_MAX_QUEUE_FARMES"),
        ({"heartbeat_s": "fast"}, "POSE_HEARTBEAT_S"),
    ],
)
def test_bad_settings_stop_it_at_the_start_with_the_reason(tmp_path, settings, reason):
    with running_broker(tmp_path, **settings) as broker:
        code, output = broker.ended()
    assert code == os.EX_CONFIG
    assert reason in output


def test_it_logs_workers_but_not_frames(broker, client, worker):
    client.send(frame(0), PICTURE)
    answer(worker)
    client.receive_a("result")
    worker.send({"type": "goodbye", "v": 1})
    worker.receive_a("goodbye")
    _, output = broker.stop()
    assert "worker w0 ready" in output
    assert "worker w0 drains" in output
    assert len(output.splitlines()) == 4
