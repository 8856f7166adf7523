"""The service that bulk work starts for itself: it is gone when the work is, however that ends."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import videos
from tests.client.running import stopped, wait_for


@pytest.mark.parametrize(
    ("signum", "when"), [(signal.SIGINT, "started with pid"), (signal.SIGKILL, "serving on")]
)
def test_it_ends_with_the_program_that_is_still_waiting_for_it(
    tmp_path: Path, signum: signal.Signals, when: str
) -> None:
    ride = videos.write(tmp_path / "ride.mp4")
    log = tmp_path / "out" / "service.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "client", ride, "-o", tmp_path / "out"],
        env={**os.environ, "POSE_RUNTIME_DIR": str(tmp_path)},  # where no service runs
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
