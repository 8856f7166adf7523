"""Tells by its exit status whether a program serves, for probes: `python -m tools.ready broker|worker`.

The broker is asked for its status, on this machine; a worker leaves a file while it is loaded and connected
to the broker. The edge is asked over HTTP: `/health`.
"""

import argparse
import os
import sys

from wire import settings as wire_settings
from wire.connection import Connection
from wire.endpoints import check_endpoint
from wire.errors import PoseError
from wire.settings import Settings
from workers import alive

EXIT_NOT_READY = 1

_ANSWERS_WITHIN_S = 3.0


def main(arguments: list[str]) -> int:
    """Look once; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.ready", description=__doc__)
    parser.add_argument("program", choices=("broker", "worker"))
    parser.add_argument("--index", type=int, default=0, help="which worker")
    given = parser.parse_args(arguments)
    settings = wire_settings.load(os.environ)
    ready = broker_serves(settings) if given.program == "broker" else alive.serves(settings, given.index)
    if not ready:
        print(f"the {given.program} does not serve", file=sys.stderr)
    return 0 if ready else EXIT_NOT_READY


def broker_serves(settings: Settings) -> bool:
    """Whether the broker of this machine answers."""
    address = check_endpoint(settings.frames_address())
    with Connection(address, max_frame_bytes=settings.max_body_bytes) as broker:
        try:
            broker.status(timeout_s=_ANSWERS_WITHIN_S)
        except PoseError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
