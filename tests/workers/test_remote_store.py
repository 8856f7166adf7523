"""Real workers whose sessions are on a real server: they end, it ends, and every frame is answered."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker.running import PATIENCE_S, BrokerProcess, Peer, frame, running_broker, status_of
from tests.workers.counting_worker import TAKE_A_MOMENT
from tests.workers.redis_server import RedisServer, redis_server, slow_way_to
from tests.workers.test_worker_loop import SLOW, answer_to, counting_worker

FRAMES = 24

#: How long a worker waits for the server in these tests, seconds.
TIMEOUT_S = 2.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def broker(tmp_path: Path, server: RedisServer) -> Iterator[BrokerProcess]:
    remote = {"store_url": server.url, "store_timeout_s": TIMEOUT_S}
    with running_broker(tmp_path, **SLOW, **remote) as broker:
        yield broker


def told(client: Peer, numbers: range) -> list[dict[str, Any]]:
    """What is said of each frame, less what may differ."""
    answers = [answer_to(client, number, b"picture %d" % number) for number in numbers]
    differs = {"request_id", "epoch", "stages_ms"}
    return [{name: value for name, value in answer.items() if name not in differs} for answer in answers]


def without_history(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in answer.items() if name != "history"} for answer in answers]


def test_a_session_moves_from_killed_worker_to_killed_worker_as_if_nothing_had_been(
    tmp_path: Path, broker: BrokerProcess, server: RedisServer
) -> None:
    with Peer(broker.frames) as client:
        with counting_worker(broker.environ, 0):
            undisturbed = told(client, range(FRAMES))
        server.tell("FLUSHALL")
        broker.stop()
        broker.start()
        disturbed = []
        for turn in range(3):
            with counting_worker(broker.environ, turn) as owner:
                first = turn * FRAMES // 3
                disturbed += told(client, range(first, first + FRAMES // 3))
                owner.kill()

    assert without_history(disturbed) == without_history(undisturbed)
    assert [answer["history"] for answer in disturbed[:: FRAMES // 3]] == ["complete", "restored", "restored"]
    assert not list(tmp_path.glob("store*")), "nothing of it is on this machine"


@pytest.mark.parametrize("end", [RedisServer.kill, RedisServer.pause], ids=["killed", "paused"])
def test_without_the_server_the_owner_goes_on_and_its_heir_says_cold(
    broker: BrokerProcess, server: RedisServer, end: Any
) -> None:
    with Peer(broker.frames) as client:
        with counting_worker(broker.environ, 0) as owner:
            told(client, range(3))
            end(server)
            going_on = told(client, range(3, 6))
            owner.kill()
        server.go_on()
        with counting_worker(broker.environ, 1):
            (heir,) = told(client, range(6, 7))

    assert [answer["num_persons_detected"] for answer in going_on] == [4, 5, 6]
    assert {answer["history"] for answer in going_on} == {"complete"}
    assert (heir["history"], heir["num_persons_detected"]) == ("cold", 1), "what is there lacks three frames"


def test_a_server_that_comes_back_has_the_session_again(broker: BrokerProcess, server: RedisServer) -> None:
    with Peer(broker.frames) as client:
        with counting_worker(broker.environ, 0) as owner:
            told(client, range(3))
            server.kill()
            told(client, range(3, 5))
            server.go_on()
            number = 5
            while not server.tell("DBSIZE"):
                told(client, range(number, number + 1))
                number += 1
            owner.kill()
        with counting_worker(broker.environ, 1):
            (heir,) = told(client, range(number, number + 1))

    assert (heir["history"], heir["num_persons_detected"]) == ("restored", number + 1)


def test_a_worker_with_a_slow_server_is_not_taken_for_one_that_hangs(
    tmp_path: Path, server: RedisServer
) -> None:
    sessions = [f"session {number}" for number in range(6)]
    with (
        slow_way_to(server, delay_s=0.4) as url,
        running_broker(
            tmp_path, heartbeat_s=0.1, worker_silence_s=2.0, worker_credits=6, store_url=url
        ) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ, 0),
    ):
        answer_to(client, 0)
        for session in sessions:  # taken over and stored one after the other: twice the broker's patience
            client.send(frame(0, session=session), b"a picture")
        answers = [client.receive_a("result")[0] for _ in sessions]

        assert {answer["session_id"] for answer in answers} == set(sessions)
        assert status_of(client)["counters"]["workers_lost"] == 0


def test_an_owner_that_was_paused_is_refused_by_the_server_and_it_shows(
    tmp_path: Path, server: RedisServer
) -> None:
    remote = {"store_url": server.url, "store_timeout_s": TIMEOUT_S}
    with (
        running_broker(tmp_path, heartbeat_s=0.1, worker_silence_s=3.0, **remote) as broker,
        Peer(broker.frames) as client,
        counting_worker(broker.environ, 0) as paused,
    ):
        told(client, range(3))
        client.send(frame(3), TAKE_A_MOMENT)
        while "a moment begins" not in paused.stderr.readline():
            pass
        paused.send_signal(signal.SIGSTOP)  # in the middle of a fold
        with counting_worker(broker.environ, 1):
            moved, _ = client.receive_a("result")
            paused.send_signal(signal.SIGCONT)
            deadline = time.monotonic() + PATIENCE_S
            while not any(worker["store"].get("superseded") for worker in status_of(client)["workers"]):
                assert time.monotonic() < deadline
            (then,) = told(client, range(4, 5))

    assert [moved["history"], then["history"]] == ["restored", "restored"]
    assert [moved["num_persons_detected"], then["num_persons_detected"]] == [4, 5]
