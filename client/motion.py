"""The motion of one video: who was in it, when, how they moved. Read from the file that bulk work writes.

The file is an `.npz` without pickles: the arrays of `records.FRAME` with a row for each frame, those of
`records.FINISHED` with a row for each person of each frame, in order, and a JSON text `about`. The folder
of a video that is still being worked on is read as well.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from client import records, spool
from client.records import FINISHED, FRAME, NOBODY, Records, states_shown

Array = npt.NDArray[Any]

#: What `about` says of the file's form.
FORMAT = "everyframe-motion"
VERSION = 3

#: Frames' arrays in the file; `people` tells how many rows of the people's arrays belong to each frame.
_FRAME_ARRAYS = tuple(name for name in FRAME.names or () if name != "checksum")
_PERSON_ARRAYS = FINISHED.names or ()

#: The same arrays give the same file, whenever it is written.
_NO_DATE = (1980, 1, 1, 0, 0, 0)

#: Numbers hardly get smaller; what repeats (shape, states, the frames of nobody) does at once.
_LEVEL = 1


class About(NamedTuple):
    """What is said of a video as a whole.

    error: why it ends before its end; None: it does not. passes: 1: each frame as answered, knowing only what
    came before; 2: with a second look at the whole. merged: track ids that the second pass gave up, each with
    the one that it found to be the same person. body: that of all poses, as `body.stated` says it; empty: the
    workers did not say. before_s: how long before they are first seen the second pass fills people in; None:
    there was none.
    """

    source: str
    frames_per_second: float | None
    model_version: str
    error: str | None = None
    passes: int = 1
    merged: Mapping[int, int] = MappingProxyType({})
    body: str = ""
    before_s: float | None = None


class Counts(NamedTuple):
    """Frames and tracks, and frames by the state of the person to show, or for the want of one."""

    frames: int
    tracks: int
    detected: int
    recovered: int
    predicted: int
    nobody: int
    failed_frames: int


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person in N frames, ascending; frames in which they were out of reach are missing.

    After two passes betas are the same in all rows.

    frames: (N,) int64, index of each row's frame in the video. times_s: (N,) float64. states: (N,) uint8,
    index into `records.STATES` (detected, recovered, predicted). tentative: (N,) bool. frames_since_detected:
    (N,) int32; -n: it is n frames until they are for the first time. filled: (N,) bool, whether the pose of a
    frame that does not show the person follows from later frames as well; what is `predicted` and not filled
    follows from earlier ones alone. standing: (N, 2) bool, left and right foot, whether it stands still on
    something; False throughout after one pass. confidence, expected_error_mm, expected_error_px: (N,)
    float32, NaN where not said. rotations: (N, 24, 3, 3), global_orient first. betas: (N, 10). translation:
    (N, 3), to the full-image camera (x right, y down, z away; metres). joints: (N, 24, 3), SMPL, body-
    centred, metres, camera axes; joint_confidence: (N, 24). keypoints: (N, 17, 3), COCO; keypoints_2d: (N,
    17, 2), pixels upright; keypoint_confidence: (N, 17). angles: (N, 9), degrees, 180 straight. boxes: (N,
    4), x0 y0 x1 y1, pixels. All float32 where nothing else is said.
    """

    track_id: int
    frames: Array
    times_s: Array
    states: Array
    tentative: Array
    frames_since_detected: Array
    confidence: Array
    expected_error_mm: Array
    expected_error_px: Array
    rotations: Array
    betas: Array
    translation: Array
    joints: Array
    joint_confidence: Array
    keypoints: Array
    keypoints_2d: Array
    keypoint_confidence: Array
    angles: Array
    boxes: Array
    filled: Array
    standing: Array


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """A video of F frames. tracks: by track id.

    times_s: (F,) float64, from the video's beginning. sizes_px: (F, 2) int32, width and height.
    primary_tracks: (F,) int32, the track id of the person to show, -1: nobody. errors: (F,), the code of each
    frame's failure, empty: none. new_shots: (F,) bool, another shot begins with the frame.
    """

    about: About
    times_s: Array
    sizes_px: Array
    primary_tracks: Array
    errors: Array
    new_shots: Array
    tracks: tuple[Track, ...]


def load(path: Path) -> Motion:
    """The motion in a result file, or of what is done in the folder of an unfinished video.

    Raises `ValueError` where it is neither, `OSError` where it cannot be read.
    """
    return _of_folder(path) if path.is_dir() else _of_file(path)


