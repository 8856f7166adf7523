"""People whose motion is known: the answers that a service would give of them, in a spool's folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from body.model import Body
from client.records import FRAME, NOBODY, PERSON, STATES, Record, checksum
from client.second_pass.turns import rotations_of, turns_of
from client.spool import Spool
from wire.camera import project
from wire.skeleton import SMPL_JOINTS

RATE = 30.0
SIZE_PX = (640, 360)
BODY = Body.open()

#: Upright before the camera, whose y points down, and seen from the side.
UPRIGHT = Rotation.from_euler("x", 180, degrees=True).as_matrix()
SIDEWAYS = UPRIGHT @ Rotation.from_euler("y", 90, degrees=True).as_matrix()


def turned(*, joint: str, axis: str, angles: np.ndarray, facing: np.ndarray = UPRIGHT) -> np.ndarray:
    """Turns (N, 24, 3, 3) of somebody upright who turns all below one joint by angles (N,), radians."""
    rotations = np.tile(np.eye(3), (len(angles), 24, 1, 1))
    rotations[:, 0] = facing
    rotations[:, SMPL_JOINTS.index(joint)] = (
        rotations[:, SMPL_JOINTS.index(joint)] @ Rotation.from_euler(axis, angles[:, None]).as_matrix()
    )
    return turns_of(rotations)


def walking(frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turns (N, 24, 3, 3), pelvis (N, 3) and standing feet (N, 2) of somebody walking across."""
    swing = 0.35 * np.sin(np.arange(frames) / RATE * 2 * np.pi * 0.8)
    turns = np.tile(SIDEWAYS, (frames, 24, 1, 1))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lifted = 0.6 * np.clip(-sign * np.gradient(swing) * RATE / 1.7, 0, 1)
        for joint, angle in (("hip", sign * swing), ("knee", sign * swing + lifted)):
            bent = Rotation.from_euler("x", -angle[:, None]).as_matrix()
            turns[:, SMPL_JOINTS.index(f"{side}_{joint}")] = SIDEWAYS @ bent
    joints = posed(turns, np.zeros((frames, 10)))
    ankles = joints[:, [SMPL_JOINTS.index("left_ankle"), SMPL_JOINTS.index("right_ankle")]] - joints[:, :1]
    lower = (ankles[:, 1, 1] > ankles[:, 0, 1]).astype(int)  # y points down
    pelvis = np.zeros((frames, 3))
    place = np.array([0.0, 0.0, 40.0])
    for frame in range(frames):
        if frame and lower[frame] != lower[frame - 1]:
            place = pelvis[frame - 1] + ankles[frame - 1, lower[frame]]
        elif not frame:
            place = place + ankles[0, lower[0]]
        pelvis[frame] = place - ankles[frame, lower[frame]]
    return turns, pelvis, np.stack([lower == 0, lower == 1], axis=1)


def posed(turns: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """Joints (N, 24, 3)."""
    return BODY.joints(rotations_of(turns).astype(np.float32), betas.astype(np.float32)).astype(np.float64)


def answers(
    turns: np.ndarray,
    *,
    pelvis: np.ndarray | None = None,
    betas: np.ndarray | None = None,
    track_id: int = 1,
    states: Sequence[str] | None = None,
) -> np.ndarray:
    """`PERSON` records (N,) of that motion, pelvis (N, 3), as a service without smoothing gives them."""
    count = len(turns)
    rows = np.zeros(count, PERSON)
    rows["track_ids"] = track_id
    rows["states"] = [STATES.index(state) for state in states or ["detected"] * count]
    rows["confidence"], rows["expected_error_mm"], rows["expected_error_px"] = 0.9, 10.0, 2.0
    rows["rotations"] = rotations_of(turns)
    rows["betas"] = np.zeros(10) if betas is None else betas
    mesh = BODY.mesh(rows["rotations"], rows["betas"])
    rows["joints"], rows["keypoints"] = mesh.joints, BODY.keypoints(mesh)
    rows["translation"] = (np.array([0.0, 0.0, 40.0]) if pelvis is None else pelvis) - mesh.joints[:, 0]
    rows["keypoints_2d"] = project(rows["keypoints"], rows["translation"], *SIZE_PX)
    rows["joint_confidence"] = rows["keypoint_confidence"] = 0.8
    low, high = rows["keypoints_2d"].min(axis=1), rows["keypoints_2d"].max(axis=1)
    rows["boxes"] = np.concatenate([low, high], axis=1)
    return rows


def spool(
    folder: Path,
    people: Sequence[Mapping[int, np.void]],
    *,
    frames: int,
    shots: Sequence[int] = (),
    failed: Sequence[int] = (),
) -> Path:
    """A spool of a video: of each person, his record in each frame that has one."""
    with Spool(folder) as spooled:
        for number in range(frames):
            there = [one[number] for one in people if number in one and number not in failed]
            header = np.zeros((), FRAME)
            header["times_s"], header["sizes_px"], header["people"] = number / RATE, SIZE_PX, len(there)
            header["primary_tracks"] = there[0]["track_ids"] if there else NOBODY
            header["errors"] = b"poison_frame" if number in failed else b""
            header["new_shots"] = number in shots
            rows = np.array(there, PERSON).tobytes() if there else b""
            header["checksum"] = checksum(header.tobytes(), rows)
            spooled.add(Record(header.tobytes(), rows))
    return folder
