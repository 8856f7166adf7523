"""Real worker processes with a real broker: sessions outlive them, and who hangs is ended."""

import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from tests.broker.running import (
    PATIENCE_S,
    Peer,
    frame,
    running_broker,
    status_of,
    wait_for_status,
)
from tests.workers.counting_worker import FAIL, HANG_IN_C, HANG_IN_PYTHON, TAKE_A_MOMENT, WORK_IN_PARTS
from tests.workers.test_worker_program import HandWrittenBroker

#: Heartbeats and silence too long to be what a test sees.
SLOW = {"heartbeat_s": 60, "worker_silence_s": 300}

Worker = subprocess.Popen[str]


@contextmanager
def counting_worker(environ: dict[str, str], index: int = 0) -> Iterator[Worker]:
    """A worker process that counts, and is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.workers.counting_worker", str(index)],
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answer_to(client: Peer, number: int, picture: bytes = b"a picture", **more: Any) -> dict[str, Any]:
    """Send a frame; its result."""
    client.send(frame(number, **more), picture)
    return client.receive_a("result")[0]


def wait_for_workers(client: Peer, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(status_of(client)["workers"]) != count:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("hang", [HANG_IN_PYTHON, HANG_IN_C], ids=["in Python", "in C, holding the lock"])
def test_a_frame_that_hangs_ends_its_worker_and_goes_to_another(tmp_path: Path, hang: bytes) -> None:
    with (
        running_broker(tmp_path, **SLOW, frame_limit_s=2.0) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ, 0) as hanging,
    ):
        assert answer_to(client, 0)["num_persons_detected"] == 1
        with counting_worker(broker.environ, 1):
            wait_for_workers(client, 2)

            answer = answer_to(client, 1, hang + b"0")

            assert (answer["num_persons_detected"], answer["history"]) == (2, "restored")
            _, log = hanging.communicate(timeout=PATIENCE_S)
            assert hanging.returncode == -signal.SIGALRM
            assert "most recent call first" in log
            assert "_fold_one" in log
            assert status_of(client)["counters"]["redispatched"] == 1


def test_a_batch_of_frames_has_the_time_of_all(tmp_path: Path) -> None:
    with (
        running_broker(tmp_path, **SLOW, frame_limit_s=2.0) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ),
    ):
        assert answer_to(client, 0)["num_persons_detected"] == 1
        for session in ("a", "b", "c"):
            client.send(frame(0, session=session), TAKE_A_MOMENT)

        answers = [client.receive_a("result")[0] for _ in range(3)]

        assert {answer["num_persons_detected"] for answer in answers} == {1}
        assert status_of(client)["counters"]["workers_lost"] == 0


def test_a_batch_that_takes_longer_than_the_broker_has_patience_is_not_given_up(tmp_path: Path) -> None:
    with (
        running_broker(tmp_path, heartbeat_s=0.1, worker_silence_s=3.0) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ),
    ):
        assert answer_to(client, 0)["num_persons_detected"] == 1

        assert answer_to(client, 1, WORK_IN_PARTS)["num_persons_detected"] == 2

        counters = status_of(client)["counters"]
        assert (counters["workers_lost"], counters["redispatched"]) == (0, 0)


def test_an_idle_worker_is_not_ended(tmp_path: Path) -> None:
    with (
        running_broker(tmp_path, frame_limit_s=1.5, heartbeat_s=0.1) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ) as worker,
    ):
        assert answer_to(client, 0)["num_persons_detected"] == 1
        idle_until = status_of(client)["uptime_s"] + 3.0
        while status_of(client)["uptime_s"] < idle_until:
            assert worker.poll() is None
        assert answer_to(client, 1)["num_persons_detected"] == 2


def test_a_killed_workers_sessions_go_on_where_they_were(tmp_path: Path) -> None:
    with running_broker(tmp_path, **SLOW) as broker, Peer(broker.frames) as client:
        with counting_worker(broker.environ, 0) as victim:
            for number in range(3):
                last = answer_to(client, number, b"picture %d" % number)
            victim.kill()
            with counting_worker(broker.environ, 1):
                repeated = answer_to(client, 2, b"picture 2")
                then = answer_to(client, 3, b"picture 3")

        same = last.keys() - {"request_id", "epoch", "stages_ms"}
        assert {name: repeated[name] for name in same} == {name: last[name] for name in same}
        assert (then["num_persons_detected"], then["history"]) == (4, "restored")


def test_a_stopped_worker_hands_its_sessions_over(tmp_path: Path) -> None:
    with (
        running_broker(tmp_path) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ, 0) as leaving,
    ):
        answer_to(client, 0)
        with counting_worker(broker.environ, 1):
            wait_for_workers(client, 2)
            leaving.terminate()
            assert leaving.wait(timeout=PATIENCE_S) == 0

            assert answer_to(client, 1)["num_persons_detected"] == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_restarted_broker_hears_of_the_sessions_at_once(tmp_path: Path, number: int) -> None:
    with (
        running_broker(tmp_path, **SLOW) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ),
    ):
        first = answer_to(client, 0)
        broker.stop(number)
        broker.start()

        # Heartbeats come once a minute; only a worker that speaks by itself is this fast.
        answer = answer_to(client, 1)

        assert (answer["num_persons_detected"], answer["history"]) == (2, "complete")
        assert answer["epoch"] > first["epoch"]
        assert answer_to(client, 0)["num_persons_detected"] == 1


def test_broker_and_worker_killed_together_lose_nothing(tmp_path: Path) -> None:
    with running_broker(tmp_path, **SLOW) as broker, Peer(broker.frames) as client:
        with counting_worker(broker.environ) as worker:
            answer_to(client, 0)
            broker.process.kill()
            worker.kill()
            broker.ended()
            worker.wait()
        broker.start()
        with counting_worker(broker.environ):
            answer = answer_to(client, 1)

        assert (answer["num_persons_detected"], answer["history"]) == (2, "restored")


def test_a_video_whose_state_is_gone_starts_cold(tmp_path: Path) -> None:
    with running_broker(tmp_path, **SLOW) as broker, Peer(broker.frames) as client:
        with counting_worker(broker.environ) as worker:
            answer_to(client, 0)
            worker.kill()
        for data in (tmp_path / "store").glob("*/data.mdb"):
            data.write_bytes(b"not a store" * 1000)
        with counting_worker(broker.environ):
            answer = answer_to(client, 1)

        assert (answer["num_persons_detected"], answer["history"]) == (1, "cold")


def test_the_broker_tells_how_each_worker_stores(tmp_path: Path) -> None:
    with (
        running_broker(tmp_path, heartbeat_s=0.1) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ),
    ):
        answer_to(client, 0, session="one")
        answer_to(client, 5, session="two")

        deadline = time.monotonic() + PATIENCE_S
        while not (store := status_of(client)["workers"][0]["store"]) or store["sessions"] < 2:
            assert time.monotonic() < deadline
        assert store["used_bytes"] > 0
        assert {name: store[name] for name in ("evicted", "failed_writes", "restored", "cold")} == {
            "evicted": 0,
            "failed_writes": 0,
            "restored": 0,
            "cold": 0,
        }


def test_a_quiet_session_leaves_the_store(tmp_path: Path) -> None:
    with (
        running_broker(tmp_path, heartbeat_s=0.1, session_idle_s=2.0) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ),
    ):
        answer_to(client, 0)
        deadline = time.monotonic() + PATIENCE_S
        seen = set()
        while 0 not in seen or len(seen) < 2:
            seen.add(status_of(client)["workers"][0]["store"].get("sessions", 0))
            assert time.monotonic() < deadline
        wait_for_status(client, sessions=0)


# ----------------------------------------------- against a broker written by hand


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[HandWrittenBroker]:
    with zmq.Context() as context:
        served = HandWrittenBroker(context, f"ipc://{tmp_path}/workers.ipc")
        yield served
        served.socket.close(linger=0)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    with counting_worker({"POSE_RUNTIME_DIR": str(tmp_path), "POSE_HEARTBEAT_S": "0.2"}) as process:
        yield process


@pytest.mark.usefixtures("worker")
def test_a_worker_says_which_sessions_there_are(by_hand: HandWrittenBroker) -> None:
    source = {"client": "10.0.0.1", "width_px": 64, "height_px": 48, "thumbnail": b"grey"}
    assert by_hand.expect("ready")[0]["sessions"] == []
    for number in range(3):
        by_hand.send_frame(number, b"a picture", generation=7, epoch=9, source=source, skipped=2, expired=1)
        result, _ = by_hand.expect("result")
        assert (result["skipped"], result["expired"]) == (2, 1)

    by_hand.send({"type": "who_are_you"})

    (held,) = by_hand.expect("ready")[0]["sessions"]
    assert 0 <= held.pop("quiet_s") < 60
    assert held == {
        "session_id": "clip",
        "generation": 7,
        "epoch": 9,
        "frames": [[number, zlib.crc32(b"a picture"), b"grey"] for number in range(3)],
        "source": source | {"thumbnail": None},
        "skipped": 2,
        "expired": 1,
    }
    by_hand.send({"type": "forget", "session_id": "clip", "generation": 7})
    by_hand.send({"type": "who_are_you"})
    assert by_hand.expect("ready")[0]["sessions"] == []


def test_what_others_were_given_is_not_folded_any_more(worker: Worker, by_hand: HandWrittenBroker) -> None:
    by_hand.expect("ready")
    by_hand.send_frame(0, TAKE_A_MOMENT)
    assert worker.stderr is not None
    assert any("a moment begins" in line for line in worker.stderr)  # else it would be dropped as well
    for number in (1, 2):
        by_hand.send_frame(number, b"a picture")
    by_hand.send({"type": "who_are_you"})
    by_hand.send_frame(3, b"a picture")  # as if read late: those before it are not folded either
    for number in (1, 2):
        by_hand.send_frame(number, b"a picture", epoch=2)

    kinds = []
    results = []
    while len(results) < 3:
        by_hand.peer, header, *_ = by_hand.socket.recv_multipart()
        message = msgpack.unpackb(header)
        kinds.append(message["type"])
        if message["type"] == "result":
            results.append((message["epoch"], message["num_persons_detected"]))
    assert [kind for kind in kinds if kind != "heartbeat"][-2:] == ["result", "result"]
    assert results == [(1, 1), (2, 2), (2, 3)]


def test_what_was_given_away_is_remembered_only_until_all_that_came_with_it_is_read(
    worker: Worker, by_hand: HandWrittenBroker
) -> None:
    by_hand.expect("ready")
    by_hand.send_frame(0, TAKE_A_MOMENT)
    assert worker.stderr is not None
    assert any("a moment begins" in line for line in worker.stderr)
    by_hand.send_frame(1, b"a picture")
    by_hand.send({"type": "who_are_you"})
    by_hand.send_frame(2, b"a picture")
    assert by_hand.expect("result")[0]["frame_number"] == 0
    by_hand.expect("ready")
    by_hand.expect("heartbeat")  # nothing was left to read before it

    by_hand.send_frame(3, b"a picture")  # no broker does it; a worker that never forgot would be silent

    result, _ = by_hand.expect("result")
    assert (result["frame_number"], result["num_persons_detected"]) == (3, 2)


@pytest.mark.usefixtures("worker")
def test_work_of_a_former_owner_is_failed_and_not_folded(by_hand: HandWrittenBroker) -> None:
    by_hand.expect("ready")
    by_hand.send_frame(0, b"a picture", epoch=5)
    by_hand.expect("result")

    by_hand.send_frame(1, b"a picture", epoch=4)

    failure, _ = by_hand.expect("failure")
    assert (failure["code"], failure["epoch"]) == ("internal", 4)
    by_hand.send_frame(1, b"a picture", epoch=5)
    assert by_hand.expect("result")[0]["num_persons_detected"] == 2


@pytest.mark.usefixtures("worker")
def test_a_frame_that_fails_is_not_stored(by_hand: HandWrittenBroker) -> None:
    by_hand.expect("ready")
    by_hand.send_frame(0, FAIL)
    assert by_hand.expect("failure")[0]["code"] == "invalid_image"

    by_hand.send_frame(1, b"a picture", continues=False)

    result, _ = by_hand.expect("result")
    assert (result["num_persons_detected"], result["history"]) == (1, "complete")
    assert result["stages_ms"]["store"] > 0
