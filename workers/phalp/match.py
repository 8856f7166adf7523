"""Tracks and the sightings that were taken for them: how each is to be read, and how well it fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt

from wire.skeleton import SMPL_JOINTS
from workers.geometry import vector_from_rotation
from workers.phalp import contradictions
from workers.phalp.bodies import Bodies
from workers.phalp.contradictions import LEAPED, MIRRORED, MIXED, Known, Reading, Seen
from workers.phalp.location import picture_of, size_at
from workers.phalp.sighting import Sighting
from workers.phalp.state import Floats, TrackState

#: Mean distance between predicted and seen joints, metres, that motion alone does not explain.
POSE_JUMP_M: Final = 0.22
#: The same for the place: body lengths, and log depth.
PLACE_JUMP: Final = 0.35
DEPTH_JUMP: Final = 0.35
#: Growth of these limits for each frame since the person was last seen, and the most they grow.
JUMP_GROWTH: Final = 0.15
MAX_JUMP_GROWTH: Final = 3.0
#: Observations after which the motion of a track that began it anew is known.
SETTLED: Final = 3
#: A trunk that turns by more than this in a frame, radians, is most likely its left and right mistaken.
TURNED_ROUND: Final = 1.2
#: Cosine between the picture's up and the trunk's from which a person is upright.
UPRIGHT: Final = 0.5
#: How much of an implausible pose is believed, and after how many in a row it is believed in full.
DOUBTED_WEIGHT: Final = 0.08
MAX_DOUBTS: Final = 2
#: Frames since the last observation up to which single limbs are compared with the prediction.
RECENT: Final = 3

_TRUNK: Final = [SMPL_JOINTS.index("pelvis"), SMPL_JOINTS.index("spine3")]


class Verdict(Enum):
    """How a sighting fits the motion of its track."""

    EXPECTED = "expected"
    DOUBTED = "doubted"  # most likely a bad frame: the body elsewhere, or turned round
    CHANGED = "changed"  # a doubted pose that stays
    FOUND = "found"  # not where or how a person who was out of sight was imagined
    JUMPED = "jumped"  # the picture is not continuous


#: Verdicts after which a track begins its motion anew, from what was seen.
ANEW: Final = (Verdict.CHANGED, Verdict.FOUND, Verdict.JUMPED)


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A track, what was expected of it in this frame, and the sighting that was taken for it, as it is read.

    weight (24,): 0..1, how much of each joint is believed. anew (24,): joints whose motion begins anew, from
    what was seen. kinds and contradicted (6,): as in `contradictions.Reading`.
    """

    before: TrackState
    expected: TrackState
    expected_joints: Floats  # (24, 3) from the pelvis, metres
    expected_pelvis: Floats  # (3,) camera axes, metres
    seen: Sighting
    verdict: Verdict
    unobstructed: float  # 0..1, share of the person that nobody else covers
    weight: Floats
    anew: npt.NDArray[np.bool_]
    kinds: npt.NDArray[np.int8]
    contradicted: Floats

    @property
    def contradictions(self) -> dict[str, int]:
        """How many parts are wrong, by kind; one more where the observer took left and right back."""
        return contradictions.count(self.kinds, mirrored=int(self.seen.sides_swapped))


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """The tracks of a frame: as they were, and as they are expected.

    bodies, and joints (T, 24, 3) from the pelvis: of the expected ones. continuous: for each track, whether
    what is expected follows from `before`. steady: people are where they are expected.
    """

    before: Sequence[TrackState]
    tracks: Sequence[TrackState]
    bodies: Bodies
    joints: Floats
    continuous: Sequence[bool]
    steady: bool


def match(
    pairs: Sequence[tuple[int, int]],
    expected: Expectation,
    sightings: Sequence[Sighting],
    *,
    unobstructed: Sequence[float],
) -> list[Match]:
    """What the sightings say of the tracks, for each pair (track, sighting)."""
    if not pairs:
        return []
    reading = _read(pairs, expected, sightings)
    return [
        _matched(expected, row, sightings[column], reading, index, unobstructed=unobstructed[column])
        for index, (row, column) in enumerate(pairs)
    ]


