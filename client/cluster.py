"""Bulk work as tasks of a Ray cluster: a video each, on whichever machine has a processor free.

    python -m client.cluster --address auto -o /shared/motion rides/ jump.mp4 -- --format bvh

Videos and results are on storage that all machines see under one path; what follows `--` goes to
`python -m client` as it is, and POSE_ settings say where the broker is. A machine that dies takes nothing
with it: Ray gives its videos to others, which go on where they were. The same command does what is left.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import ray

from client import __main__ as alone
from client import bulk
from client.inputs import NotFound, Video, videos
from client.place import Place
from wire import settings as wire_settings

#: Processors that decoding one video keeps busy.
_CPUS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is that of `python -m client`."""
    words = [*(sys.argv[1:] if arguments is None else arguments), "--"]
    end = words.index("--")
    given, options = _parser().parse_args(words[:end]), words[end + 1 : -1]
    before_s = alone.before_s(alone.parser().parse_args([*given.videos, *options]))
    try:
        wanted = videos(given.videos)
        places = bulk.places(wanted, given.output.resolve(), before_s=before_s)
        where = list(zip(wanted, places, strict=True))
    except (NotFound, ValueError) as error:
        print(error, file=sys.stderr)
        return alone.EXIT_BAD_ARGUMENTS
    options = [*options, "--workers", "0"]
    if left := [(video, place) for video, place in where if not bulk.finished(video, place)]:
        ray.init(address=given.address, configure_logging=False)
        try:
            _work(left, options)
        finally:
            ray.shutdown()
    # What is whole is only told of; what no machine could do is tried here, where it is seen why.
    return alone.main([*(str(video.path) for video in wanted), "-o", str(given.output), *options])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("videos", nargs="+", help="as `python -m client` takes them")
    add("-o", "--output", type=Path, required=True, metavar="PATH", help="folder for the results")
    add("--address", default="auto", help="the Ray cluster's (default: the one that this machine is of)")
    return parser


def _work(left: Sequence[tuple[Video, Place]], options: Sequence[str]) -> None:
    task = ray.remote(_track).options(
        num_cpus=_CPUS,
        max_retries=-1,
        scheduling_strategy="SPREAD",
        runtime_env={"env_vars": wire_settings.variables(os.environ)},
    )
    asked = {
        task.remote(str(video.path.resolve()), str(place.result), options): video for video, place in left
    }
    waiting = list(asked)
    while waiting:
        [done], waiting = ray.wait(waiting, num_returns=1)
        outcome = _OUTCOMES.get(ray.get(done), "failed")
        print(f"{asked[done].path}: {outcome} ({len(asked) - len(waiting)} of {len(asked)})", flush=True)


def _track(video: str, result: str, options: Sequence[str]) -> int:
    """One video, on the machine that Ray chose; the exit status of `python -m client`."""
    with tempfile.TemporaryDirectory() as folder:
        report = str(Path(folder, alone.REPORT))
        return alone.main([video, "-o", result, "--report", report, "--quiet", *options])


_OUTCOMES: Mapping[int, str] = {alone.EXIT_COMPLETE: "complete", alone.EXIT_NO_SERVICE: "no service answered"}


if __name__ == "__main__":
    sys.exit(main())
