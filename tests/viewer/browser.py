"""Chromium and node for tests: found, or the test is skipped and says what was not checked."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
VIEWER = HERE.parents[1] / "http_edge" / "viewer"
WITHIN_S = 120.0

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_INSTALL_WITHIN_S = 120.0


@cache
def node() -> str:
    """Where node is; skips the test where it is not."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("NOT CHECKED: the live page's scripts. Install node 20 or newer and npm")
    return found


@cache
def chromium() -> str:
    """Where Chromium is; skips the test where it is not, or where npm cannot bring what drives it."""
    named = os.environ.get("EVERYFRAME_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("NOT CHECKED: the live page in a browser. Install chromium (apt-get install chromium)")
    if not (HERE / "node_modules" / "playwright-core" / "package.json").is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("NOT CHECKED: the live page in a browser. Install npm")
        command = [npm, "ci", "--no-audit", "--no-fund", "--prefix", str(HERE)]
        installed = subprocess.run(command, timeout=_INSTALL_WITHIN_S, check=False, capture_output=True)
        if installed.returncode:
            pytest.skip(
                f"NOT CHECKED: the live page in a browser. npm ci: {installed.stderr.decode()[-300:]}"
            )
    return found


def drive(scenario: str, *, url: str, camera: Path | None = None, **asked: Any) -> dict[str, Any]:
    """What is true of a page after a scenario of `page.mjs`; `camera`: an MJPEG file that a webcam shows."""
    arguments = [
        "--enable-unsafe-swiftshader",  # WebGL without a GPU
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
    ]
    if camera is not None:
        arguments.append(f"--use-file-for-fake-video-capture={camera}")
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's needs another user than root
    given = {"url": url, "chromium": chromium(), "arguments": arguments, "within_s": WITHIN_S, **asked}
    return run(HERE / "page.mjs", scenario, json.dumps(given, default=str))


def run(script: Path, *arguments: str) -> Any:
    """The JSON that a node script prints."""
    command = [node(), str(script), *arguments]
    done = subprocess.run(command, timeout=2 * WITHIN_S, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
