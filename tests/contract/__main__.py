"""Many generated requests, and mutated pictures and bodies: `python -m tests.contract --requests 5000`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.contract.fuzzing import fuzz
from tests.contract.mutations import send_mutated
from tests.contract.running import service

#: Operations that have something to generate, and so get as many requests as they are allowed.
_GENERATED = 9


def main() -> int:
    """Send them to a service of our own; the exit status is 1 if an answer is not as the contract has it."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--mutated", type=int, default=1_000, help="pictures and bodies, half of each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, service(Path(directory)) as running:
        started = time.perf_counter()
        outcome = fuzz(running.port, examples=given.requests // _GENERATED)
        print(outcome.report)
        print(f"{outcome.requests} generated requests, {time.perf_counter() - started:.0f} s")
        answers, wrong = send_mutated(running, count=given.mutated)
        for (kind, status, code), count in sorted(answers.items(), key=str):
            print(f"  {count:5} x mutated {kind}: {status} {code}")
        for line in wrong:
            print(line)
    return 0 if outcome.holds and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