def about(path: Path) -> Mapping[str, Any]:
    """What a result file says of itself. Raises `ValueError` where it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            told: dict[str, Any] = json.loads(str(file["about"]))
    except (KeyError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} is not a result of bulk work: {error}") from None
    if told.get("format") != FORMAT or told.get("version") != VERSION:
        raise ValueError(f"{path} is of another format or version")
    return told


def counts(path: Path) -> Counts:
    """Those of a result file."""
    with np.load(path, allow_pickle=False) as file:
        people, primary, errors = file["people"], file["primary_tracks"], file["errors"]
        tracks, states = file["track_ids"], file["states"]
    shown = states_shown(primary_tracks=primary, people=people, track_ids=tracks, states=states)
    return Counts(
        frames=len(people),
        tracks=len(np.unique(tracks)),
        **shown,
        nobody=int(((primary == NOBODY) & (errors == b"")).sum()),
        failed_frames=int((errors != b"").sum()),
    )


class Rows(NamedTuple):
    """What a result file is made of.

    chunks: gives, each time it is called, the `FRAME` records of a few frames at a time, with the `FINISHED`
    ones of their people.
    """

    frames: int
    people: int
    chunks: Callable[[], Iterator[tuple[Records, Records]]]


def as_answered(folder: Path) -> Rows:
    """The frames in a spool's folder, with nothing changed."""
    frames, people = spool.whole(folder)
    return Rows(
        frames,
        people,
        lambda: ((chunk, records.as_answered(persons)) for chunk, persons in spool.chunks(folder, frames)),
    )


def write(rows: Rows, path: Path, told: About, *, identity: Mapping[str, Any]) -> None:
    """A result file, put in place when it is whole. `identity` tells the video's file from others.

    Holds a few hundred frames at a time.
    """
    text = json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            **told._asdict(),
            "merged": dict(told.merged),
            "identity": identity,
        },
        sort_keys=True,
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    with zipfile.ZipFile(unfinished, "w") as file:
        with _entry(file, "about") as entry:
            np.lib.format.write_array(entry, np.array(text), allow_pickle=False)
        for name in _FRAME_ARRAYS:
            with _entry(file, name) as entry:
                _header(entry, FRAME[name], rows.frames)
                for chunk, _ in rows.chunks():
                    entry.write(chunk[name].tobytes())
        for name in _PERSON_ARRAYS:
            with _entry(file, name) as entry:
                _header(entry, FINISHED[name], rows.people)
                for _, chunk in rows.chunks():
                    entry.write(chunk[name].tobytes())
    unfinished.replace(path)


def _entry(file: zipfile.ZipFile, name: str) -> IO[bytes]:
    information = zipfile.ZipInfo(f"{name}.npy", date_time=_NO_DATE)
    information.compress_type = zipfile.ZIP_DEFLATED
    information._compresslevel = _LEVEL  # type: ignore[attr-defined]
    return file.open(information, "w", force_zip64=True)


def _header(entry: IO[bytes], field: "np.dtype[Any]", count: int) -> None:
    shape = (count, *field.shape)
    descr = np.lib.format.dtype_to_descr(field.base)
    np.lib.format.write_array_header_1_0(entry, {"descr": descr, "fortran_order": False, "shape": shape})


def _of_file(path: Path) -> Motion:
    told = about(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in (*_FRAME_ARRAYS, *_PERSON_ARRAYS)}
    merged = {int(former): track_id for former, track_id in told["merged"].items()}
    return _motion(About(**{name: told[name] for name in About._fields} | {"merged": merged}), arrays)


def _of_folder(path: Path) -> Motion:
    parts = list(as_answered(path).chunks())
    rows = np.concatenate([np.zeros(0, FRAME), *(part[0] for part in parts)])
    persons = np.concatenate([np.zeros(0, FINISHED), *(part[1] for part in parts)])
    arrays = {name: rows[name] for name in _FRAME_ARRAYS} | {name: persons[name] for name in _PERSON_ARRAYS}
    return _motion(About(path.stem, None, "", "the video is not finished"), arrays)


def _motion(told: About, arrays: Mapping[str, Array]) -> Motion:
    return Motion(
        about=told,
        times_s=arrays["times_s"],
        sizes_px=arrays["sizes_px"],
        primary_tracks=arrays["primary_tracks"],
        errors=arrays["errors"].astype(str),
        new_shots=arrays["new_shots"],
        tracks=tuple(_tracks(arrays)),
    )


def _tracks(arrays: Mapping[str, Array]) -> Iterator[Track]:
    frames = np.repeat(np.arange(len(arrays["people"])), arrays["people"])
    for track_id in np.unique(arrays["track_ids"]).tolist():
        rows = np.flatnonzero(arrays["track_ids"] == track_id)
        own = {name: arrays[name][rows] for name in _PERSON_ARRAYS if name != "track_ids"}
        yield Track(track_id=track_id, frames=frames[rows], times_s=arrays["times_s"][frames[rows]], **own)
