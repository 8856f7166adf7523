"""Motions of made-up people who move as bodies do: what exports are compared with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from body.model import Body
from client.motion import About, Motion, Track
from wire.camera import project

RATE = 30000 / 1001
SIZE_PX = (640, 360)
FRAMES = 40

#: Camera axes (x right, y down, z away) to those of the exports (x right, y up, z towards the camera).
UP = np.diag([1.0, -1.0, -1.0])

#: How far an export may be off.
MM, DEGREES = 1.0, 0.1


def moving(body: Body, *, said: str = "", frames: int = FRAMES, times_s: np.ndarray | None = None) -> Motion:
    """Two people: 3 turns round once and is to be shown, 5 comes later and is out of reach in between."""
    times_s = np.arange(frames) / RATE if times_s is None else times_s
    gone = frames // 2
    later = np.r_[frames // 6 : gone, gone + 4 : frames]
    return Motion(
        about=About("ride.mp4", RATE, "made-up", body=said),
        times_s=times_s,
        sizes_px=np.tile(np.array(SIZE_PX, np.int32), (frames, 1)),
        primary_tracks=np.full(frames, 3, np.int32),
        errors=np.full(frames, ""),
        new_shots=np.zeros(frames, bool),
        tracks=(
            _track(body, 3, np.arange(frames), times_s, x_m=-0.4, turn=2 * np.pi),
            _track(body, 5, later, times_s, x_m=0.7, turn=0.5),
        ),
    )


def _track(
    body: Body, track_id: int, frames: np.ndarray, times_s: np.ndarray, *, x_m: float, turn: float
) -> Track:
    random = np.random.default_rng(track_id)
    count = len(frames)
    share = (frames - frames[0])[:, None, None] / max(times_s.size - 1, 1)
    swing = 0.5 * np.sin(7 * share + random.uniform(0, 6, (1, 24, 3))) * random.uniform(0.2, 1, (1, 24, 3))
    swing[:, 0] *= 0.3
    rotations = Rotation.from_rotvec(swing.reshape(-1, 3)).as_matrix().reshape(count, 24, 3, 3)
    yaw = Rotation.from_euler("y", turn * share[:, 0]).as_matrix()
    rotations[:, 0] = UP @ yaw @ rotations[:, 0]
    rotations = rotations.astype(np.float32)
    betas = np.tile(random.normal(0, 0.8, 10).astype(np.float32), (count, 1))
    translation = np.stack([x_m + share[:, 0, 0], 0.1 * np.sin(9 * share[:, 0, 0]), 40 + share[:, 0, 0]], 1)
    mesh = body.mesh(rotations, betas)
    keypoints = body.keypoints(mesh)
    in_picture = project(keypoints, translation, *SIZE_PX)
    states = np.zeros(count, np.uint8)
    states[3:6] = 2
    return Track(
        track_id=track_id,
        frames=frames,
        times_s=times_s[frames],
        states=states,
        tentative=np.zeros(count, bool),
        frames_since_detected=np.where(states == 2, np.arange(count) - 2, 0).astype(np.int32),
        confidence=np.linspace(0.9, 0.5, count, dtype=np.float32),
        expected_error_mm=np.where(states == 2, np.nan, 12.5).astype(np.float32),
        expected_error_px=np.full(count, 1.5, np.float32),
        rotations=rotations,
        betas=betas,
        translation=translation.astype(np.float32),
        joints=mesh.joints,
        joint_confidence=random.uniform(0, 1, (count, 24)).astype(np.float32),
        keypoints=keypoints,
        keypoints_2d=in_picture.astype(np.float32),
        keypoint_confidence=random.uniform(0, 1, (count, 17)).astype(np.float32),
        angles=random.uniform(0, 180, (count, 9)).astype(np.float32),
        boxes=np.concatenate([in_picture.min(axis=1) - 5, in_picture.max(axis=1) + 5], 1).astype(np.float32),
        filled=states == 2,
        standing=np.zeros((count, 2), bool),
    )


def shift(motion: Motion) -> np.ndarray:
    """What exports add to places in turned camera axes: see `docs/formats.md`."""
    track = motion.tracks[0]
    first = (track.joints[0] + track.translation[0]).astype(float) @ UP
    return -np.array([first[0, 0], first[:, 1].min(), first[0, 2]])


def places(motion: Motion, track: Track) -> np.ndarray:
    """The joints (N, 24, 3) where exports have them: metres, y up."""
    return (track.joints + track.translation[:, None]).astype(float) @ UP + shift(motion)


def turns(track: Track) -> np.ndarray:
    """The rotation (N, 24, 3, 3) of every joint in the axes of the exports."""
    whole = track.rotations.astype(float)
    whole[:, 0] = UP @ whole[:, 0]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        whole[:, joint] = whole[:, parent] @ whole[:, joint]
    return whole


#: Of SMPL's joints; written again here, so that a mistake in one place shows.
PARENTS: Sequence[int] = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]


def off_mm(found: np.ndarray, expected: np.ndarray) -> float:
    """The greatest distance between places (..., 3) in metres."""
    return float(np.linalg.norm(found - expected, axis=-1).max() * 1e3)


def off_degrees(found: np.ndarray, expected: np.ndarray) -> float:
    """The greatest angle between rotations (..., 3, 3)."""
    between = np.swapaxes(found, -1, -2) @ expected
    return float(np.degrees(Rotation.from_matrix(between.reshape(-1, 3, 3)).magnitude().max()))


def file_in(folder: Path, suffix: str) -> Path:
    """The one file with that suffix."""
    (found,) = folder.glob(f"*{suffix}")
    return found
