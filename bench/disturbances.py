"""Observations with something wrong in them, as single frames have it: pure functions of an observation.

Each takes an observation and a random generator; the person it shows stays where he is.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from wire.skeleton import SMPL_JOINTS
from workers.geometry import rotation_from_vector
from workers.phalp.turns import rotations_of, turns_of
from workers.types import Observation

Floats = npt.NDArray[np.float64]
Disturb = Callable[[Observation, np.random.Generator], Observation]

#: How far a limb that leaps turns, radians.
LEAP_RAD: Final = (1.2, 2.5)
#: How far a leg leans that stands where the other one does, radians.
LEAN_RAD: Final = 0.2

_DEPTH: Final = np.diag([1.0, 1.0, -1.0])
_SIDES: Final = np.diag([-1.0, 1.0, 1.0])
_HALF_TURN: Final = np.diag([-1.0, 1.0, -1.0])


def _joints(*names: str) -> list[int]:
    return [SMPL_JOINTS.index(name) for name in names]


def _limb(side: str, *names: str) -> list[int]:
    return _joints(*(f"{side}_{name}" for name in names))


_OTHER: Final = {"left": "right", "right": "left"}
_SWAPPED: Final = _joints(
    *("_".join(_OTHER.get(word, word) for word in name.split("_")) for name in SMPL_JOINTS)
)
_ARMS: Final = [_limb(side, "shoulder", "elbow", "wrist", "hand") for side in ("left", "right")]
_LEGS: Final = [_limb(side, "hip", "knee", "ankle", "foot") for side in ("left", "right")]
_BOTH_LEGS: Final = _LEGS[0] + _LEGS[1]
_FEET: Final = _LEGS[0][2:] + _LEGS[1][2:]


def mirrored(seen: Observation, _: np.random.Generator) -> Observation:
    """Left and right taken for each other, and near for far: the same picture, seen from behind."""
    return _with_turns(_swapped(seen), _DEPTH @ _turns(seen)[_SWAPPED] @ _SIDES)


def swapped(seen: Observation, _: np.random.Generator) -> Observation:
    """Left and right taken for each other where they are: the trunk turns round, the feet do not."""
    turns = _turns(seen)[_SWAPPED]
    round_ = turns @ _HALF_TURN
    round_[_FEET] = turns[_FEET]
    return _with_turns(_swapped(seen), round_)


def upper_mirrored(seen: Observation, random: np.random.Generator) -> Observation:
    """As `mirrored`, but for the legs."""
    turns = _turns(mirrored(seen, random))
    turns[_BOTH_LEGS] = _turns(seen)[_BOTH_LEGS]
    return _with_turns(seen, turns)


def legs_swapped(seen: Observation, _: np.random.Generator) -> Observation:
    """The left leg where the right one is, and the other way round: they cross."""
    turns = _turns(seen)
    swapped_turns, forward = turns[_SWAPPED], turns[0, :, 2]
    for leg, lean in zip(_LEGS, (-LEAN_RAD, LEAN_RAD), strict=True):
        turns[leg] = rotation_from_vector(lean * forward) @ swapped_turns[leg]
    return _with_turns(seen, turns)


def leaped(seen: Observation, random: np.random.Generator) -> Observation:
    """An arm or a leg, as it is bent, points anywhere."""
    limb = (_ARMS + _LEGS)[random.integers(4)]
    axis = random.normal(size=3)
    turned = rotation_from_vector(axis / np.linalg.norm(axis) * random.uniform(*LEAP_RAD))
    turns = _turns(seen)
    turns[limb] = turned @ turns[limb]
    return _with_turns(seen, turns)


#: What is done to observations, by what it is called in tables.
DISTURBANCES: Final[dict[str, Disturb]] = {
    "sides and depth": mirrored,
    "sides, in place": swapped,
    "arms and trunk": upper_mirrored,
    "legs": legs_swapped,
    "a limb leaps": leaped,
}


def _turns(seen: Observation) -> Floats:
    return turns_of(seen.pose.rotations.astype(np.float64))


def _with_turns(seen: Observation, turns: Floats) -> Observation:
    return replace(seen, pose=replace(seen.pose, rotations=rotations_of(turns).astype(np.float32)))


def _swapped(seen: Observation) -> Observation:
    return replace(seen, joint_visibility=seen.joint_visibility[_SWAPPED])
