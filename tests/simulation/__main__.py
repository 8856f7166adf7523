"""Many random histories on all cores: `python -m tests.simulation --histories 50000`."""

import argparse
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.world import World
from wire import processors

_CHUNK = 50


def story(seed: int) -> str | None:
    """Why history `seed` breaks a promise, with its last events; None: it does not."""
    world = World(seed)
    try:
        world.run()
    except AssertionError as broken:
        return "\n".join([*world.history[-80:], f"seed {seed}: {broken}"])
    return None


def main() -> int:
    """Run them; the exit status is 1 if one breaks a promise, and its story is printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=50_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=processors.usable())
    given = parser.parse_args()
    started = time.perf_counter()
    seeds = range(given.first, given.first + given.histories)
    with ProcessPoolExecutor(given.jobs, initializer=logging.disable) as pool:
        for broken in pool.map(story, seeds, chunksize=_CHUNK):
            if broken:
                print(broken)
                pool.shutdown(cancel_futures=True)
                return 1
    elapsed_s = time.perf_counter() - started
    print(f"{given.histories} histories, no promise broken, {elapsed_s:.0f} s on {given.jobs} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
