"""The formats there are, and writing a motion in some of them: files appear when they are whole."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from body import stated
from body.model import Body
from client.exports import amass, bvh, glb, lines, overlay, phalp, table, trc, world
from client.exports.scene import Scene
from client.exports.world import World
from client.inputs import Video
from client.motion import Motion, about

Write = Callable[[Motion, Scene, Path], None]


class Format(NamedTuple):
    """A format. each_track: a file for each person; else one for all."""

    suffix: str
    each_track: bool
    write: Write
    what: str


FORMATS = {
    "amass": Format(".amass.npz", True, amass.write, "poses as in AMASS (SMPL+H), z up, metres"),
    "phalp": Format(".phalp.pkl", False, phalp.write_pickle, "PHALP's results, by joblib"),
    "phalp-npz": Format(".phalp.npz", False, phalp.write_arrays, "the same as arrays"),
    "bvh": Format(".bvh", True, bvh.write, "skeleton and rotations, y up, centimetres"),
    "glb": Format(".glb", True, glb.write, "animated surface on a skeleton (glTF), y up, metres"),
    "trc": Format(".trc", True, trc.write, "markers for OpenSim, y up, millimetres"),
    "csv": Format(".csv", False, table.write, "a row for each person and frame"),
    "jsonl": Format(".jsonl", False, lines.write, "an object for each frame, a line each"),
    "overlay": Format(".overlay.mp4", False, overlay.write, "the bodies drawn over the video"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What is wanted of a motion. tracks: only these people; empty: all. camera_origin: not the start."""

    formats: tuple[str, ...]
    tracks: tuple[int, ...] = ()
    camera_origin: bool = False


def named(texts: Iterable[str]) -> tuple[str, ...]:
    """The formats in texts such as `bvh,trc`, each once. Raises `ValueError` naming one that is none."""
    found = dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip())
    for name in found:
        if name not in FORMATS:
            raise ValueError(f"no format {name!r}; there are {', '.join(FORMATS)}")
    return tuple(found)


def scene_of(motion: Motion, choice: Choice, *, assets_dir: Path, video: Path | None) -> Scene:
    """The scene of a whole motion; the body is opened when it is first wanted, once."""

    @cache
    def body() -> Body:
        return stated.opened(motion.about.body, assets_dir)

    regressor = assets_dir / "SMPL_to_J19.pkl"
    return Scene(
        world=world_of(motion, choice),
        body=body,
        regressor=regressor if regressor.is_file() else None,
        video=video,
    )


def world_of(motion: Motion, choice: Choice) -> World:
    """The world of a whole motion, the same for all its people."""
    return world.of_camera() if choice.camera_origin else world.of_start(motion)


def filmed(result: Path) -> Path | None:
    """The video that a result is of, where it was, if it is there unchanged."""
    if result.is_dir():
        return None
    identity = about(result)["identity"]
    path = Path(identity["path"])
    try:
        return path if Video(path).identity() == identity else None
    except OSError:
        return None


def targets(motion: Motion, choice: Choice, stem: Path) -> list[tuple[str, Motion, Path]]:
    """What is to be written, and where: format, the motion of one or all people, `stem` with its suffix.

    Raises `ValueError` naming a track that the motion does not have.
    """
    there = {track.track_id: track for track in motion.tracks}
    if missing := [track_id for track_id in choice.tracks if track_id not in there]:
        known = ", ".join(map(str, there)) or "none"
        raise ValueError(f"{motion.about.source} has no track {missing[0]}; it has {known}")
    tracks = [there[track_id] for track_id in choice.tracks or there]
    found: list[tuple[str, Motion, Path]] = []
    for name in choice.formats:
        suffix = FORMATS[name].suffix
        if FORMATS[name].each_track:
            for track in tracks:
                path = stem.with_name(f"{stem.name}.track{track.track_id}{suffix}")
                found.append((name, replace(motion, tracks=(track,)), path))
        else:
            found.append((name, replace(motion, tracks=tuple(tracks)), stem.with_name(stem.name + suffix)))
    return found


def export(written: Sequence[tuple[str, Motion, Path]], scene: Scene) -> list[Path]:
    """Write them; the files. Raises `OSError`, `Unavailable`, or the `PoseError` that says why not."""
    for name, motion, path in written:
        # Its own folder: the file has its own name from the start, for formats that write it into themselves.
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            FORMATS[name].write(motion, scene, unfinished)
            unfinished.replace(path)
    return [path for _, _, path in written]
