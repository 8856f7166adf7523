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

#: Landmark -> the joint that carries it, the joint that it is near, and its offset from that in trunk
#: lengths (pelvis to neck). The right side mirrors the left. `bench/markers.py` tells how the offsets
#: were found, and measures them again.
_ATTACHED: dict[str, tuple[str, str, tuple[float, float, float]]] = {
    "nose": ("head", "head", (0.0, 0.018, 0.228)),
    "left_eye_inner": ("head", "head", (0.031, 0.078, 0.188)),
    "left_eye": ("head", "head", (0.053, 0.079, 0.178)),
    "left_eye_outer": ("head", "head", (0.076, 0.08, 0.167)),
    "left_ear": ("head", "head", (0.11, 0.052, 0.068)),
    "mouth_left": ("head", "head", (0.037, -0.044, 0.199)),
    "left_shoulder": ("left_shoulder", "left_shoulder", (0.0, 0.011, 0.0)),
    "left_elbow": ("left_elbow", "left_elbow", (0.0, 0.0, 0.0)),
    "left_wrist": ("left_wrist", "left_wrist", (0.0, 0.0, 0.0)),
    "left_pinky": ("left_wrist", "left_wrist", (0.169, -0.015, -0.013)),
    "left_index": ("left_wrist", "left_wrist", (0.184, -0.031, 0.055)),
    "left_thumb": ("left_wrist", "left_wrist", (0.135, -0.043, 0.077)),
    "left_hip": ("left_hip", "left_hip", (0.015, 0.016, 0.0)),
    "left_knee": ("left_knee", "left_knee", (0.0, -0.011, 0.0)),
    "left_ankle": ("left_knee", "left_ankle", (-0.011, 0.033, 0.0)),
    "left_heel": ("left_ankle", "left_ankle", (-0.042, -0.038, -0.061)),
    "left_foot_index": ("left_ankle", "left_ankle", (-0.012, -0.067, 0.296)),
}

_MIRROR = np.array([-1.0, 1.0, 1.0])
_PELVIS, _NECK = SMPL_JOINTS.index("pelvis"), SMPL_JOINTS.index("neck")


def other_side(name: str) -> str:
    """The same landmark or joint on the other side; a middle one is its own."""
    left, right = name.replace("left", "right"), name.replace("right", "left")
    return right if left == name else left


#: Index of each landmark's counterpart on the other side.
SWAPPED = np.array([INDEX[other_side(name)] for name in LANDMARK_NAMES])


def _attachment(name: str) -> tuple[int, int, Array]:
    if name in _ATTACHED:
        carrier, anchor, offset = _ATTACHED[name]
        return SMPL_JOINTS.index(carrier), SMPL_JOINTS.index(anchor), np.array(offset)
    carrier, anchor, offset = _ATTACHED[other_side(name)]
    return SMPL_JOINTS.index(other_side(carrier)), SMPL_JOINTS.index(other_side(anchor)), _MIRROR * offset


_ATTACHMENTS = [_attachment(name) for name in LANDMARK_NAMES]

#: (33,) the joint that carries each landmark.
OWNERS = np.array([carrier for carrier, _, _ in _ATTACHMENTS])
_ANCHORS = np.array([anchor for _, anchor, _ in _ATTACHMENTS])
_OFFSETS = np.array([offset for _, _, offset in _ATTACHMENTS])


def attach(joints: Array) -> Rest:
    """The resting skeleton `joints` (24, 3), metres, with the 33 landmarks on it."""
    trunk = np.linalg.norm(joints[_NECK] - joints[_PELVIS])
    return Rest(joints, OWNERS, joints[_ANCHORS] + _OFFSETS * trunk - joints[OWNERS])
