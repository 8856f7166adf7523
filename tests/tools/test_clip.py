"""The command that says where a clip is."""

import subprocess
import sys
from pathlib import Path


def test_a_clip_that_was_not_fetched_is_named_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "tools.clip", "sports2d_demo.mp4"],
        env={"POSE_ASSETS_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "python -m workers.assets fetch demo" in asked.stderr
    assert "Traceback" not in asked.stderr
