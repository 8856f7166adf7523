"""Where the markers of a posed skeleton are, and how they move when its joints turn.

All of it is in float64 and in camera axes. Turns are left-multiplied: joint j turned by the
small rotation vector w carries each marker m behind it along w x (m - j), whatever the axes
of the joint, so the derivative needs no more than positions.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wire.skeleton import SMPL_PARENTS

Array = npt.NDArray[np.float64]

JOINTS = len(SMPL_PARENTS)
_ROOT = JOINTS  # a virtual parent of the pelvis, which is its own parent
_JUMPS = 4  # 2**4 is more than the nine joints from pelvis to hand

PARENTS = np.array([_ROOT, *SMPL_PARENTS[1:]])


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """A skeleton in its rest pose with the markers on it.

    joints (24, 3), metres; owner (M,): the joint that carries each marker; offsets (M, 3):
    from that joint, metres. Rest axes: x to the body's left, y up, z forward.
    """

    joints: Array
    owner: npt.NDArray[np.intp]
    offsets: Array


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """The skeleton after its rotations, body-centred, camera axes.

    rotations (24, 3, 3): of each joint's rest axes into camera axes; parents (24, 3, 3): the same
    of each joint's parent; joints (24, 3); markers (M, 3).
    """

    rotations: Array
    parents: Array
    joints: Array
    markers: Array


def pose(rest: Rest, local: Array) -> Posed:
    """Apply `local` (24, 3, 3), each relative to its parent, to the resting skeleton."""
    chain = np.zeros((JOINTS + 1, 4, 4))
    chain[:] = np.eye(4)
    chain[:-1, :3, :3] = local
    chain[0, :3, 3] = rest.joints[0]
    chain[1:-1, :3, 3] = rest.joints[1:] - rest.joints[PARENTS[1:]]
    above = np.append(PARENTS, _ROOT)
    for _ in range(_JUMPS):  # each turn doubles how far up the tree a joint has looked
        chain = chain[above] @ chain
        above = above[above]
    rotations, joints = chain[:-1, :3, :3], chain[:-1, :3, 3]
    turned = (rotations[rest.owner] @ rest.offsets[:, :, None])[:, :, 0]
    return Posed(rotations, chain[PARENTS, :3, :3], joints, joints[rest.owner] + turned)


def turn(posed: Posed, local: Array, turns: Array) -> Array:
    """`local` (24, 3, 3) after each joint turned by `turns` (24, 3, 3), rotations in camera axes."""
    return np.swapaxes(posed.parents, -1, -2) @ turns @ posed.parents @ local


def marker_derivative(posed: Posed, carried: Array) -> Array:
    """How markers move with turns: (M, 3, 24, 3), metres per radian, camera axes.

    carried (M, 24): 1 where the joint carries the marker, else 0; see `carries`.
    """
    x, y, z = np.moveaxis((posed.markers[:, None] - posed.joints) * carried[..., None], -1, 0)
    derivative = np.zeros((len(posed.markers), 3, JOINTS, 3))
    derivative[:, 0, :, 1], derivative[:, 0, :, 2] = z, -y
    derivative[:, 1, :, 0], derivative[:, 1, :, 2] = -z, x
    derivative[:, 2, :, 0], derivative[:, 2, :, 1] = y, -x
    return derivative


def carries(owner: npt.NDArray[np.intp]) -> Array:
    """(M, 24): 1 where the joint is the marker's owner or above it in the tree, else 0."""
    reach = np.zeros((JOINTS + 1, JOINTS + 1))
    joint = np.arange(JOINTS + 1)
    above = joint
    for _ in range(2**_JUMPS):
        reach[joint, above] = 1
        above = np.append(PARENTS, _ROOT)[above]
    return reach[owner, :JOINTS]
