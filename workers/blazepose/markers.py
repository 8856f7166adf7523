"""Where BlazePose's 33 landmarks sit on the SMPL skeleton.

A landmark is a marker: it rides on a joint, at an offset that is fixed in the joint's rest axes
(x to the body's left, y up, z forward) and grows with the body.
"""

import numpy as np

from wire.skeleton import SMPL_JOINTS
from workers.blazepose.kinematics import Array, Rest

LANDMARK_NAMES = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)

INDEX = {name: index for index, name in enumerate(LANDMARK_NAMES)}

#: Landmark -> the joint that carries it, and its offset in trunk lengths (pelvis to neck).
#: The right side mirrors the left.
_ATTACHED: dict[str, tuple[str, tuple[float, float, float]]] = {
    "nose": ("head", (0.0, 0.002, 0.225)),
    "left_eye_inner": ("head", (0.03, 0.08, 0.178)),
    "left_eye": ("head", (0.052, 0.081, 0.174)),
    "left_eye_outer": ("head", (0.08, 0.08, 0.16)),
    "left_ear": ("head", (0.135, 0.044, 0.018)),
    "mouth_left": ("head", (0.041, -0.054, 0.177)),
    "left_shoulder": ("left_shoulder", (0.0, 0.0, 0.0)),
    "left_elbow": ("left_elbow", (0.0, 0.0, 0.0)),
    "left_wrist": ("left_wrist", (0.0, 0.0, 0.0)),
    "left_pinky": ("left_wrist", (0.17, -0.02, -0.06)),
    "left_index": ("left_wrist", (0.19, -0.01, 0.05)),
    "left_thumb": ("left_wrist", (0.10, -0.06, 0.11)),
    "left_hip": ("left_hip", (0.0, 0.0, 0.0)),
    "left_knee": ("left_knee", (0.0, 0.0, 0.0)),
    "left_ankle": ("left_ankle", (0.0, 0.0, 0.0)),
    "left_heel": ("left_ankle", (0.0, -0.063, -0.105)),
    "left_foot_index": ("left_ankle", (0.0, -0.10, 0.35)),
}

_MIRROR = np.array([-1.0, 1.0, 1.0])
_PELVIS, _NECK = SMPL_JOINTS.index("pelvis"), SMPL_JOINTS.index("neck")


def other_side(name: str) -> str:
    """The same landmark or joint on the other side; a middle one is its own."""
    left, right = name.replace("left", "right"), name.replace("right", "left")
    return right if left == name else left


#: Index of each landmark's counterpart on the other side.
SWAPPED = np.array([INDEX[other_side(name)] for name in LANDMARK_NAMES])


def _attachment(name: str) -> tuple[int, Array]:
    joint, offset = _ATTACHED.get(name) or _ATTACHED[other_side(name)]
    if name in _ATTACHED:
        return SMPL_JOINTS.index(joint), np.array(offset)
    return SMPL_JOINTS.index(other_side(joint)), _MIRROR * offset


_ATTACHMENTS = [_attachment(name) for name in LANDMARK_NAMES]

#: (33,) the joint that carries each landmark, and (33, 3) its offset in trunk lengths.
OWNERS = np.array([joint for joint, _ in _ATTACHMENTS])
OFFSETS = np.array([offset for _, offset in _ATTACHMENTS])


def attach(joints: Array) -> Rest:
    """The resting skeleton `joints` (24, 3), metres, with the 33 landmarks on it."""
    trunk = np.linalg.norm(joints[_NECK] - joints[_PELVIS])
    return Rest(joints, OWNERS, OFFSETS * trunk)
