"""The tracker's view of the body model: joints from the pelvis, and how large a body is at rest.

Of the model it keeps where joints are at rest, which is linear in the shape. Everything else follows from
turns: a joint lies at the sum of the bones above it, each turned as its upper end is.
"""

from collections.abc import Callable

import numpy as np

from wire.skeleton import SMPL_PARENTS
from workers.phalp.state import Floats
from workers.types import Array

#: SMPL joints (N, 24, 3), body-centred, metres, of rotations (N, 24, 3, 3) and betas (N, 10).
JointsOf = Callable[[Array, Array], Array]

_SHAPES = 10
_PARENTS = np.array((0, *SMPL_PARENTS[1:]))

#: Height of a standing person over the mean distance of their joints from the pelvis, and the least height.
_HEIGHT_PER_SPREAD = 3.15
_MIN_HEIGHT_M = 0.3


class Skeleton:
    """Joints of any SMPL-format body; `joints_of` poses it."""

    def __init__(self, joints_of: JointsOf) -> None:
        # The rest joints are linear in the shape, so eleven bodies tell them all.
        shapes = np.concatenate([np.zeros((1, _SHAPES)), np.eye(_SHAPES)]).astype(np.float32)
        upright = np.broadcast_to(np.eye(3, dtype=np.float32), (len(shapes), 24, 3, 3))
        rest = joints_of(upright, shapes).astype(np.float64)
        bones = rest - rest[:, _PARENTS]
        self._pelvis = _Linear(rest[:, 0])
        self._from_pelvis = _Linear(rest - rest[:, :1])
        self._bones = _Linear(bones[..., None])  # columns: turns are applied to them

    def joints(self, turns: Floats, betas: Floats) -> Floats:
        """Joints (N, 24, 3) from the pelvis, of turns (N, 24, 3, 3), see `turns`, and betas (N, 10)."""
        bones = turns[:, _PARENTS] @ self._bones.at(betas)
        joints: Floats = _ABOVE @ bones[..., 0]
        return joints

    def pelvis(self, betas: Floats) -> Floats:
        """Where the pelvis (..., 3) of a body is before it is moved in front of the camera."""
        return self._pelvis.at(betas)

    def length(self, betas: Floats) -> Floats:
        """About how tall bodies (...) of shape betas (..., 10) stand, metres."""
        rest = self._from_pelvis.at(betas)
        spread = np.sqrt(np.einsum("...i,...i", rest, rest)).mean(axis=-1)
        return np.maximum(_HEIGHT_PER_SPREAD * spread, _MIN_HEIGHT_M)


class _Linear:
    """Numbers that are linear in the shape: of the mean body, and of one for each direction, (11, ...)."""

    def __init__(self, of_bodies: Floats) -> None:
        self._shape = of_bodies.shape[1:]
        flat = of_bodies.reshape(len(of_bodies), -1)
        self._mean = flat[0]
        self._directions = flat[1:] - flat[0]

    def at(self, betas: Floats) -> Floats:
        """The numbers (..., *) of shapes betas (..., 10)."""
        return (self._mean + betas @ self._directions).reshape(*betas.shape[:-1], *self._shape)


def _above() -> Floats:
    """(24, 24): 1 for a joint and the bones that lead to it."""
    above = np.eye(len(_PARENTS))
    for joint, parent in enumerate(_PARENTS[1:], start=1):  # a parent comes before its children
        above[joint] += above[parent]
    return above


_ABOVE = _above()
