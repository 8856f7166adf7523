"""Probes hear whether broker and worker serve, not whether their processes are there."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.broker.running import PATIENCE_S, Peer, running_broker, status_of, wait_for_status
from tests.workers.test_worker_program import start_worker
from tools import ready
from wire.settings import Settings
from workers.alive import SignOfLife, path_of, serves


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("POSE_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(ready, "_ANSWERS_WITHIN_S", 0.5)
    return Settings(runtime_dir=str(tmp_path))


@pytest.mark.usefixtures("settings")
def test_a_probe_with_a_misspelt_setting_says_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSE_WORKRES", "3")
    assert ready.main(["worker"]) == ready.EXIT_BAD_SETTINGS
    assert "POSE_WORKRES" in capsys.readouterr().err


@pytest.mark.usefixtures("settings")
def test_a_probe_says_which_address_it_may_not_ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSE_FRAMES_ENDPOINT", "tcp://192.0.2.1:5557")
    assert ready.main(["broker"]) == ready.EXIT_BAD_SETTINGS
    assert "192.0.2.1" in capsys.readouterr().err


@pytest.mark.usefixtures("settings")
def test_a_broker_is_ready_while_it_answers(tmp_path: Path) -> None:
    assert ready.main(["broker"]) == ready.EXIT_NOT_READY
    with running_broker(tmp_path) as broker:
        with Peer(broker.frames) as client:
            status_of(client)
        assert ready.main(["broker"]) == 0
        broker.process.send_signal(signal.SIGSTOP)
        assert ready.main(["broker"]) == ready.EXIT_NOT_READY


def test_all_brokers_are_looked_at_and_the_silent_one_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = settings.frames_address()
    away = f"ipc://{tmp_path}/away.ipc"
    monkeypatch.setenv("POSE_BROKERS", f"{there},{away}")
    with running_broker(tmp_path) as broker:
        with Peer(broker.frames) as client:
            status_of(client)
        assert ready.main(["brokers"]) == ready.EXIT_NOT_READY
        assert capsys.readouterr().err == f"the broker at {away} does not serve\n"
        assert ready.main(["broker"]) == 0
        monkeypatch.setenv("POSE_BROKERS", there)
        assert ready.main(["brokers"]) == 0


def test_a_worker_is_ready_from_its_first_word_to_its_last(settings: Settings, tmp_path: Path) -> None:
    worker = start_worker(tmp_path)
    try:
        assert not serves(settings, 3)  # there is no broker
        with running_broker(tmp_path) as broker, Peer(broker.frames) as client:
            while not status_of(client)["workers"]:
                assert worker.poll() is None
            until = time.monotonic() + PATIENCE_S
            while not serves(settings, 3):
                assert time.monotonic() < until
            assert ready.main(["worker", "--index", "3"]) == 0
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=60)
            wait_for_status(client, workers=[])
    finally:
        worker.kill()
        worker.communicate()
    assert ready.main(["worker", "--index", "3"]) == ready.EXIT_NOT_READY


def test_an_old_sign_counts_for_nothing(settings: Settings) -> None:
    with SignOfLife(settings, 0) as sign:
        sign.give()
        assert serves(settings, 0)
        assert not serves(settings, 1)
        long_ago = time.time() - settings.frame_limit_s - 1
        os.utime(path_of(settings, 0), (long_ago, long_ago))
        assert not serves(settings, 0)
    path_of(settings, 0).touch()  # of a worker that was killed
    SignOfLife(settings, 0)
    assert not serves(settings, 0)
