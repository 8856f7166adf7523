"""The launcher and its supervisord: what stops at the start, and what ends the service."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from tools.serve import CONFIGURATION, check, environment
from wire.settings import load


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.serve", *arguments],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_misspelt_setting_stops_at_the_start_with_its_name() -> None:
    ended = run(POSE_WORKRES="3")
    assert ended.returncode == 2
    assert "POSE_WORKRES" in ended.stderr


def test_keys_that_would_not_do_stop_it_at_the_start_with_the_reason(tmp_path: Path) -> None:
    ended = run(
        POSE_RUNTIME_DIR=str(tmp_path),
        POSE_WORKERS_LISTEN="tcp://127.0.0.1:5558",
        POSE_KEY_FILE=str(tmp_path / "broker.secret"),
    )
    assert ended.returncode == 2
    assert "broker.secret: No such file" in ended.stderr


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"POSE_BROKERS": "ipc:///a,ipc:///b", "POSE_STORE_URL": "redis://cache"}, "POSE_WORKER_BROKERS"),
        (
            {
                "POSE_BROKERS": "ipc:///a,ipc:///b",
                "POSE_WORKER_BROKERS": "ipc:///c,ipc:///d",
                "POSE_STORE_URL": "redis://cache",
            },
            "POSE_BROKER_NUMBER",
        ),
        ({"POSE_TRACKER": "phalp"}, "POSE_OBSERVER=hmr2"),
    ],
    ids=["brokers without workers' doors", "one of several brokers", "PHALP without HMR2"],
)
def test_settings_that_do_not_go_together_are_named(settings: dict[str, str], variable: str) -> None:
    with pytest.raises(ValueError, match=variable):
        check(load(settings))


def test_a_runtime_directory_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    ended = run(POSE_RUNTIME_DIR=str(tmp_path / ("x" * 100)))
    assert ended.returncode == 2
    assert "POSE_RUNTIME_DIR" in ended.stderr


def test_with_arguments_it_is_supervisorctl(tmp_path: Path) -> None:
    ended = run("status", POSE_RUNTIME_DIR=str(tmp_path / "run"))
    assert f"unix://{tmp_path}/run/supervisor.sock no such file" in ended.stdout


def test_a_log_that_is_a_plain_file_keeps_every_writers_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        output.write(b"before\n")
        output.flush()
        subprocess.run(
            [sys.executable, "-c", "from tools.serve import _append_to_stdout as a; a(); print('after')"],
            stdout=output,
            check=True,
        )
        output.seek(0)
        output.write(b"again\n")
    assert log.read_text() == "before\nafter\nagain\n"


def test_what_the_operator_set_wins_over_our_defaults() -> None:
    found = environment(load({}), {"MALLOC_ARENA_MAX": "8", "HOME": "/home/x"})
    assert found["MALLOC_ARENA_MAX"] == "8"
    assert found["MALLOC_TRIM_THRESHOLD_"] == str(2**31)
    assert found["HOME"] == "/home/x"


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ServerOptions:
    """supervisord.conf as supervisord reads it."""
    settings = load({"POSE_RUNTIME_DIR": str(tmp_path), "POSE_WORKERS": "3", "POSE_DRAIN_S": "25"})
    for name, value in environment(settings, {}).items():
        monkeypatch.setenv(name, value)
    read = ServerOptions()
    read.realize(["-c", str(CONFIGURATION)])
    return read


def test_every_program_restarts_and_has_time_to_drain(options: ServerOptions) -> None:
    programs = {
        process.name: process for group in options.process_group_configs for process in group.process_configs
    }
    listener = programs.pop("fatal")

    assert programs.keys() == {"broker", "worker_00", "worker_01", "worker_02", "jobs", "edge_00"}
    assert listener.redirect_stderr is False
    for process in programs.values():
        assert process.autorestart.__name__ == "RestartUnconditionally"
        assert process.stopwaitsecs > 25
        assert process.redirect_stderr is True
    for process in [*programs.values(), listener]:
        assert process.stdout_logfile_maxbytes == 0 or process is listener


def test_only_this_user_may_speak_to_supervisord(options: ServerOptions, tmp_path: Path) -> None:
    (server,) = options.server_configs
    assert (server["file"], server["chmod"]) == (f"{tmp_path}/supervisor.sock", 0o700)


def test_a_program_given_up_ends_supervisord(tmp_path: Path) -> None:
    configuration = tmp_path / "supervisord.conf"
    configuration.write_text(f"""
[supervisord]
nodaemon = true
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {tmp_path}/supervisord.pid
[unix_http_server]
file = {tmp_path}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:stays]
command = sleep 600
[program:dies]
command = false
startretries = 0
[eventlistener:fatal]
command = {sys.executable} -m tools.fatal_listener
events = PROCESS_STATE_FATAL
stderr_logfile = {tmp_path}/listener.log
""")
    subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert "dies:dies is FATAL" in (tmp_path / "listener.log").read_text()
