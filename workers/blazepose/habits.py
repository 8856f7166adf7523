"""What a body likes before anyone looks: joints near their rest, hinges within their range.

Each joint's rotation is compared with a rest as a rotation vector in rest axes (x to the body's
left, y up, z forward): a pull toward the rest, and a stronger one back into the range.
"""

from dataclasses import dataclass, fields

import numpy as np

from wire.skeleton import SMPL_JOINTS
from workers.blazepose.kinematics import Array, Posed
from workers.blazepose.markers import other_side
from workers.geometry import cross_matrix, rotation_from_vector, vector_from_rotation

_ANY = (-9.0, 9.0)
_FREE = 20.0  # so weak a pull that only a turn which nothing else shows feels it

#: Joint -> its rest, the strength of the pull to it (standard deviation) and its range, each about
#: x, y and z; radians. The right side mirrors the left (turns about y and z change sign). Ranges are
#: those of people, a little widened because landmarks do not sit on the axes. Hand and foot carry no
#: landmarks: they stay straight. A forearm turns in its wrist, where the hand shows it.
_HABITS: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[tuple[float, float], ...]]] = {
    "pelvis": ((0, 0, 0), (_FREE, _FREE, _FREE), (_ANY, _ANY, _ANY)),
    "spine1": ((0, 0, 0), (0.25, 0.15, 0.15), ((-0.4, 0.7), (-0.4, 0.4), (-0.4, 0.4))),
    "spine2": ((0, 0, 0), (0.25, 0.15, 0.15), ((-0.4, 0.7), (-0.4, 0.4), (-0.4, 0.4))),
    "spine3": ((0, 0, 0), (0.2, 0.15, 0.15), ((-0.4, 0.5), (-0.4, 0.4), (-0.4, 0.4))),
    "neck": ((0, 0, 0), (0.25, 0.3, 0.25), ((-0.6, 0.7), (-0.8, 0.8), (-0.5, 0.5))),
    "head": ((0, 0, 0), (0.25, 0.3, 0.25), ((-0.6, 0.7), (-0.8, 0.8), (-0.5, 0.5))),
    "left_collar": ((0, 0, 0), (0.15, 0.15, 0.15), ((-0.3, 0.3), (-0.5, 0.4), (-0.3, 0.6))),
    "left_shoulder": ((0, 0, -0.9), (0.9, 1.2, 1.2), (_ANY, _ANY, _ANY)),
    "left_elbow": ((0, -0.5, 0), (0.3, 2.0, 0.15), ((-0.8, 0.8), (-2.7, 0.05), (-0.3, 0.3))),
    "left_wrist": ((0, 0, 0), (0.6, 0.3, 0.3), ((-1.4, 1.4), (-0.5, 0.5), (-0.9, 0.9))),
    "left_hand": ((0, 0, 0), (0.02, 0.02, 0.02), (_ANY, _ANY, _ANY)),
    "left_hip": ((0, 0, 0), (1.5, 0.5, 0.6), ((-2.6, 0.8), (-1.2, 1.2), (-0.8, 1.3))),
    "left_knee": ((0.1, 0, 0), (2.0, 0.15, 0.08), ((-0.02, 2.7), (-0.4, 0.4), (-0.15, 0.15))),
    "left_ankle": ((0, 0, 0), (0.35, 0.2, 0.2), ((-0.7, 1.0), (-0.4, 0.4), (-0.4, 0.4))),
    "left_foot": ((0, 0, 0), (0.02, 0.02, 0.02), (_ANY, _ANY, _ANY)),
}

