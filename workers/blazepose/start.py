"""A first pose by closed form: segments are turned as their landmarks lie, the spine shares what is between.

It needs no earlier pose and no iteration, and it is what the fit starts from. Twists that single
landmarks do not show (a straight arm's, a straight leg's) are taken from the parent segment.
"""

import numpy as np

from wire.skeleton import SMPL_JOINTS
from workers.blazepose.kinematics import JOINTS, PARENTS, Array
from workers.blazepose.markers import INDEX
from workers.geometry import rotation_from_vector, vector_from_rotation

_TINY = 1e-9

#: How far a limb's bend plane follows the parent's when it is bent by a right angle: the parent
#: settles it alone in a straight limb, and hardly counts in a bent one.
_PARENT_PULL = 0.2
#: The same pull of the feet on the bend plane of the legs.
_FOOT_PULL = 0.5

_LEFT, _UP, _FORWARD = np.eye(3)


def _joint(name: str) -> int:
    return SMPL_JOINTS.index(name)


def _middle(points: Array, name: str) -> Array:
    return (points[INDEX["left_" + name]] + points[INDEX["right_" + name]]) / 2


def _unit(vector: Array) -> Array:
    return vector / max(np.linalg.norm(vector), _TINY)


def _frame(primary: Array, secondary: Array) -> Array:
    """Axes (3, 3), as columns: along `primary`, then the part of `secondary` across it, then their normal."""
    first = _unit(primary) if np.linalg.norm(primary) > _TINY else _LEFT
    across = secondary - first * (first @ secondary)
    if np.linalg.norm(across) <= _TINY:
        across = np.cross(first, np.eye(3)[np.argmin(np.abs(first))])
    second = _unit(across)
    return np.column_stack([first, second, np.cross(first, second)])


def _turned(seen: tuple[Array, Array], rest: tuple[Array, Array]) -> Array:
    """The rotation that lays the rest pair of directions on the seen pair; the first is met exactly."""
    return _frame(*seen) @ _frame(*rest).T


def start(points: Array) -> Array:
    """Rotations (24, 3, 3), each relative to its parent, of the body whose landmarks are `points` (33, 3).

    points: BlazePose's landmarks, metres, camera axes, any origin.
    """
    world = np.zeros((JOINTS, 3, 3))  # of each joint's rest axes into camera axes
    up = _middle(points, "shoulder") - _middle(points, "hip")
    pelvis = _turned((points[INDEX["left_hip"]] - points[INDEX["right_hip"]], up), (_LEFT, _UP))
    chest = _turned((points[INDEX["left_shoulder"]] - points[INDEX["right_shoulder"]], up), (_LEFT, _UP))
    head = _turned(
        (
            points[INDEX["left_ear"]] - points[INDEX["right_ear"]],
            points[INDEX["nose"]] - _middle(points, "ear"),
        ),
        (_LEFT, _FORWARD),
    )
    world[_joint("pelvis")], world[_joint("spine3")], world[_joint("head")] = pelvis, chest, head
    spine = ("spine1", "spine2")
    for joint, turn in zip(spine, _between(pelvis, chest, np.array([1 / 3, 2 / 3])), strict=True):
        world[_joint(joint)] = turn
    world[_joint("neck")] = _between(chest, head, np.array([1 / 2]))[0]
    for side, out in (("left", _LEFT), ("right", -_LEFT)):
        world[_joint(f"{side}_collar")] = chest
        _lay_arm(world, points, side, out, chest)
        _lay_leg(world, points, side, pelvis)
    local = np.swapaxes(world[PARENTS[1:]], -1, -2) @ world[1:]
    return np.concatenate([world[:1], local])


def _between(first: Array, last: Array, share: Array) -> Array:
    """Rotations (N, 3, 3) that lie `share` (N,) of the way from `first` to `last`."""
    return first @ rotation_from_vector(share[:, None] * vector_from_rotation(first.T @ last))


def _lay_arm(world: Array, points: Array, side: str, out: Array, chest: Array) -> None:
    """Turn shoulder, elbow, wrist and hand of one arm; the elbow bends the palm-down arm forwards."""
    shoulder, elbow, wrist, index, pinky = (
        points[INDEX[f"{side}_{name}"]] for name in ("shoulder", "elbow", "wrist", "index", "pinky")
    )
    upper, fore = _unit(elbow - shoulder), _unit(wrist - elbow)
    rest_axis = np.cross(out, _FORWARD)
    axis = np.cross(upper, fore) + _PARENT_PULL * chest @ rest_axis
    world[_joint(f"{side}_shoulder")] = _turned((upper, axis), (out, rest_axis))
    world[_joint(f"{side}_elbow")] = _turned((fore, axis), (out, rest_axis))
    hand = _turned(((index + pinky) / 2 - wrist, index - pinky), (out, _FORWARD))
    forearm = world[_joint(f"{side}_elbow")]
    world[_joint(f"{side}_elbow")] = _between(forearm, _twisted(forearm, hand, out), np.array([1 / 2]))[0]
    world[_joint(f"{side}_wrist")] = world[_joint(f"{side}_hand")] = hand


def _twisted(forearm: Array, hand: Array, out: Array) -> Array:
    """The forearm twisted about itself until its palm faces as the hand's does."""
    return _turned((forearm @ out, hand @ _FORWARD), (out, _FORWARD))


def _lay_leg(world: Array, points: Array, side: str, pelvis: Array) -> None:
    """Turn hip, knee, ankle and foot of one leg; the knee bends the shank backwards."""
    hip, knee, ankle, heel, toe = (
        points[INDEX[f"{side}_{name}"]] for name in ("hip", "knee", "ankle", "heel", "foot_index")
    )
    thigh, shank, foot = _unit(knee - hip), _unit(ankle - knee), _unit(toe - heel)
    axis = np.cross(thigh, shank) + _FOOT_PULL * np.cross(foot, shank) + _PARENT_PULL * pelvis @ _LEFT
    world[_joint(f"{side}_hip")] = _turned((thigh, axis), (-_UP, _LEFT))
    world[_joint(f"{side}_knee")] = _turned((shank, axis), (-_UP, _LEFT))
    ahead = _turned((foot, axis), (_FORWARD, _LEFT))
    world[_joint(f"{side}_ankle")] = world[_joint(f"{side}_foot")] = ahead
