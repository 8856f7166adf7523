"""The service that bulk work starts for itself: it is gone when the work is, however that ends."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from client.private_service import inherited
from tests import videos
from tests.client.running import stopped, wait_for
from wire.settings import Settings


@pytest.mark.parametrize(
    ("signum", "when"), [(signal.SIGINT, "started with pid"), (signal.SIGKILL, "serving on")]
)
def test_it_ends_with_the_program_that_is_still_waiting_for_it(
    tmp_path: Path, signum: signal.Signals, when: str
) -> None:
    ride = videos.write(tmp_path / "ride.mp4")
    log = tmp_path / "out" / "service.log"
    settings = {
        "POSE_RUNTIME_DIR": str(tmp_path),  # where no service runs
        "POSE_BROKER_NUMBER": "1",  # the service that the operator set up has several
        "POSE_JOBS_DIR": str(tmp_path / "jobs"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "client", ride, "-o", tmp_path / "out"],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: log.exists() and when in log.read_text())
    found = re.search(r"supervisord started with pid (\d+)", log.read_text())
    assert found

    status = stopped(process, signum)

    assert status == (130 if signum == signal.SIGINT else -signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{found[1]}").exists())
    assert (tmp_path / "out" / "report.json").exists() == (signum == signal.SIGINT)
    assert not (tmp_path / "jobs").exists()


def test_it_finds_nothing_of_the_operators_services_but_the_model_files() -> None:
    """Whatever setting is empty by default names a place, or who may come in, or the keys for it."""
    named = {
        f"POSE_{field.name.upper()}"
        for field in msgspec.structs.fields(Settings)
        if field.default == "" and field.name != "assets_dir"
    }
    how = {"POSE_ASSETS_DIR": "/models", "POSE_OBSERVER": "hmr2", "PATH": "/bin"}

    assert inherited({**how, "POSE_BROKER_NUMBER": "1", **dict.fromkeys(named, "/srv")}) == how
