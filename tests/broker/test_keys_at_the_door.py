"""Over tcp the broker speaks with those alone whose keys it allows, and nobody else understands a word."""

import os
import random
import socket
import struct
from contextlib import contextmanager

import msgpack
import pytest
import zmq

from tests.broker.relay import Relay
from tests.broker.running import (
    PATIENCE_S,
    Peer,
    frame,
    ready,
    result_for,
    running_broker,
    status_of,
    wait_for_status,
)
from tests.broker.sealed import Sealed, free_port
from tools.keys import write
from wire.links import make_key

PICTURE = b"a picture"

#: What a ZMTP greeting, which names the mechanism, and the server's half of a CURVE handshake take.
GREETING_BYTES = 64
WELCOME_BYTES = 2 + 168

FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
)


@pytest.fixture
def sealed(tmp_path):
    return Sealed(tmp_path)


@pytest.fixture
def broker(sealed, tmp_path):
    with running_broker(tmp_path, heartbeat_s=0.2, worker_silence_s=300, **sealed.settings) as broker:
        with Peer(broker.frames) as near:
            status_of(near)  # it is there: whoever connects by hand does not try again
        yield broker


@contextmanager
def serving(worker: Peer):
    with worker:
        worker.send(ready())
        worker.receive_a("heartbeat")
        yield worker


def ask(client: Peer, worker: Peer, picture: bytes = PICTURE) -> None:
    """A frame from one end to the other and back."""
    asked = frame(0, session=os.urandom(4).hex())
    client.send(asked, picture)
    work, image = worker.receive_a("work")
    assert image == [picture]
    worker.send(result_for(work), picture)
    result, payload = client.receive_a("result")
    assert (result["request_id"], payload) == (asked["request_id"], [picture])


def test_allowed_keys_come_in_beside_those_of_this_machine(sealed, broker):
    with serving(sealed.as_worker()) as far_worker, sealed.as_client() as far, Peer(broker.frames) as near:
        ask(far, far_worker)
        ask(near, far_worker)
    with serving(Peer(broker.workers)) as near_worker, sealed.as_client() as far:
        ask(far, near_worker)


@pytest.mark.parametrize("case", ["no key", "another broker's key", "a key not allowed", "a worker's key"])
def test_who_has_no_right_key_gets_nothing_and_learns_nothing(sealed, broker, case):
    stranger = zmq.curve_keypair()
    with Relay(sealed.client_port) as link:
        address = f"tcp://127.0.0.1:{link.port}"
        with {
            "no key": lambda: Peer(address),
            "another broker's key": lambda: Peer(address, own_key=sealed.client, broker_key=stranger[0]),
            "a key not allowed": lambda: sealed.as_client(stranger, port=link.port),
            "a worker's key": lambda: sealed.as_client(sealed.worker, port=link.port),
        }[case]() as peer:
            peer.send(frame(0), PICTURE)
            peer.wait_for(*FAILED)
            assert peer.nothing_came()
    connections = link.upstream.count(b"\xff\0\0\0\0\0\0\0\x01\x7f")
    assert connections >= 1
    handshake_bytes = GREETING_BYTES + (WELCOME_BYTES if "broker" not in case else 0)
    assert len(link.downstream) <= connections * handshake_bytes
    assert PICTURE not in link.upstream
    with Peer(broker.frames) as near:
        status = status_of(near)
    assert status["counters"]["accepted"] == 0
    assert bool(status["counters"]["refused_keys"]) == (case in ("a key not allowed", "a worker's key"))


def test_a_clients_key_does_not_open_the_door_of_workers(sealed, broker):
    with sealed.as_worker(sealed.client) as peer, Peer(broker.frames) as near:
        peer.send(ready())
        peer.wait_for(*FAILED)
        assert status_of(near)["workers"] == []


def test_a_revoked_client_is_turned_out_and_gets_no_answer_any_more(sealed, broker):
    with serving(Peer(broker.workers)) as worker, sealed.as_client() as revoked, Peer(broker.frames) as near:
        revoked.send(frame(0), PICTURE)
        work, _ = worker.receive_a("work")

        sealed.revoke("edge")
        revoked.wait_for(zmq.EVENT_DISCONNECTED)
        worker.send(result_for(work), b"a secret")
        wait_for_status(near, undelivered=1)
        revoked.wait_for(*FAILED)  # it tries again
        assert revoked.nothing_came()

        sealed.allow("client", "edge-2")
        ask(near, worker)


def test_a_revoked_workers_frames_go_to_others(sealed, broker):
    with serving(sealed.as_worker()) as revoked, Peer(broker.frames) as near:
        near.send(frame(0), PICTURE)
        revoked.receive_a("work")
        sealed.revoke("gpu")
        revoked.wait_for(zmq.EVENT_DISCONNECTED)
        wait_for_status(near, workers_lost=1)
        with serving(Peer(broker.workers)) as other:
            work, _ = other.receive_a("work")
            other.send(result_for(work))
            near.receive_a("result")
    assert "its key is not allowed any more" in broker.stop()[1]


