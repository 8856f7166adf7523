"""Tells by its exit status whether a program serves: `python -m tools.ready broker|brokers|worker`.

`broker` is this machine's, which is asked for its status; `brokers` are all of `POSE_BROKERS`, for whoever
looks after the whole: a probe that ended one broker because another is away would end them all. A worker
leaves a file while it is loaded and connected to a broker. The edge is asked over HTTP: `/health`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from wire import settings as wire_settings
from wire.connection import connect
from wire.errors import PoseError
from wire.settings import Settings
from workers import alive

EXIT_NOT_READY = 1

#: Exit status when the settings are wrong, or do not let a broker be asked.
EXIT_BAD_SETTINGS = 2

_ANSWERS_WITHIN_S = 3.0


def main(arguments: list[str]) -> int:
    """Look once; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.ready", description=__doc__)
    parser.add_argument("program", choices=("broker", "brokers", "worker"))
    parser.add_argument("--index", type=int, default=0, help="which worker")
    given = parser.parse_args(arguments)
    try:
        failing = _failing(given.program, given.index, wire_settings.load(os.environ))
    except ValueError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_SETTINGS
    for program in failing:
        print(f"{program} does not serve", file=sys.stderr)
    return EXIT_NOT_READY if failing else 0


def _failing(program: str, index: int, settings: Settings) -> list[str]:
    """Which of those that were asked for do not serve. Raises `ValueError` as `silent` does."""
    if program == "worker":
        return [] if alive.serves(settings, index) else ["the worker"]
    addresses = settings.broker_addresses() if program == "brokers" else [settings.frames_address()]
    return [f"the broker at {address}" for address in silent(addresses, settings)]


def silent(addresses: Sequence[str], settings: Settings) -> list[str]:
    """Where no broker answers. Raises `ValueError` where one may not be asked with these keys."""
    with ThreadPoolExecutor(len(addresses)) as pool:
        answers = pool.map(lambda address: _answers(address, settings), addresses)
        return [address for address, answered in zip(addresses, answers, strict=True) if not answered]


def _answers(address: str, settings: Settings) -> bool:
    with connect([address], settings) as broker:
        try:
            broker.status(timeout_s=_ANSWERS_WITHIN_S)
        except PoseError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
