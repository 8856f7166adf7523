"""schemathesis against a running service, as a program of its own."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_CONFIGURATION = Path(__file__).with_name("schemathesis.toml")

_REQUESTS = re.compile(r"^  (\d+) generated", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many requests were sent, whether each answer was as the contract has it, and the whole report."""

    requests: int
    holds: bool
    report: str


def fuzz(port: int, *, examples: int) -> Outcome:
    """Send requests of every kind to every operation, some `examples` of each beside those at the bounds."""
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIGURATION)]
    arguments = [f"http://127.0.0.1:{port}/openapi.json", "--max-examples", str(examples)]
    finished = subprocess.run([*program, "run", *arguments], capture_output=True, text=True, check=False)
    report = finished.stdout + finished.stderr
    counted = _REQUESTS.search(report)
    return Outcome(int(counted[1]) if counted else 0, finished.returncode == 0, report)
