"""CSV: a row for each person in each frame, as the result has it: camera axes, metres, pixels, degrees."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from client.exports.scene import Scene
from client.motion import Motion, Track
from client.records import STATES
from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES, SMPL_JOINTS

#: Columns of numbers: the result's array -> their names.
_NUMBERS = {
    "boxes": ["box_x0", "box_y0", "box_x1", "box_y1"],
    "translation": ["translation_x", "translation_y", "translation_z"],
    "betas": [f"beta_{number}" for number in range(10)],
    "joints": [f"{joint}_{axis}" for joint in SMPL_JOINTS for axis in "xyz"],
    "joint_confidence": [f"{joint}_confidence" for joint in SMPL_JOINTS],
    "keypoints": [f"keypoint_{name}_{axis}" for name in COCO_KEYPOINTS for axis in "xyz"],
    "keypoints_2d": [f"keypoint_{name}_{axis}_px" for name in COCO_KEYPOINTS for axis in "xy"],
    "keypoint_confidence": [f"keypoint_{name}_confidence" for name in COCO_KEYPOINTS],
    "angles": [f"angle_{name}" for name in JOINT_ANGLES],
}
_TURNS = [f"{joint}_turn_{axis}" for joint in SMPL_JOINTS for axis in "xyz"]
_FACTS = [
    "frame", "time_s", "track_id", "primary", "state", "frames_since_detected", "tentative", "filled",
    "standing_left", "standing_right", "confidence", "expected_error_mm", "expected_error_px",
]  # fmt: skip

COLUMNS = [*_FACTS, *(name for names in _NUMBERS.values() for name in names), *_TURNS]

#: All numbers of a row at once, with as many digits as single precision is good for.
_ROW = ",%.7g" * (len(COLUMNS) - len(_FACTS)) + "\n"


def write(motion: Motion, _scene: Scene, path: Path) -> None:
    """All tracks, frame by frame."""
    tables = [(track, _numbers(track)) for track in motion.tracks]
    rows = sorted(
        (int(frame), track.track_id, table, row)
        for table, (track, _) in enumerate(tables)
        for row, frame in enumerate(track.frames)
    )
    with path.open("w", newline="\n") as file:  # nothing in a cell ever wants quotes
        file.write(",".join(COLUMNS) + "\n")
        for _, _, table, row in rows:
            track, numbers = tables[table]
            file.write(",".join(map(str, _facts(motion, track, row))) + _ROW % tuple(numbers[row].tolist()))


def _facts(motion: Motion, track: Track, row: int) -> Iterator[Any]:
    frame = int(track.frames[row])
    yield from (frame, _text(track.times_s[row]), track.track_id)
    yield int(motion.primary_tracks[frame] == track.track_id)
    yield STATES[track.states[row]]
    yield from (int(track.frames_since_detected[row]), int(track.tentative[row]), int(track.filled[row]))
    yield from track.standing[row].astype(int).tolist()
    yield from map(_text, (track.confidence[row], track.expected_error_mm[row], track.expected_error_px[row]))


def _numbers(track: Track) -> np.ndarray:
    count = len(track.frames)
    turns = Rotation.from_matrix(track.rotations.reshape(-1, 3, 3)).as_rotvec().reshape(count, -1)
    return np.concatenate([*(getattr(track, name).reshape(count, -1) for name in _NUMBERS), turns], axis=1)


def _text(value: float) -> str:
    """Empty where it is not said."""
    return "" if np.isnan(value) else f"{value:.7g}"
