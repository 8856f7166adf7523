"""Shape of the body from one frame's landmarks: a linear estimate from the lengths between them.

One frame tells shape badly (landmarks carry some 20 mm of noise); the mean over a track tells it well,
and being linear in the lengths the estimate may be averaged.
"""

from collections.abc import Callable

import numpy as np

from workers.blazepose.kinematics import Array, Rest
from workers.blazepose.markers import INDEX

#: Pairs of landmarks whose distance hardly changes with the pose, and how far one frame's distance
#: is trusted, metres.
_LENGTHS = (
    ("left_shoulder", "right_shoulder", 0.03),
    ("left_hip", "right_hip", 0.03),
    ("left_shoulder", "left_elbow", 0.02),
    ("right_shoulder", "right_elbow", 0.02),
    ("left_elbow", "left_wrist", 0.02),
    ("right_elbow", "right_wrist", 0.02),
    ("left_hip", "left_knee", 0.02),
    ("right_hip", "right_knee", 0.02),
    ("left_knee", "left_ankle", 0.02),
    ("right_knee", "right_ankle", 0.02),
    ("left_shoulder", "left_hip", 0.03),
    ("right_shoulder", "right_hip", 0.03),
)

_FIRST = np.array([INDEX[first] for first, _, _ in _LENGTHS])
_SECOND = np.array([INDEX[second] for _, second, _ in _LENGTHS])
_SIGMA_M = np.array([sigma for _, _, sigma in _LENGTHS])

_BETAS = 10
#: Length of the step in betas over which the change of the lengths is measured.
_STEP = 0.5
#: Betas beyond this are not human shapes.
_LARGEST = 3.0


def lengths(points: Array) -> Array:
    """Distances (12,) between the landmarks `points` (33, 3), in the unit of the points."""
    return np.linalg.norm(points[_FIRST] - points[_SECOND], axis=-1)


class ShapeEstimate:
    """The ridge regression from lengths to betas, for one body."""

    def __init__(self, rest_at: Callable[[Array], Rest]) -> None:
        """rest_at: the resting skeleton with its markers at given betas."""

        def at(shape: Array) -> Array:
            rest = rest_at(shape)
            return lengths(rest.joints[rest.owner] + rest.offsets)

        steps = _STEP * np.eye(_BETAS)
        self._mean = at(np.zeros(_BETAS))
        self._slope = np.stack([(at(step) - at(-step)) / (2 * _STEP) for step in steps], axis=-1)  # (12, 10)

    def __call__(self, points: Array, visibility: Array) -> Array:
        """Betas (10,) from landmarks `points` (33, 3), metres, seen with `visibility` (33,)."""
        trust = np.minimum(visibility[_FIRST], visibility[_SECOND]) / _SIGMA_M**2
        weighted = self._slope.T * trust
        system = weighted @ self._slope + np.eye(_BETAS)
        betas = np.linalg.solve(system, weighted @ (lengths(points) - self._mean))
        return np.clip(betas, -_LARGEST, _LARGEST)
