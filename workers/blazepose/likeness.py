"""Do landmarks show a person, and the same one as a detection or an expected body? Pure geometry.

Distances are in radii of the circle around the whole body, about a metre on a standing person.
"""

import numpy as np

from wire.skeleton import SMPL_JOINTS
from workers.blazepose.detector import Detection
from workers.blazepose.landmarks import Landmarks
from workers.blazepose.markers import INDEX, other_side
from workers.blazepose.region import SIDE_RADII, Region
from workers.types import Array

#: What is compared: as landmarks, as SMPL joints, and with left and right swapped.
_NAMES = [
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]
_LANDMARKS = np.array([INDEX[name] for name in _NAMES])
_JOINTS = np.array([SMPL_JOINTS.index(name) for name in _NAMES])
_SWAPPED = np.array([_NAMES.index(other_side(name)) for name in _NAMES])

#: Two sets of landmarks nearer than this on average are one person found twice.
_SAME_PERSON = 0.2
#: A detection belongs to landmarks when their hips are this near and their sizes this similar.
_SAME_HIPS = 0.5
_SAME_SIZE = 1.5
#: Landmarks belong to the region they were found in when its centre and its size were not far off,
#: and this part of what is visible lies inside.
_NEAR_HIPS = 0.75
_NEAR_SIZE = 1.4
_INSIDE = 0.6
#: Landmarks are no guess when this part of shoulders and hips is visible in the picture.
_TRUNK = np.array([INDEX[name] for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")])
_TRUNK_SHOWN = 0.4


def same_person(one: Landmarks, other: Landmarks) -> bool:
    """Whether two sets of landmarks are of one person; left and right may be swapped in one of them."""
    weight = one.visibility[_LANDMARKS] * other.visibility[_LANDMARKS]
    apart = _mean_distance(one.pixels[_LANDMARKS, :2], other.pixels[_LANDMARKS, :2], weight)
    return apart < _SAME_PERSON * (_radius(one.following) + _radius(other.following)) / 2


def strangeness(landmarks: Landmarks, joints: Array) -> float:
    """How far `landmarks` are from the expected `joints` (24, 2), pixels, in radii of the body.

    Left and right may be swapped: in single frames the network takes one for the other.
    """
    apart = _mean_distance(
        landmarks.pixels[_LANDMARKS, :2], joints[_JOINTS], landmarks.visibility[_LANDMARKS]
    )
    return apart / _radius(landmarks.following)


def clarity(landmarks: Landmarks) -> float:
    """How sure the network is of where it put the limbs, 0..1."""
    return float(landmarks.clarity[_LANDMARKS].mean())


def explains(landmarks: Landmarks, detection: Detection) -> bool:
    """Whether `detection` is of the person with these landmarks."""
    return _alike(landmarks.following, detection.region, hips=_SAME_HIPS, size=_SAME_SIZE)


def belongs(landmarks: Landmarks) -> bool:
    """Whether the person found is the one whom the region was drawn around, and not a neighbour."""
    if not _alike(landmarks.following, landmarks.region, hips=_NEAR_HIPS, size=_NEAR_SIZE):
        return False
    visible = landmarks.visibility
    inside = landmarks.region.contains(landmarks.pixels[:, :2])
    return bool(visible @ inside >= _INSIDE * visible.sum())


def in_picture(landmarks: Landmarks, *, width: int, height: int) -> bool:
    """Whether enough of the trunk is in the picture: a bust is a person, a leg at the edge is not."""
    points = landmarks.pixels[_TRUNK, :2]
    inside = np.all((points >= 0) & (points < np.array([width, height])), axis=-1)
    return bool(landmarks.visibility[_TRUNK] @ inside >= _TRUNK_SHOWN * len(_TRUNK))


def _alike(one: Region, other: Region, *, hips: float, size: float) -> bool:
    apart = np.hypot(one.cx - other.cx, one.cy - other.cy)
    larger, smaller = max(one.side_px, other.side_px), min(one.side_px, other.side_px)
    return bool(apart < hips * larger / SIDE_RADII and larger < size * smaller)


def _radius(region: Region) -> float:
    return region.side_px / SIDE_RADII


def _mean_distance(one: Array, other: Array, weight: Array) -> float:
    """Of points (12, 2), weighted by (12,), as they are or with left and right swapped, whichever is less."""
    pairs = np.stack([one - other, one - other[_SWAPPED]])
    # A little for the hidden ones: where nothing is visible, guesses are all there is to compare.
    share = weight + 1e-3
    return float((np.linalg.norm(pairs, axis=-1) @ share).min() / share.sum())
