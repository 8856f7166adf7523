"""`everyframe export`: results that are there, in the formats of other tools.

everyframe export motion/ -f bvh,glb
everyframe export motion/ride.mp4.npz -f trc -o opensim/ --track 3
everyframe export motion/ride.mp4.npz --vmc 192.168.1.20:39539
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from client import motion
from client.exports import formats, vmc
from client.exports.formats import FORMATS, Choice
from client.exports.scene import Unavailable
from client.exports.skeleton import evenly, of_track, rate
from client.motion import Motion, Track
from client.terminal import complain, terminal
from wire import settings as wire_settings
from wire.errors import PoseError

EXIT_WRITTEN = 0
EXIT_SOME_FAILED = 1
EXIT_BAD_ARGUMENTS = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit status."""
    given = _parser().parse_args(arguments)
    console = terminal(quiet=given.quiet)
    try:
        choice = Choice(formats.named(given.format), tuple(given.track), given.origin == "camera")
        avatar = vmc.address(given.vmc) if given.vmc else None
        if not choice.formats and avatar is None:
            raise ValueError(f"name a format: -f {','.join(FORMATS)}; or an avatar: --vmc host:port")
        assets_dir = wire_settings.load(os.environ).assets_directory()
        results = list(_results(given.results))
    except (ValueError, OSError) as error:
        complain(console, error)
        return EXIT_BAD_ARGUMENTS
    status = EXIT_WRITTEN
    for result in results:
        try:
            moving = motion.load(result)
            for path in _export(moving, result, choice, given, assets_dir):
                console.print(str(path), soft_wrap=True)
            if avatar:
                _perform(moving, choice, avatar, console)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except (PoseError, Unavailable, ValueError, OSError) as error:
            complain(console, f"{result}: {error}")
            status = EXIT_SOME_FAILED
    return status


def add_choices(add: Any) -> None:
    """The options that the bulk command has as well."""
    add("-f", "--format", action="append", default=[], metavar="NAMES",
        help=f"formats to write, by comma or repeated: {', '.join(FORMATS)} (docs/formats.md)")  # fmt: skip
    add("--origin", choices=("start", "camera"), default="start",
        help="of places in formats for animation: below the first pose of the person to show, or the camera "
        "(default: %(default)s)")  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="everyframe export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("results", nargs="+", type=Path, help="results of bulk work (.npz), or folders of them")
    add_choices(add)
    add("-o", "--output", type=Path, metavar="FOLDER", help="where to write (default: beside each result)")
    add("--track", type=int, action="append", default=[], metavar="ID", help="only this person; repeatable")
    add("--video", type=Path, metavar="PATH", help="for overlays, where the video is not where it was")
    add(
        "--vmc",
        metavar="HOST:PORT",
        help="play the person to show, or --track, to an avatar",
    )
    add("-q", "--quiet", action="store_true", help="show nothing; the exit status tells")
    return parser


def _results(given: Sequence[Path]) -> Iterator[Path]:
    """The results that are meant. Raises `ValueError` where a folder has none."""
    for path in given:
        if not path.is_dir() or path.suffix == ".partial":
            yield path
            continue
        inside = [file for file in sorted(path.glob("*.npz")) if _is_result(file)]
        if not inside:
            raise ValueError(f"{path}: no results of bulk work are in this folder")
        yield from inside


def _is_result(path: Path) -> bool:
    """Exports may be `.npz` as well, and lie beside the results."""
    try:
        return bool(motion.about(path))
    except ValueError:
        return False


def _export(
    moving: Motion, result: Path, choice: Choice, given: argparse.Namespace, assets_dir: Path
) -> list[Path]:
    folder = given.output or result.parent
    folder.mkdir(parents=True, exist_ok=True)
    video = given.video or formats.filmed(result)
    scene = formats.scene_of(moving, choice, assets_dir=assets_dir, video=video)
    return formats.export(formats.targets(moving, choice, folder / result.stem), scene)


def _perform(moving: Motion, choice: Choice, avatar: tuple[str, int], console: Console) -> None:
    track = _performer(moving, choice)
    fps = rate(moving)
    skeleton = evenly(of_track(track, formats.world_of(moving, choice), rate=fps), fps)
    console.print(
        f"person {track.track_id} for {skeleton.times_s[-1] - skeleton.times_s[0]:.1f} s to {avatar}"
    )
    with vmc.Sender(*avatar) as sender:
        vmc.play(skeleton, sender.send, now=time.monotonic, sleep=time.sleep)


def _performer(moving: Motion, choice: Choice) -> Track:
    """Whom an avatar follows: who is asked for, or else who is to be shown in most frames."""
    chosen = [track for track in moving.tracks if track.track_id in choice.tracks or not choice.tracks]
    if not chosen:
        raise ValueError("there is nobody to be played")
    return max(chosen, key=lambda track: int((moving.primary_tracks == track.track_id).sum()))
