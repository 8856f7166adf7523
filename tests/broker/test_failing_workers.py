"""Real worker processes are killed, paused and blocked, and the broker process goes on."""

import os
import signal
import time
from pathlib import Path

import msgpack
import pytest

from tests.broker.running import (
    PATIENCE_S,
    Peer,
    frame,
    ready,
    result_for,
    running_broker,
    running_worker,
    status_of,
    wait_for_status,
)

#: From the death of a worker to its frame at another one, seconds; it takes 2 ms on a quiet machine.
NOTICED_S = 0.2


def serving(client, name):
    """Wait until the broker knows a worker of this name."""
    until = time.monotonic() + PATIENCE_S
    while not any(worker["name"] == name for worker in status_of(client)["workers"]):
        assert time.monotonic() < until, f"{name} was never ready"


def test_a_killed_workers_frame_goes_to_another_at_once(tmp_path):
    # Neither silence nor a heartbeat that is due could tell.
    with (
        running_broker(tmp_path, heartbeat_s=60, worker_silence_s=300) as broker,
        Peer(broker.frames) as client,
        Peer(broker.workers) as heir,
    ):
        delays_s = []
        for number in range(5):
            with running_worker(broker, f"victim-{number}") as victim:
                serving(client, f"victim-{number}")
                client.send(frame(0, session=f"s{number}"), os.urandom(100_000))
                assert victim.stdout.readline() == "0\n"
                if number == 0:
                    heir.send(ready("heir", worker_credits=16))
                    serving(client, "heir")
                killed_at = time.monotonic()
                victim.send_signal(signal.SIGKILL)
                work, _ = heir.receive_a("work")
                delays_s.append(time.monotonic() - killed_at)
                heir.send(result_for(work))
                assert client.receive_a("result")[0]["session_id"] == f"s{number}"
        # The fastest: a test machine may be busy, but not every time.
        assert min(delays_s) < NOTICED_S


def test_a_paused_worker_that_comes_back_is_welcome_and_its_late_answer_is_not(tmp_path):
    with (
        running_broker(tmp_path, heartbeat_s=0.2, worker_silence_s=3.0) as broker,
        Peer(broker.frames) as client,
        running_worker(broker, "paused") as paused,
    ):
        serving(client, "paused")
        client.send(frame(0, session="one"), b"a picture")
        assert paused.stdout.readline() == "0\n"
        paused.send_signal(signal.SIGSTOP)
        paused.stdin.write("\n")
        paused.stdin.flush()
        wait_for_status(client, workers_lost=1)
        with running_worker(broker, "heir") as heir:
            assert heir.stdout.readline() == "0\n"
            paused.send_signal(signal.SIGCONT)
            wait_for_status(client, stale_results=1)
            serving(client, "paused")
            heir.stdin.write("\n")
            heir.stdin.flush()
            assert client.receive_a("failure")[0]["message"] == "heir answers"
        client.send(frame(1, session="two"), b"a picture")
        assert paused.stdout.readline() == "1\n"


def test_a_worker_that_does_not_read_holds_up_nobody_else(tmp_path):
    bounds = {"max_queue_frames": 30, "max_sessions": 50}
    with (
        running_broker(tmp_path, heartbeat_s=0.2, worker_silence_s=300, **bounds) as broker,
        Peer(broker.frames) as client,
        Peer(broker.workers, receive_high_water=1) as blocked,
        Peer(broker.workers) as worker,
    ):
        blocked.send(ready("blocked", worker_credits=10_000))
        serving(client, "blocked")
        until = time.monotonic() + PATIENCE_S
        # It holds what its clients gave up long ago, until no more goes into its socket.
        for number in range(1000):
            client.send(frame(number, deadline_ms=1), bytes(50_000))
            assert client.receive_a("failure")[0]["code"] == "deadline_exceeded"
            if status_of(client)["counters"]["workers_lost"]:
                break
            assert time.monotonic() < until
        assert number > 80, "it was given up although there was room"
        worker.send(ready("worker"))
        asked = frame(0, session="another")
        client.send(asked, b"a picture")
        work, _ = worker.receive_a("work")
        worker.send(result_for(work))
        assert client.receive_a("result")[0]["request_id"] == asked["request_id"]


def test_workers_that_come_and_go_cost_nothing(tmp_path):
    with running_broker(tmp_path) as broker, Peer(broker.frames) as client:
        status_of(client)
        descriptors = Path(f"/proc/{broker.process.pid}/fd")
        before = len(list(descriptors.iterdir()))
        for number in range(200):
            with Peer(broker.workers) as worker:
                worker.send(ready(f"w{number}"))
                worker.receive_a("heartbeat")
        wait_for_status(client, workers_lost=200, workers=[])
        until = time.monotonic() + PATIENCE_S
        while len(list(descriptors.iterdir())) > before:
            assert time.monotonic() < until, "descriptors leak"
            status_of(client)


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_new_broker_learns_the_sessions_from_the_first_worker(tmp_path, signal_):
    stored = {
        "session_id": "dance",
        "generation": 10,
        "epoch": 20,
        "frames": [[0, 1111, None], [1, 2222, b"grey"]],
        "source": {"client": "10.0.0.1", "width_px": 640, "height_px": 360, "thumbnail": None},
        "skipped": 3,
        "expired": 1,
        "from_the_future": 1,
    }
    with running_broker(tmp_path) as broker, Peer(broker.frames) as client, Peer(broker.workers) as worker:
        status_of(client)
        broker.stop(signal_)
        client.send(frame(2), b"a picture")
        broker.start()
        wait_for_status(client, queued_frames=1, sessions=0)
        worker.send_raw(msgpack.packb(ready() | {"sessions": [stored]}))
        work, _ = worker.receive_a("work")
        assert work["frame_number"] == 2
        assert work["generation"] == 10
        assert work["epoch"] > 20
        assert work["continues"]
        assert (work["skipped"], work["expired"]) == (3, 1)
