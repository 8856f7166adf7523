"""Observations that contradict what is known of a person, part by part, and what is left of them.

Three things go wrong in single frames: left and right are taken for each other, with the depth mirrored or
not; a limb leaps; a limb is somebody else's. What the person just did tells. A reading with the sides
swapped that lies much nearer to the prediction is taken instead; a limb too far from it for the speed at
which it moves hardly counts. Nothing holds for ever: a part that was contradicted for so long that the
prediction must be wrong is believed as it is seen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from wire.skeleton import SMPL_JOINTS
from workers.phalp.state import Floats

Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

#: The parts of a person that are judged. The trunk is mirrored with arms and head, the legs both or neither.
PARTS: Final = ("trunk", "legs", "left_arm", "right_arm", "left_leg", "right_leg")
#: What may be wrong with a part, beside nothing: 0.
MIRRORED, LEAPED, MIXED = 1, 2, 3
KINDS: Final = {"mirrored": MIRRORED, "leaped": LEAPED, "mixed": MIXED}

#: A mirrored reading is taken when it is this much nearer to the prediction than the observation as it is,
#: and that is at least this far from it, metres (mean over the joints). Of 920 people in clips who are read
#: well, no reading is nearer than 0.6.
NEARER: Final = 0.5
FAR_M: Final = 0.1
#: What a mirrored reading is worth: half of it is a guess.
MIRRORED_WEIGHT: Final = 0.5

#: A limb leaps that is farther from its place on the predicted trunk, metres (mean over its joints), than
#: this, so many frames of its motion, and so many times the distance that the person is usually off.
LEAP_M: Final = 0.15
LEAP_FRAMES: Final = 1.0
LEAP_INNOVATIONS: Final = 2.0
#: What a limb that leaps is worth.
LEAPED_WEIGHT: Final = 0.05
#: A limb that leaps is somebody else's if it is this much nearer to that one's than to its own.
ELSEWHERE: Final = 0.35
#: How far a joint's turn moves the next one, metres a radian.
_BONE_M: Final = 0.27

#: Observations in a row that contradict a part before it is believed; a mirrored trunk counts in full only
#: where it faces as the feet do, for they are not taken for each other with it.
MAX_MIRRORED: Final = 4.0
MAX_LEAPED: Final = 1.0
MAX_MIXED: Final = 10.0
TWISTED_SHARE: Final = 0.25
#: Cosine from which a trunk and a foot face one way.
SAME_WAY: Final = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """M observations: turns (M, 24, 3, 3), joints (M, 24, 3) from the pelvis, metres, pictures (M, 24, 2)."""

    turns: Floats
    joints: Floats
    pictures: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of the people in M observations. Turns, joints, pictures: predictions, as in `Seen`.

    moved (M, 24): how far each joint has turned since it was observed, radians, about. innovation_m (M,): how
    far joints were from where they were expected, of late. contradicted (M, 6): as the last `Reading` said.
    well (M,): the prediction is worth a comparison. pictures (T, 24, 2): of
    everyone who is followed, and own (M,) the rows of these people among them.
    """

    turns: Floats
    joints: Floats
    moved: Floats
    innovation_m: Floats
    contradicted: Floats
    well: Flags
    pictures: Floats
    own: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How M observations are read.

    turns (M, 24, 3, 3) and joints (M, 24, 3): as seen but for mirrored parts. source (M, 24): as which joint
    each was observed. weight (M, 24): 0..1, what its observation counts. kinds (M, 6): what is wrong with
    each part. contradicted (M, 6): observations in a row that something was, as far as they count.
    believed (M, 24): joints that are believed although they contradict the prediction.
    """

    turns: Floats
    joints: Floats
    source: Indices
    weight: Floats
    kinds: npt.NDArray[np.int8]
    contradicted: Floats
    believed: Flags


def read(seen: Seen, known: Known) -> Reading:
    """Each observation, read as what is known of its track suggests."""
    off = (_away(seen.joints, known) > FAR_M) & known.well[:, None]
    if not (off.any() or _is_far(seen.joints, known).any()):
        return _as_seen(seen)
    readings = _readings(seen.joints)
    chosen = _mirrored(readings, known)  # (M, 2)
    lasted = known.contradicted[:, :2] + np.where(_faces_one_way(seen.turns), 1.0, TWISTED_SHARE)[:, None]
    stays = (chosen > 0) & (lasted > MAX_MIRRORED)
    chosen = np.where(stays, 0, chosen)
    of_joint = chosen[:, _GROUP]  # (M, 24)
    joints = np.take_along_axis(readings, of_joint[None, ..., None], axis=0)[0]
    source = np.where(of_joint > 0, _SWAPPED, _AS_SEEN)
    turns = _turns_read(seen.turns, of_joint, source, known.turns)

    limbs = _leaped(joints, np.take_along_axis(seen.pictures, source[..., None], axis=1), known)
    kinds = np.concatenate([np.where(chosen > 0, MIRRORED, 0), limbs], axis=1).astype(np.int8)
    contradicted = np.concatenate(
        [np.where(chosen > 0, lasted, 0), np.where(limbs > 0, known.contradicted[:, 2:] + 1, 0)], axis=1
    )
    limit = np.where(kinds[:, 2:] == MIXED, MAX_MIXED, MAX_LEAPED)
    believed = np.concatenate([stays, contradicted[:, 2:] > limit], axis=1)
    wrong = np.where(believed, 0, kinds)
    weight = np.where(wrong == MIRRORED, MIRRORED_WEIGHT, np.where(wrong > 0, LEAPED_WEIGHT, 1.0))
    return Reading(
        turns=turns,
        joints=joints,
        source=source,
        weight=np.where(_OF_PART, weight[..., None], 1.0).min(axis=1),
        kinds=wrong.astype(np.int8),
        contradicted=np.where(believed, 0.0, contradicted),
        believed=(believed[..., None] & _OF_PART).any(axis=1),
    )


def count(kinds: npt.NDArray[np.int8], *, mirrored: int = 0) -> dict[str, int]:
    """How many of the parts (6,) of one person are wrong, by `KINDS`' names, and `mirrored` more of those.

    Kinds that do not occur are left out.
    """
    found = {name: int(np.count_nonzero(kinds == kind)) for name, kind in KINDS.items()}
    found["mirrored"] += mirrored
    return {name: parts for name, parts in found.items() if parts}


def _as_seen(seen: Seen) -> Reading:
    """Observations of which nothing is wrong."""
    people = len(seen.turns)
    nothing = np.zeros((people, len(PARTS)))
    joints = np.broadcast_to(_AS_SEEN, (people, len(_AS_SEEN)))
    return Reading(
        turns=seen.turns,
        joints=seen.joints,
        source=joints,
        weight=np.ones(joints.shape),
        kinds=nothing.astype(np.int8),
        contradicted=nothing,
        believed=np.zeros(joints.shape, dtype=bool),
    )


def _readings(joints: Floats) -> Floats:
    """(3, M, 24, 3): joints as seen, with sides swapped, that with the depth mirrored."""
    swapped = joints[:, _SWAPPED]
    return np.stack([joints, swapped, swapped * _MIRROR])


def _away(joints: Floats, known: Known) -> Floats:
    """How far joints (..., M, 24, 3) are from where expected (..., M, 2): of trunk and arms, of the legs."""
    away: Floats = np.sqrt(np.square(joints - known.joints).sum(axis=-1)) @ _MEAN
    return away


def _mirrored(readings: Floats, known: Known) -> Indices:
    """The reading (M, 2) that is taken of trunk and arms, and of the legs."""
    away = _away(readings, known)  # (3, M, 2)
    nearest = away.argmin(axis=0)
    clear = (away.min(axis=0) < NEARER * away[0]) & (away[0] > FAR_M) & known.well[:, None]
    with_trunk = clear[:, 0] | clear[:, 1]
    return np.where(np.stack([clear[:, 0], with_trunk], axis=1), nearest, 0)


def _turns_read(turns: Floats, reading: Indices, source: Indices, expected: Floats) -> Floats:
    """Turns (M, 24, 3, 3) of joints that are read anew, the others as they are.

    The joints of a reading show where bones point but not how they are turned about themselves, or which of a
    joint's axes points forward: of the rotations with these axes or their opposites the one nearest to the
    expected turn is taken.
    """
    if not reading.any():
        return turns
    swapped = np.take_along_axis(turns, source[..., None, None], axis=1)
    depth = np.where(reading >= 2, -1.0, 1.0)
    axes = swapped * np.stack([np.ones_like(depth), np.ones_like(depth), depth], axis=-1)[..., None]
    along = np.einsum("mjki,mjki->mji", expected, axes)  # cosines between the axes
    signs = np.where((depth > 0)[..., None, None], _HALF_TURNS, -_HALF_TURNS)  # (M, 24, 4, 3)
    best = np.einsum("mjqi,mji->mjq", signs, along).argmax(axis=-1)
    sign = np.take_along_axis(signs, best[..., None, None], axis=2)[:, :, 0]
    return np.where((reading > 0)[..., None, None], axes * sign[..., None, :], turns)


def _is_far(joints: Floats, known: Known) -> Flags:
    """(M, 4): whether limbs are farther from where they are expected on the trunk than they should be."""
    seen = joints[:, _LIMBS] - joints[:, _ROOTS, None]  # (M, 4, 3, 3)
    expected = known.joints[:, _LIMBS] - known.joints[:, _ROOTS, None]
    away = np.sqrt(np.square(seen - expected).sum(axis=-1)).mean(axis=-1)
    moves = _BONE_M * known.moved[:, _MOVERS].sum(axis=-1)
    limit = LEAP_M + LEAP_FRAMES * moves + LEAP_INNOVATIONS * known.innovation_m[:, None]
    return (away > limit) & known.well[:, None]


def _leaped(joints: Floats, pictures: Floats, known: Known) -> npt.NDArray[np.int8]:
    """What is wrong with each limb (M, 4), of observations as they are read."""
    leaped = _is_far(joints, known)
    if not leaped.any() or len(known.pictures) < 2:
        return np.where(leaped, LEAPED, 0).astype(np.int8)
    limbs = pictures[:, None, _LIMBS]  # (M, 1, 4, 3, 2)
    gaps = np.stack([limbs - known.pictures[None][:, :, one] for one in (_LIMBS, _LIMBS[_OTHER_SIDE])])
    there = np.sqrt(np.square(gaps).sum(axis=-1)).mean(axis=-1)  # (2, M, N, 4)
    mine = np.arange(len(known.pictures)) == known.own[:, None]
    own = there[0][mine]
    other = np.where(mine[..., None], np.inf, there.min(axis=0)).min(axis=1)
    return np.where(leaped, np.where(other < ELSEWHERE * own, MIXED, LEAPED), 0).astype(np.int8)


def _faces_one_way(turns: Floats) -> Flags:
    """(M,): whether hips, shoulders and feet of turns (M, 24, 3, 3) face one way."""
    forward = turns[:, _FACING][..., 2]
    cosine = np.einsum("mik,mjk->mij", forward[:, :2], forward)
    return cosine.min(axis=(1, 2)) > SAME_WAY


def _joints(*names: str) -> Indices:
    return np.array([SMPL_JOINTS.index(name) for name in names])


def _other_side(name: str) -> str:
    side, _, part = name.partition("_")
    return {"left": f"right_{part}", "right": f"left_{part}"}.get(side, name)


_AS_SEEN: Final = np.arange(len(SMPL_JOINTS))
_SWAPPED: Final = _joints(*(_other_side(name) for name in SMPL_JOINTS))
_MIRROR: Final = np.array([1.0, 1.0, -1.0])
#: Signs of axes (4, 3) that turn by half about one of them, or not at all.
_HALF_TURNS: Final = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=np.float64)

#: The joints of each limb, where it begins, those that move it, and the limb of the other side.
_LIMBS: Final = np.stack(
    [_joints(*(f"{side}_{name}" for name in names))
     for names in (("elbow", "wrist", "hand"), ("knee", "ankle", "foot")) for side in ("left", "right")]
)  # fmt: skip
_ROOTS: Final = _joints("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_MOVERS: Final = np.concatenate([_ROOTS[:, None], _LIMBS[:, :2]], axis=1)
_OTHER_SIDE: Final = np.array([1, 0, 3, 2])
_FACING: Final = _joints("pelvis", "spine3", "left_ankle", "right_ankle")

#: (24,) 1 for joints that are read with the legs, 0 for the others, and the mean over each (24, 2).
_LEGS: Final = np.concatenate([_ROOTS[2:], _LIMBS[2:].ravel()])
_GROUP: Final = np.isin(_AS_SEEN, _LEGS).astype(np.intp)
_COMPARED: Final = np.stack(
    [np.isin(_AS_SEEN, [*_ROOTS, *_LIMBS[:2].ravel()]), np.isin(_AS_SEEN, _LIMBS[2:])], axis=1
)
_MEAN: Final = _COMPARED / _COMPARED.sum(axis=0)
#: (6, 24): the joints whose turns are those of each part.
_OF_LIMBS: Final = [np.isin(_AS_SEEN, [root, *limb]) for root, limb in zip(_ROOTS, _LIMBS, strict=True)]
_OF_PART: Final = np.stack([_GROUP == 0, _GROUP == 1, *_OF_LIMBS])
