"""Starts the service: `python -m tools.serve`.

Reads the settings first, so that a misspelt one stops here with its name; then becomes
supervisord, which runs `supervisord.conf`. With arguments it becomes `supervisorctl`
instead, the operator's hand: `python -m tools.serve status`.
"""

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from wire import keys, runtime_dir
from wire import settings as wire_settings
from wire.environment import ALLOCATOR, LINEAR_ALGEBRA
from wire.settings import Settings

ROOT = Path(__file__).parents[1]
CONFIGURATION = ROOT / "supervisord.conf"

#: Exit status when the settings are wrong.
EXIT_BAD_SETTINGS = 2

#: Longest path of a Unix socket (sun_path, 108 bytes with its end), less what zmq and supervisor append.
LONGEST_RUNTIME_DIR = 107 - len("/supervisor.sock.123456789")

#: Longer than an observer's networks take to load.
_LOAD_S = {"blazepose": 5, "hmr2": 60}

#: Time that a program has beyond `drain_s` before supervisord kills it.
_STOP_GRACE_S = 10


def main(arguments: list[str]) -> NoReturn:
    """Become supervisord, or supervisorctl."""
    parser = argparse.ArgumentParser(prog="python -m tools.serve", description=__doc__)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="supervisorctl's, such as: status")
    command = parser.parse_args(arguments).command
    try:
        settings = wire_settings.load(os.environ)
        if len(os.fsencode(settings.runtime_dir)) > LONGEST_RUNTIME_DIR:
            raise ValueError(
                f"POSE_RUNTIME_DIR: longer than the {LONGEST_RUNTIME_DIR} bytes that sockets allow"
            )
        runtime_dir.make(settings)
        if not command:
            check(settings)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_BAD_SETTINGS)
    _append_to_stdout()
    if command:
        socket = f"unix://{settings.runtime_dir}/supervisor.sock"
        program = ["supervisor.supervisorctl", "-s", socket, *command]
    else:
        program = ["supervisor.supervisord", "-c", str(CONFIGURATION)]
        _make_metrics_directory(_metrics_directory(settings))
    os.execve(sys.executable, [sys.executable, "-m", *program], environment(settings, os.environ))


def check(settings: Settings) -> None:
    """Raises `ValueError` where settings that are right one by one would keep a program from starting."""
    keys.check_listening(settings)
    settings.worker_broker_addresses()
    settings.broker_place()
    if settings.tracker == "phalp" and settings.observer != "hmr2":
        raise ValueError("POSE_TRACKER=phalp follows what HMR2 sees; set POSE_OBSERVER=hmr2 as well")


def _append_to_stdout() -> None:
    """Let every writer append: supervisord opens our stdout again for each program's log.

    In a plain file each would otherwise write at a place of its own, over the others' lines.
    """
    flags = fcntl.fcntl(sys.stdout, fcntl.F_GETFL)
    fcntl.fcntl(sys.stdout, fcntl.F_SETFL, flags | os.O_APPEND)


def _make_metrics_directory(path: Path) -> None:
    """An empty one: what the edges of an earlier start counted is not ours."""
    path.mkdir(parents=True, exist_ok=True)
    for other in path.parent.iterdir():
        if other == path or not Path("/proc", other.name).exists():  # whose supervisord is gone
            shutil.rmtree(other)
    path.mkdir()


def _metrics_directory(settings: Settings) -> Path:
    """Where several edges count together; of this process, which becomes supervisord."""
    return Path(settings.runtime_dir) / "metrics" / str(os.getpid())


def environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """What the programs find: everything inherited, and a value for each name that the file expands."""
    several = settings.edges > 1
    return {
        **ALLOCATOR,
        **LINEAR_ALGEBRA,
        **inherited,
        "PYTHONUNBUFFERED": "1",
        "EVERYFRAME_PYTHON": sys.executable,
        "EVERYFRAME_LOAD_S": str(_LOAD_S[settings.observer]),
        "EVERYFRAME_STOP_S": str(round(settings.drain_s + _STOP_GRACE_S)),
        "POSE_RUNTIME_DIR": settings.runtime_dir,
        "POSE_WORKERS": str(settings.workers),
        "POSE_EDGES": str(settings.edges),
        **({"PROMETHEUS_MULTIPROC_DIR": str(_metrics_directory(settings))} if several else {}),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