#: How strongly a joint beyond its range is pushed back, radians.
_LIMIT_SIGMA = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Pull:
    """K wishes about rotations, each to be near a rest and within a range of it.

    rest (K, 24, 3, 3); precision (K, 24, 3): 1 / variance about each axis; least and most (K, 24, 3):
    radians from rest.
    """

    rest: Array
    precision: Array
    least: Array
    most: Array

    def strain(self, local: Array) -> "Strain":
        """How far `local` (24, 3, 3), rotations relative to the parent, are from what is wished."""
        vector = vector_from_rotation(np.swapaxes(self.rest, -1, -2) @ local)
        beyond = vector - np.clip(vector, self.least, self.most)
        force = self.precision * vector + beyond * _LIMIT_SIGMA**-2
        cost = np.vdot(self.precision * vector, vector) + np.vdot(beyond, beyond) * _LIMIT_SIGMA**-2
        strength = self.precision + (beyond != 0) * _LIMIT_SIGMA**-2
        return Strain(self.rest, vector, strength, force, float(cost))

    def __add__(self, other: "Pull") -> "Pull":
        """Both wishes together."""
        return Pull(
            *(np.concatenate([getattr(self, part.name), getattr(other, part.name)]) for part in fields(self))
        )


@dataclass(frozen=True, slots=True, eq=False)
class Strain:
    """How far rotations are from K wishes.

    rest (K, 24, 3, 3): as wished; vector (K, 24, 3): rotation vectors from there, rest axes, radians;
    strength and force (K, 24, 3): second and first derivatives of half the cost by them.
    """

    rest: Array
    vector: Array
    strength: Array
    force: Array
    cost: float

    def normal_equations(self, posed: Posed) -> tuple[Array, Array]:
        """Blocks (24, 3, 3) and slopes (24, 3) in turns of the joints of `posed`."""
        axes = np.swapaxes(posed.parents @ self.rest, -1, -2)
        derivative = _inverse_left_jacobian(self.vector) @ axes  # of the vector, by turns in camera axes
        transposed = np.swapaxes(derivative, -1, -2)
        blocks = (transposed * self.strength[..., None, :]) @ derivative
        slopes = (transposed @ self.force[..., None])[..., 0]
        return blocks.sum(axis=0), slopes.sum(axis=0)


def near(rotations: Array, sigma: Array) -> Pull:
    """The wish to stay near `rotations` (24, 3, 3), within `sigma` (24,) radians."""
    anywhere = np.full((1, len(rotations), 3), np.inf)
    precision = np.broadcast_to(sigma[:, None] ** -2.0, anywhere.shape)
    return Pull(rotations[None], precision, -anywhere, anywhere)


def habits() -> Pull:
    """The wish of every body: see `_HABITS`."""
    rest, sigma, least, most = (np.stack(column) for column in zip(*map(_habit, SMPL_JOINTS), strict=True))
    return Pull(
        rotation_from_vector(rest)[None], sigma[None] ** -2.0, (least - rest)[None], (most - rest)[None]
    )


def _habit(joint: str) -> tuple[Array, Array, Array, Array]:
    rest, sigma, limits = _HABITS.get(joint) or _HABITS[other_side(joint)]
    least, most = np.array(limits, dtype=float).T
    if joint in _HABITS:
        return np.array(rest, dtype=float), np.array(sigma), least, most
    keep = np.array([True, False, False])
    mirrored = np.where(keep, rest, -np.array(rest, dtype=float))
    return mirrored, np.array(sigma), np.where(keep, least, -most), np.where(keep, most, -least)


def _inverse_left_jacobian(vector: Array) -> Array:
    """(..., 3, 3): change of the rotation vectors (..., 3) for a small rotation on their left.

    Inverse of the left Jacobian of SO(3), e.g. Sola et al., "A micro Lie theory", eq. 146.
    """
    angle = np.sqrt(np.einsum("...i,...i", vector, vector))[..., None, None]
    safe = np.clip(angle, 1e-3, np.pi - 1e-3)  # the limits at no and half a turn are smooth enough
    cross = cross_matrix(vector)
    bend = 1 / safe**2 - (1 + np.cos(safe)) / (2 * safe * np.sin(safe))
    return np.eye(3) - cross / 2 + bend * (cross @ cross)
