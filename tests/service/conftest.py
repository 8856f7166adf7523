"""The whole service, as an operator starts it: supervisord, broker, workers, edge, real networks."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.running import Service, wait_for
from wire import settings as wire_settings
from workers import assets


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = Service(port, directory / "run", directory / "service.log")
    environment = os.environ | {
        "POSE_HOST": "127.0.0.1",
        "POSE_PORT": str(port),
        "POSE_RUNTIME_DIR": str(started.runtime_dir),
        "POSE_WORKERS": "2",
    }
    with started.log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.serve"], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: started.is_ready() or process.poll() is not None)
        assert process.poll() is None, started.log.read_text()
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


@pytest.fixture(scope="session")
def sports_clip() -> Path:
    return assets.path("sports2d_demo.mp4", assets.directory(wire_settings.load(os.environ)))
