"""Ends supervisord when one of its programs is FATAL: given up after all its retries.

Without it supervisord would stay up with nothing behind it, and whoever watches it (a
container runtime, systemd) would believe that all is well. It speaks supervisor's event
listener protocol on stdin and stdout.
"""

import argparse
import os
import signal
import sys
from typing import TextIO


def main(events: TextIO, answers: TextIO) -> None:
    """Answer events until stdin ends; every event that comes is a FATAL one."""
    answers.write("READY\n")
    answers.flush()
    for header in events:
        length = int(_fields(header)["len"])
        process = _fields(events.read(length))
        name = f"{process['groupname']}:{process['processname']}"
        print(f"{name} is FATAL, it did not stay up; the service ends", file=sys.stderr, flush=True)
        os.kill(os.getppid(), signal.SIGTERM)
        answers.write("RESULT 2\nOKREADY\n")
        answers.flush()


def _fields(line: str) -> dict[str, str]:
    """The `key:value` pairs of a header or a payload."""
    return dict(pair.split(":", 1) for pair in line.split())


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tools.fatal_listener", description=__doc__).parse_args()
    main(sys.stdin, sys.stdout)
