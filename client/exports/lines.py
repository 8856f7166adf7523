"""JSON lines: an object for each frame with its people, everything as the result has it."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from client.exports.scene import Scene
from client.motion import Motion, Track
from client.records import NOBODY, STATES

_ARRAYS = (
    "rotations", "betas", "translation", "joints", "joint_confidence", "keypoints", "keypoints_2d",
    "keypoint_confidence", "angles",
)  # fmt: skip


def write(motion: Motion, _scene: Scene, path: Path) -> None:
    """All frames, also those of nobody."""
    rows: dict[int, list[tuple[Track, int]]] = defaultdict(list)
    for track in motion.tracks:
        for row, frame in enumerate(track.frames.tolist()):
            rows[frame].append((track, row))
    with path.open("wb") as file:
        for frame in range(len(motion.times_s)):
            told = _frame(motion, frame) | {"people": [_person(*person) for person in rows[frame]]}
            file.write(orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))


def _frame(motion: Motion, frame: int) -> dict[str, Any]:
    primary = int(motion.primary_tracks[frame])
    return {
        "frame": frame,
        "time_s": float(motion.times_s[frame]),  # orjson writes null for what is no number
        "width": int(motion.sizes_px[frame, 0]),
        "height": int(motion.sizes_px[frame, 1]),
        "primary_track": None if primary == NOBODY else primary,
        "error": str(motion.errors[frame]) or None,
    }


def _person(track: Track, row: int) -> dict[str, Any]:
    return {
        "track_id": track.track_id,
        "state": STATES[track.states[row]],
        "frames_since_detected": int(track.frames_since_detected[row]),
        "tentative": bool(track.tentative[row]),
        "filled": bool(track.filled[row]),
        "standing": track.standing[row].tolist(),
        "confidence": float(track.confidence[row]),
        "expected_error_mm": float(track.expected_error_mm[row]),
        "expected_error_px": float(track.expected_error_px[row]),
        "box": np.ascontiguousarray(track.boxes[row]),
        **{name: np.ascontiguousarray(getattr(track, name)[row]) for name in _ARRAYS},
    }
