"""The tracker's view of the body model: joints from the pelvis, and how large a body is at rest."""

from collections.abc import Callable

import numpy as np

from workers.phalp.state import Floats
from workers.types import Array

#: SMPL joints (N, 24, 3), body-centred, metres, of rotations (N, 24, 3, 3) and betas (N, 10).
JointsOf = Callable[[Array, Array], Array]

_SHAPES = 10

#: Height of a standing person over the mean distance of their joints from the pelvis, and the least height.
_HEIGHT_PER_SPREAD = 3.15
_MIN_HEIGHT_M = 0.3


class Skeleton:
    """Joints of any SMPL-format body; `joints_of` poses it."""

    def __init__(self, joints_of: JointsOf) -> None:
        self._joints_of = joints_of
        # The rest joints are linear in the shape, so eleven bodies tell them all.
        shapes = np.concatenate([np.zeros((1, _SHAPES)), np.eye(_SHAPES)])
        upright = np.broadcast_to(np.eye(3), (len(shapes), 24, 3, 3))
        rest = self._posed(upright, shapes)
        self._mean = rest[0]  # (24, 3)
        self._directions = rest[1:] - rest[0]  # (10, 24, 3)

    def joints(self, rotations: Floats, betas: Floats) -> Floats:
        """Joints (N, 24, 3) from the pelvis, of rotations (N, 24, 3, 3) and betas (N, 10)."""
        if not len(rotations):
            return np.zeros((0, 24, 3))
        joints = self._posed(rotations, betas)
        return joints - joints[:, :1]

    def pelvis(self, betas: Floats) -> Floats:
        """Where the pelvis (..., 3) of a body is before it is moved in front of the camera."""
        return self._mean[0] + betas @ self._directions[:, 0]

    def length(self, betas: Floats) -> Floats:
        """About how tall bodies (...) of shape betas (..., 10) stand, metres."""
        rest = self._mean + np.tensordot(betas, self._directions, axes=1)
        spread = np.sqrt(np.square(rest - rest[..., :1, :]).sum(axis=-1)).mean(axis=-1)
        return np.maximum(_HEIGHT_PER_SPREAD * spread, _MIN_HEIGHT_M)

    def _posed(self, rotations: Floats, betas: Floats) -> Floats:
        return self._joints_of(rotations.astype(np.float32), betas.astype(np.float32)).astype(np.float64)
