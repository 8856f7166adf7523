"""Programs elsewhere speak to the broker by keys, outlive its restarts, and say what is wrong with them."""

import os
import signal
import subprocess
import sys

import pytest
import zmq

import http_edge.__main__ as edge
import http_edge.jobs.__main__ as jobs
from tests.broker.running import PATIENCE_S, running_broker
from tests.broker.sealed import Sealed
from tests.wire.hand_broker import MAX_FRAME_BYTES, frame
from tests.workers.test_worker_loop import counting_worker
from wire import links
from wire.connection import Connection
from wire.keys import for_endpoint
from wire.line import Lines
from wire.settings import load

FAR = "tcp://192.0.2.1:5557"


@pytest.fixture
def sealed(tmp_path):
    return Sealed(tmp_path)


@pytest.fixture
def environ(sealed):
    """What a client elsewhere finds."""
    return sealed.as_settings("client", "far-edge")


def test_edge_and_worker_elsewhere_outlive_the_broker(sealed, environ, tmp_path):
    settings = load(environ)
    address = settings.frames_address()
    keys = for_endpoint(address, settings, role="client")
    far_worker = {"PATH": os.environ["PATH"], "POSE_RUNTIME_DIR": str(tmp_path)}
    far_worker |= sealed.as_settings("worker", "far-gpu")
    lines = Lines(address, max_frame_bytes=MAX_FRAME_BYTES, keys=keys)
    with (
        running_broker(tmp_path, **sealed.settings) as broker,
        counting_worker(far_worker),
        Connection(address, max_frame_bytes=MAX_FRAME_BYTES, keys=keys) as connection,
    ):
        try:
            for number in range(2):
                assert lines.ask(frame(2 * number), b"a").result.frame_number == 2 * number
                last = connection.submit(frame(2 * number + 1), b"b").result(PATIENCE_S)
                assert last.result.num_persons_detected == 2 * number + 2
                broker.stop(signal.SIGKILL)
                broker.start()
        finally:
            lines.close()


@pytest.mark.parametrize("program", [edge, jobs], ids=["edge", "jobs"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"POSE_BROKER_KEY_FILE": ""}, "unencrypted"),
        ({"POSE_KEY_FILE": ""}, "POSE_KEY_FILE is not set"),
        ({"POSE_KEY_FILE": "/nowhere/edge.secret"}, "/nowhere/edge.secret: No such file"),
    ],
)
def test_a_client_program_does_not_start_without_its_keys(
    program, given, reason, environ, tmp_path, monkeypatch, capsys
):
    for name, value in {**environ, "POSE_FRAMES_ENDPOINT": FAR, **given}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("POSE_RUNTIME_DIR", str(tmp_path / "run"))
    assert program.main([]) == program.EXIT_BAD_SETTINGS
    assert reason in capsys.readouterr().err


def test_a_worker_does_not_start_with_a_clients_key(environ, tmp_path):
    started = subprocess.run(
        [sys.executable, "-m", "workers"],
        env={"PATH": os.environ["PATH"], "POSE_RUNTIME_DIR": str(tmp_path), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode == 3
    assert "the key of a client, far-edge; here a worker's is needed" in started.stdout + started.stderr


def test_who_reaches_no_broker_says_so_in_its_log(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(links, "_THERE_WITHIN_S", 0.2)
    with Connection(f"ipc://{tmp_path}/nobody.ipc", max_frame_bytes=MAX_FRAME_BYTES) as connection:
        answer = connection.submit(frame(0, deadline_ms=int(PATIENCE_S * 1000)), b"a")
        while "nobody.ipc cannot be reached" not in caplog.text:
            with pytest.raises(TimeoutError):
                answer.result(0.02)


def test_who_is_not_let_in_says_so_in_its_log(sealed, environ, tmp_path, caplog):
    settings = load(environ)
    sealed.revoke("far-edge")
    address = settings.frames_address()
    keys = for_endpoint(address, settings, role="client")
    with running_broker(tmp_path, **sealed.settings) as broker:
        with Connection(address, max_frame_bytes=MAX_FRAME_BYTES, keys=keys) as connection:
            answer = connection.submit(frame(0, deadline_ms=int(PATIENCE_S * 1000)), b"a")
            while "hangs up without a word" not in caplog.text:
                with pytest.raises(TimeoutError):
                    answer.result(0.02)
        _, log = broker.stop()
    assert "not let in: unknown key" in log
    assert keys.own.public.key.decode() in log


def test_what_happens_to_idle_connections_waits_without_a_bound(tmp_path):
    with zmq.Context() as context, context.socket(zmq.DEALER) as idle:
        handshakes = links.Handshakes(idle, f"ipc://{tmp_path}/nobody.ipc", is_always_heard=False)
        # At a bound, 2,000 events by default, libzmq would stop all sockets of the context.
        assert handshakes.monitor.get(zmq.RCVHWM) == 0
        handshakes.close()