def _matched(
    expected: Expectation, row: int, seen: Sighting, reading: Reading, index: int, *, unobstructed: float
) -> Match:
    """What a sighting says of the track in a row, when it is read as `reading` has it at `index`."""
    before, track, joints = expected.before[row], expected.tracks[row], expected.joints[row]
    as_read = _as_read(seen, reading, index)
    verdict = judge(before, track, joints, as_read, steady=expected.steady)
    kinds, contradicted = reading.kinds[index], reading.contradicted[index]
    weight, anew = reading.weight[index], reading.believed[index]
    if verdict is Verdict.DOUBTED and anew[_TRUNK].all():
        verdict = Verdict.CHANGED
    if verdict in ANEW:  # there is no motion that anything could contradict
        as_read, kinds, contradicted = seen, np.zeros_like(kinds), np.zeros_like(contradicted)
        weight, anew = np.ones_like(weight), np.ones_like(anew)
    elif verdict is Verdict.DOUBTED:
        weight, anew = weight * DOUBTED_WEIGHT, np.zeros_like(anew)
        kinds = np.where((np.arange(len(kinds)) == 0) & (kinds == 0), LEAPED, kinds).astype(np.int8)
    colours = not ((kinds == MIRRORED) | (kinds == MIXED)).any()
    return Match(
        before=before,
        expected=track,
        expected_joints=joints,
        expected_pelvis=expected.bodies.pelvises[row],
        seen=as_read,
        verdict=verdict,
        unobstructed=unobstructed if colours else 0.0,
        weight=weight,
        anew=anew,
        kinds=kinds,
        contradicted=contradicted,
    )


def judge(
    before: TrackState, expected: TrackState, expected_joints: Floats, seen: Sighting, *, steady: bool
) -> Verdict:
    """How `seen` fits `expected`, the prediction from `before`, with its joints (24, 3) from the pelvis.

    Who was out of sight is believed as seen: what was imagined since is worth no doubt. Who is found only
    where the tracker looked cannot have jumped. In a session whose pictures jump
    (`steady` False) a pose that changes at once is nothing unusual.
    """
    slack = min(1 + JUMP_GROWTH * (expected.unseen - 1), MAX_JUMP_GROWTH)
    moved = seen.place - expected.place
    away = float(np.hypot(*moved[:2])) / float(size_at(expected.place))
    jumped = away > PLACE_JUMP * slack or abs(moved[2]) > DEPTH_JUMP * slack
    bent_m = float(np.sqrt(np.square(seen.joints - expected_joints).sum(axis=-1)).mean())
    if not jumped and bent_m <= POSE_JUMP_M * slack:
        return Verdict.EXPECTED
    turned = _turned_round(expected.turns[_TRUNK], seen.turns[_TRUNK])
    if before.unseen or (before.known < SETTLED and not turned):
        return Verdict.FOUND
    if not steady or (jumped and seen.detected):
        return Verdict.JUMPED
    return Verdict.DOUBTED if (turned or jumped) and before.doubts < MAX_DOUBTS else Verdict.CHANGED


def _read(pairs: Sequence[tuple[int, int]], expected: Expectation, sightings: Sequence[Sighting]) -> Reading:
    rows = np.array([row for row, _ in pairs])
    seen = [sightings[column] for _, column in pairs]
    before = [expected.before[row] for row in rows]
    frames = np.array([expected.tracks[row].unseen for row in rows])
    known = np.array([not track.unseen and track.known >= SETTLED for track in before])
    moves = np.array([[track.spin, track.spin_surprise] for track in before])
    return contradictions.read(
        Seen(
            turns=np.array([one.turns for one in seen]),
            joints=np.array([one.joints for one in seen]),
            pictures=np.array([one.picture for one in seen]),
        ),
        Known(
            turns=expected.bodies.turns[rows],
            joints=expected.joints[rows],
            moved=np.sqrt(np.square(moves).sum(axis=-1)).sum(axis=1) * frames[:, None],
            innovation_m=np.array([track.innovation[0] for track in before]) / 1e3,
            contradicted=np.array([track.contradicted for track in before]),
            well=known & np.array(expected.continuous)[rows] & (frames <= RECENT) & expected.steady,
            pictures=_pictures(expected),
            own=rows,
        ),
    )


def _pictures(expected: Expectation) -> Floats:
    """Where the joints (T, 24, 2) of all tracks are expected in the picture; of nobody where there is one."""
    if len(expected.tracks) < 2:
        return np.zeros((0, 24, 2))
    return picture_of(expected.joints, expected.bodies.pelvises)


def _as_read(seen: Sighting, reading: Reading, index: int) -> Sighting:
    if not reading.kinds[index].any():
        return seen
    source = reading.source[index]
    return replace(
        seen,
        turns=reading.turns[index],
        joints=reading.joints[index],
        picture=seen.picture[source],
        visibility=seen.visibility[source] * reading.weight[index],
    )


def _turned_round(expected: Floats, seen: Floats) -> bool:
    """Whether an upright trunk, with turns (N, 3, 3), seems to have turned round; a lying one may roll."""
    angle = np.linalg.norm(vector_from_rotation(np.swapaxes(expected, -1, -2) @ seen), axis=-1)
    upright = -expected[..., 1, 1] > UPRIGHT  # up is -y in the picture
    return bool(((angle > TURNED_ROUND) & upright).any())
