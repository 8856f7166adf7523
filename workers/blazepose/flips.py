"""Left and right taken back where BlazePose swapped them.

Now and then the network takes the left limbs for the right ones, for a frame or for many, with
or without their depth mirrored. One frame seldom tells; the pose that the tracker expects does.
Shoulders, arms and hips swap together; head and legs follow them or not.

Should the expected pose itself be the swapped one, it must not hold. A swap turns shoulders and hips
round but not the feet, so a person whose feet, hips and shoulders face one way is believed as seen,
unless the expected pose does too and only the depth is mirrored. Where that does not show, a tracker
that sees a person flipped for longer than unflipped does well to ask without continuity.
"""

import numpy as np
import numpy.typing as npt

from workers.blazepose.kinematics import Array
from workers.blazepose.markers import INDEX, LANDMARK_NAMES, SWAPPED

_TORSO, _HEAD, _LEGS = 0, 1, 2
_PART = {
    **dict.fromkeys(("shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip"), _TORSO),
    **dict.fromkeys(("knee", "ankle", "heel", "foot_index"), _LEGS),
}
_GROUP = np.array([_PART.get(name.split("_", 1)[-1], _HEAD) for name in LANDMARK_NAMES])
_MEAN = np.eye(3)[_GROUP] / np.bincount(_GROUP)  # (33, 3): the mean over each group

_HIPS = [INDEX["left_hip"], INDEX["right_hip"]]
_KNEES = [INDEX["left_knee"], INDEX["right_knee"]]

#: Another reading is taken when it is this much nearer to the expected pose than the landmarks as
#: they are, and those are at least this far from it, metres (mean over the group).
_NEARER = 0.5
_FAR_M = 0.10
#: Legs go with a swapped torso where they would otherwise strain the thighs: what a metre of that
#: costs, in metres from the expected pose.
_STRAIN_WEIGHT = 6.0
#: Cosine from which feet, hips and shoulders face one way beyond doubt.
_SAME_WAY = 0.6


def unflip(points: Array, expected: Array) -> tuple[Array, npt.NDArray[np.intp], bool]:
    """Points (33, 3) read as the expected pose suggests, where each came from, and whether any were swapped.

    points, expected (33, 3): metres, camera axes, both with the same origin.
    """
    mirrored = points * [1, 1, -1]
    readings = np.stack([points, points[SWAPPED], mirrored[SWAPPED]])  # (3 readings, 33, 3)
    away = np.linalg.norm(readings - expected, axis=-1) @ _MEAN  # (3 readings, 3 groups)
    nearest = np.argmin(away, axis=0)
    clear = (away.min(axis=0) < _NEARER * away[0]) & (away[0] > _FAR_M)
    if faces_one_way(points) and (nearest[_TORSO] == 1 or not faces_one_way(expected)):
        clear[:] = False
    if clear[_TORSO]:
        hips = readings[nearest[_TORSO]][_HIPS]
        strain = _thigh_strain(readings, hips, expected)
        nearest[_LEGS] = np.argmin(away[:, _LEGS] + _STRAIN_WEIGHT * strain)
        clear[:] = True
    chosen = np.where(clear, nearest, 0)[_GROUP]
    landmark = np.arange(len(points))
    source = np.where(chosen > 0, SWAPPED, landmark)
    return readings[chosen, landmark], source, bool(chosen.any())


def _thigh_strain(readings: Array, hips: Array, expected: Array) -> Array:
    """(3,): by how many metres each reading's knees would stretch or shrink the thighs from `hips`."""
    thighs = np.linalg.norm(readings[:, _KNEES] - hips, axis=-1)  # (3, 2)
    usual = np.linalg.norm(expected[_KNEES] - expected[_HIPS], axis=-1)
    return np.mean(np.abs(thighs - usual), axis=1)


def faces_one_way(points: Array) -> bool:
    """Whether both feet, the hips and the shoulders of `points` (33, 3) face the same way."""
    left, right = (
        np.stack([points[INDEX[f"{side}_{name}"]] for name in ("shoulder", "hip", "foot_index", "heel")])
        for side in ("left", "right")
    )
    middle = (left + right) / 2
    up = middle[0] - middle[1]
    shoulders, hips = np.cross(left[0] - right[0], up), np.cross(left[1] - right[1], up)
    others = np.stack([shoulders, left[2] - left[3], right[2] - right[3]])
    scale = np.linalg.norm(others, axis=1) * np.linalg.norm(hips)
    return bool(np.all(others @ hips > _SAME_WAY * scale))
