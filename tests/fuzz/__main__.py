"""Fuzzing led by coverage, after `pip install atheris==3.0.0`: `python -m tests.fuzz [TARGET ...]`.

Atheris is no dependency: it has 35 MB, and wheels for few versions of Python. `test_targets.py` tries the
same targets in every test run, without it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

_ONE_TARGET = "--only"
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


def main() -> int:
    """Fuzz each target in a process of its own, which libFuzzer ends; exit status 1 after a finding."""
    with atheris.instrument_imports(include=["http_edge", "wire", "falcon", "imagesize"]):
        from tests.fuzz.targets import TARGETS

    if sys.argv[1:2] == [_ONE_TARGET]:
        _, _, name, *options = sys.argv
        atheris.Setup([sys.argv[0], *options], TARGETS[name])
        atheris.Fuzz()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; else all")
    given = parser.parse_args()
    names = given.targets or list(TARGETS)
    failed = [name for name in names if not _holds(name, TARGETS[name].seeds, seconds=given.seconds)]
    print("findings in: " + ", ".join(failed) if failed else "no findings")
    return 1 if failed else 0


def _holds(name: str, seeds: Sequence[bytes], *, seconds: int) -> bool:
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-print_final_stats=1", f"-artifact_prefix={corpus}/"]
        command = [sys.executable, "-m", "tests.fuzz", _ONE_TARGET, name, *options, corpus]
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
        executions = _EXECUTIONS.search(done.stderr)
        count = executions[1] if executions else "?"
        print(f"{name}: {count} executions in {seconds} s, exit status {done.returncode}", flush=True)
        if done.returncode:
            print(done.stdout, done.stderr[-4000:], sep="\n")
        for found in Path(corpus).glob("crash-*"):
            print(f"{name}: {found.read_bytes()!r}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
