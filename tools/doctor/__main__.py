"""Starts the doctor: `python -m tools.doctor [--json]`; exit status 1 where something will not work."""

import argparse
import os
import sys

from tools.doctor import checks, gather, report


def main() -> int:
    """Look, judge, report; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    findings = checks.examine(gather.facts(os.environ))
    if options.json:
        print(report.as_json(findings))
    else:
        print(*report.lines(findings), sep="\n")
    return 0 if report.healthy(findings) else 1


if __name__ == "__main__":
    sys.exit(main())