def test_keys_change_without_a_pause(sealed, broker):
    with serving(Peer(broker.workers)) as worker, sealed.as_client() as old:
        ask(old, worker)
        new_key = sealed.allow("client", "edge-2027")
        with sealed.as_client(new_key) as new:
            ask(new, worker)  # as soon as the broker has read the list, which the peer tries again for
            ask(old, worker)
            sealed.revoke("edge")
            old.wait_for(zmq.EVENT_DISCONNECTED)
            ask(new, worker)


def test_the_brokers_key_changes_over_a_second_port(sealed, tmp_path):
    next_key, next_port = make_key("broker", "broker-2027"), free_port()
    next_file, _ = write(next_key, sealed.keys)
    listens = f"{sealed.settings['frames_listen']}, tcp://127.0.0.1:{next_port}?key={next_file}"
    with (
        running_broker(tmp_path, **{**sealed.settings, "frames_listen": listens}) as broker,
        serving(Peer(broker.workers)) as worker,
        sealed.as_client() as old,
        Peer(f"tcp://127.0.0.1:{next_port}", own_key=sealed.client, broker_key=next_key.public.key) as new,
    ):
        ask(old, worker)
        ask(new, worker)


def test_a_capture_shows_no_picture(sealed, broker, tmp_path):
    pattern = b"RECOGNISABLE" * 1000
    with (
        Relay(sealed.client_port) as link,
        serving(Peer(broker.workers)) as worker,
        sealed.as_client(port=link.port) as client,
    ):
        ask(client, worker, pattern)
    assert len(link.upstream) > len(pattern)
    assert pattern[:12] not in link.upstream + link.downstream

    (tmp_path / "clear").mkdir()
    port = free_port()
    with (
        running_broker(tmp_path / "clear", frames_endpoint=f"tcp://127.0.0.1:{port}") as clear,
        Relay(port) as link,
        serving(Peer(clear.workers)) as worker,
        Peer(f"tcp://127.0.0.1:{link.port}") as client,
    ):
        ask(client, worker, pattern)
    assert pattern in link.upstream
    assert pattern in link.downstream


def test_the_largest_picture_passes_encrypted(sealed, tmp_path):
    with running_broker(tmp_path, max_body_bytes=100_000, **sealed.settings):
        with serving(sealed.as_worker()) as worker, sealed.as_client() as client:
            ask(client, worker, random.Random(0).randbytes(100_000))
        with sealed.as_client() as client:
            client.send(frame(0), bytes(100_001))
            client.wait_for(zmq.EVENT_DISCONNECTED)


@pytest.mark.usefixtures("broker")
def test_who_says_nothing_is_hung_up_on(sealed):
    for port in (sealed.client_port, sealed.worker_port):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as silent:
            while silent.recv(1024):  # the greeting, and then the end
                pass


@pytest.mark.usefixtures("broker")
def test_ten_thousand_malformed_messages_at_each_door_leave_it_serving(sealed):
    chance = random.Random(3)
    template = msgpack.packb(frame(0))
    with sealed.as_client() as bad_client, sealed.as_worker() as bad_worker:
        for _ in range(10_000):
            mutated = bytearray(template)
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
            parts = [chance.randbytes(chance.randrange(30)) for _ in range(chance.randrange(3))]
            header = chance.choice((bytes(mutated), chance.randbytes(20)))
            bad_client.send_raw(header, *parts)
            bad_worker.send_raw(header, *parts)
        bad_client.send({"type": "status", "v": 1, "request_id": b"last" * 4})
        while bad_client.receive()[0].get("request_id") != b"last" * 4:
            pass
    with serving(sealed.as_worker()) as worker, sealed.as_client() as client:
        client.send(frame(0, session="good"), PICTURE)
        while True:  # a mutated frame may have been a good one
            work, _ = worker.receive_a("work")
            worker.send(result_for(work))
            if work["session_id"] == "good":
                break
        client.receive_a("result")


@pytest.mark.usefixtures("broker")
def test_ten_thousand_malformed_handshakes_at_each_door_leave_it_serving(sealed):
    chance = random.Random(4)
    greeting = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01CURVE".ljust(64, b"\0")
    for number in range(20_000):
        mutated = bytearray(greeting)
        mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        start = (b"", greeting, bytes(mutated))[number % 3]
        port = (sealed.client_port, sealed.worker_port)[number % 2]
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            # Closed without a farewell: ten thousand that linger would use up the ports.
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stranger.sendall(start + chance.randbytes(chance.randrange(200)))
    with serving(sealed.as_worker()) as worker, sealed.as_client() as client:
        ask(client, worker)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"allowed_keys": ""}, "POSE_ALLOWED_KEYS is not set"),
        ({"allowed_keys": "/nowhere"}, "/nowhere: No such file"),
        ({"key_file": ""}, "POSE_KEY_FILE"),
        ({"key_file": "/nowhere/broker.secret"}, "/nowhere/broker.secret: No such file"),
        ({"frames_listen": "ipc:///tmp/x"}, "only tcp:// is listened to"),
    ],
)
def test_it_does_not_start_with_half_of_what_keys_need(sealed, tmp_path, changed, reason):
    with running_broker(tmp_path, **{**sealed.settings, **changed}) as broker:
        code, output = broker.ended()
    assert code == os.EX_CONFIG
    assert reason in output
