"""Who is who: every track against every sighting, in appearance, location and pose.

PHALP multiplies a factor for appearance, one for pose, and the exponentials of the distances in the
picture and in log depth; the sum here is the logarithm of that product. Location is that of Student's t with
two degrees of freedom, three for depth; its spread grows while a person is unseen. Where a person may be
anywhere, in a new shot or who was forgotten by all but their looks, location says nothing.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from workers.phalp.appearance import appearance_distance
from workers.phalp.hiding import RECENT, behind_others, covered, unclear
from workers.phalp.location import size_at
from workers.phalp.sighting import Sighting
from workers.phalp.state import Floats, TrackState

#: Mean joint distance (metres) at which the pose begins to count.
POSE_UNIT_M: Final = 0.10
#: How far from where they are expected people are, in body lengths: at once, for each unseen frame, for
#: its square, and for each unseen frame of those whose motion is hardly known.
PLACE_SPREAD: Final = 0.015
SPREAD_GROWTH: Final = 0.002
SPREAD_BEND: Final = 0.0003
UNKNOWN_SPEED: Final = 0.012
#: Log depth by which they are off.
DEPTH_SPREAD: Final = 0.045
#: Most that pose and depth may cost: people move, and how far a curled up body is away hardly shows.
MAX_POSE: Final = 1.5
MAX_DEPTH: Final = 4.0
#: What appearance counts for beside the others, and the distance from which more does not matter; and the
#: same for whom the observer found where this very track was looked for: a body that is seen badly.
APPEARANCE_SHARE: Final = 8.0
MOST_UNLIKE: Final = 2.6
MOST_UNLIKE_LOOKED_FOR: Final = 1.8
#: What it costs that joints are hidden, for each share of them, of whom nobody is expected to hide; and how
#: much fewer than usual may be in view without.
HIDDEN_COST: Final = 6.0
HIDDEN_SLACK: Final = 0.1
#: Being seen in the region that a track proposed speaks for that track, a little; much where nobody else
#: had looked.
PROPOSAL_BONUS: Final = 0.2
RECOVERED_BONUS: Final = 6.0
#: What a track that was seen only once gives way to an old one by; nothing any more after `FAMILIAR` hits.
NOVICE_COST: Final = 2.0
FAMILIAR: Final = 10
#: A pair of somebody half hidden that costs more is put off, see `hiding.unclear`.
MAX_HIDDEN_COST: Final = 17.0
#: A pair that costs more, of somebody lost for so few frames who was seen less often than that, is put off
#: where others are followed: he may be missed, and this somebody new. Who is known for longer may leap.
MAX_DOUBTFUL_COST: Final = 20.0
DOUBTFUL_FRAMES: Final = 3
DOUBTFUL_HITS: Final = 30
#: A pair that costs more is not the same person: at once, and after so many unseen frames, over which people
#: go far; nor one that looks like it, where location does not count.
MAX_COST: Final = 25.0
MAX_COST_LATER: Final = 29.0
LATER_FRAMES: Final = 20
MAX_LOOKS_COST: Final = 12.0
#: Nor who looks more different from somebody asleep, whose pose is not remembered.
MAX_ASLEEP_COST: Final = 12.0
#: What location counts for of whom may be anywhere.
ANYWHERE_COST: Final = 4.0
#: The only one who is missing is the only one who is left over, whatever the light does to their looks, for
#: `RECENT` frames: within this many body lengths and this log depth of where he is expected; where the
#: picture jumped, anywhere in it within this log depth.
LEFT_PLACE: Final = 0.4
LEFT_DEPTH: Final = 0.5
LEFT_DEPTH_JUMPED: Final = 1.0

_IMPOSSIBLE: Final = 1e3


@dataclass(frozen=True, slots=True)
class Cues:
    """What each cue counts for, as a share of what it counts for by default; 0: it is not looked at."""

    appearance: float = 1.0
    location: float = 1.0
    pose: float = 1.0


ALL_CUES: Final = Cues()


@dataclass(frozen=True, slots=True)
class Association:
    """Indices into the tracks, those asleep and the sightings that were given; a track in no pair is lost.

    A sighting that is in none of them says too little of who it is: a clearer one will come.
    """

    pairs: tuple[tuple[int, int], ...]  # (track, sighting)
    woken: tuple[tuple[int, int], ...]  # (track asleep, sighting)
    new_sightings: tuple[int, ...]


def associate(
    tracks: Sequence[TrackState],
    joints: Floats,
    sightings: Sequence[Sighting],
    *,
    in_view: Sequence[bool],
    steady: bool,
    cut: bool = False,
    asleep: Sequence[TrackState] = (),
    cues: Cues = ALL_CUES,
) -> Association:
    """The cheapest assignment. `tracks` are predicted for this frame, with joints (T, 24, 3) from the pelvis.

    First by everything that is known: of those `asleep` how they look, after a `cut` looks and pose. Then, by
    looks and pose alone, those who may be anywhere: who was lost in a jump of the picture, and those who were
    `in_view` before if the session is not `steady` or most who might be found are lost. Last, within a
    shot, by elimination: whom light makes look like nobody is still the only one who is missing.
    """
    if not sightings or not (tracks or asleep):
        return Association((), (), tuple(range(len(sightings))))
    count = len(tracks)
    looks, elsewhere = pair_costs(tracks, joints, sightings, cues=cues)
    placed = np.full((count, 1), not cut)
    costs = looks + np.where(placed, elsewhere, ANYWHERE_COST)
    slept = appearance_cost(asleep, sightings, cues=cues) + ANYWHERE_COST
    if asleep:  # a few patches in the colours of who covers them are like anybody's
        slept = np.where(behind_others(tracks, sightings), _IMPOSSIBLE, slept)
    pairs = _cheapest(
        np.concatenate([costs, slept]),
        limit=np.concatenate(
            [
                np.where(placed, _most_costs(tracks), ANYWHERE_COST + MAX_LOOKS_COST),
                np.full((len(asleep), 1), ANYWHERE_COST + MAX_ASLEEP_COST),
            ]
        ),
        handicap=np.concatenate([_handicaps(tracks), np.zeros((len(asleep), 1))]),
    )
    woken = [(row - count, column) for row, column in pairs if row >= count]
    pairs = [pair for pair in pairs if pair[0] < count]
    sure = [pair for pair in pairs if costs[pair] <= MAX_HIDDEN_COST]
    put_off = unclear(
        tracks,
        sightings,
        sure={column for _, column in sure + woken},
        lost=sorted(set(range(count)) - {row for row, _ in pairs}),
    )
    if steady and not cut and count > 1:
        put_off = put_off | _doubtful(tracks, sightings, {pair: costs[pair] for pair in pairs})
    pairs = [pair for pair in pairs if pair[1] not in put_off]
    found_rows = {row for row, _ in pairs}
    recent = {row for row, shown in enumerate(in_view) if shown}
    anywhere = {row for row, track in enumerate(tracks) if track.lasting} - recent
    if not steady or 2 * len(recent & found_rows) < min(len(recent), len(sightings)):
        anywhere |= recent
    rows = sorted(anywhere - found_rows)
    columns = _others(len(sightings), pairs + woken, put_off)
    if rows and columns:
        found = _cheapest(
            looks[np.ix_(rows, columns)],
            limit=np.full((len(rows), 1), MAX_LOOKS_COST),
            handicap=np.zeros((len(rows), 1)),
        )
        pairs += [(rows[row], columns[column]) for row, column in found]
    if not cut:
        pairs += _left_over(tracks, sightings, pairs, _others(len(sightings), pairs + woken, put_off))
    new = _others(len(sightings), pairs + woken, put_off)
    return Association(tuple(sorted(pairs)), tuple(woken), tuple(new))


def _doubtful(
    tracks: Sequence[TrackState], sightings: Sequence[Sighting], pairs: Mapping[tuple[int, int], float]
) -> Set[int]:
    """The sightings of `pairs`, with their costs, that are hardly those who were seen just now."""
    return {
        column
        for (row, column), cost in pairs.items()
        if cost > MAX_DOUBTFUL_COST
        and tracks[row].unseen <= DOUBTFUL_FRAMES
        and tracks[row].hits < DOUBTFUL_HITS
        and sightings[column].detected
    }


def _left_over(
    tracks: Sequence[TrackState],
    sightings: Sequence[Sighting],
    pairs: Sequence[tuple[int, int]],
    columns: Sequence[int],
) -> list[tuple[int, int]]:
    """The pair of the only track and the only sighting that are in none, if they are one person."""
    taken = {row for row, _ in pairs}
    rows = [row for row in range(len(tracks)) if row not in taken]
    if len(rows) != 1 or len(columns) != 1 or tracks[rows[0]].unseen > RECENT:
        return []
    track, seen = tracks[rows[0]], sightings[columns[0]]
    moved = seen.place - track.place
    away, deeper = float(np.hypot(*moved[:2])) / float(size_at(track.place)), abs(moved[2])
    near = track.hits >= FAMILIAR and away < LEFT_PLACE and deeper < LEFT_DEPTH
    return [(rows[0], columns[0])] if near or (track.lasting and deeper < LEFT_DEPTH_JUMPED) else []


def _most_costs(tracks: Sequence[TrackState]) -> Floats:
    """What a pair of each track (T, 1) may cost."""
    later = np.array([(track.unseen - 1) / LATER_FRAMES for track in tracks]).reshape(-1, 1)
    return MAX_COST + (MAX_COST_LATER - MAX_COST) * np.clip(later, 0, 1)


def _handicaps(tracks: Sequence[TrackState]) -> Floats:
    """What each track (T, 1) gives way by: who was lost and is found again often looks like a newcomer."""
    hits = np.array([track.hits for track in tracks]).reshape(-1, 1)
    return NOVICE_COST * np.maximum(1 - hits / FAMILIAR, 0)


def _cheapest(costs: Floats, *, limit: Floats, handicap: Floats) -> list[tuple[int, int]]:
    """The pairs within their row's `limit` (T, 1), of the assignment that is cheapest after `handicap`."""
    allowed = costs <= limit
    # Any pair that is allowed is better than none.
    possible = np.where(allowed, costs + handicap - limit.max() - NOVICE_COST, 1e-3)
    rows, columns = linear_sum_assignment(possible)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]
    ]


def _others(count: int, pairs: Sequence[tuple[int, int]], put_off: Set[int]) -> list[int]:
    taken = put_off.union(column for _, column in pairs)
    return [index for index in range(count) if index not in taken]


def pair_costs(
    tracks: Sequence[TrackState], joints: Floats, sightings: Sequence[Sighting], *, cues: Cues = ALL_CUES
) -> tuple[Floats, Floats]:
    """Costs (T, S) of taking each sighting for each track: of appearance and pose, and of location."""
    if not tracks:
        return np.zeros((0, len(sightings))), np.zeros((0, len(sightings)))
    pose = np.log1p((_pose_distances(joints, sightings) / POSE_UNIT_M) ** 2)
    looks = appearance_cost(tracks, sightings, cues=cues) + cues.pose * np.minimum(pose, MAX_POSE)
    bonus = np.array([PROPOSAL_BONUS if seen.detected else RECOVERED_BONUS for seen in sightings])
    proposed = np.array([[seen.proposal == track.track_id for seen in sightings] for track in tracks])
    place = _distance_cost(tracks, sightings) + _hiding_cost(tracks, sightings) - bonus * proposed
    return looks, cues.location * place


def appearance_cost(
    tracks: Sequence[TrackState], sightings: Sequence[Sighting], *, cues: Cues = ALL_CUES
) -> Floats:
    """Costs (T, S) of how differently tracks and sightings look."""
    if not tracks:
        return np.zeros((0, len(sightings)))
    apart = appearance_distance(
        np.array([track.appearance for track in tracks])[:, None],
        np.array([track.patch_weight for track in tracks])[:, None],
        np.array([seen.appearance for seen in sightings])[None],
        np.array([seen.patch_weight for seen in sightings])[None],
    )
    looked_for = np.array([[seen.proposal == track.track_id for seen in sightings] for track in tracks])
    most = np.where(looked_for, MOST_UNLIKE_LOOKED_FOR, MOST_UNLIKE)
    return cues.appearance * APPEARANCE_SHARE * np.minimum(apart, most)


def _pose_distances(joints: Floats, sightings: Sequence[Sighting]) -> Floats:
    """Mean joint distances (T, S), metres; joints count as they are in view."""
    seen = np.array([seen.joints for seen in sightings])[None]  # (1, S, 24, 3)
    shares = np.array([seen.visibility for seen in sightings]) + 0.1
    apart = np.sqrt(np.square(joints[:, None] - seen).sum(axis=-1))
    return (apart * shares).sum(axis=-1) / shares.sum(axis=-1)


def _distance_cost(tracks: Sequence[TrackState], sightings: Sequence[Sighting]) -> Floats:
    """Costs (T, S) of how far sightings are from where tracks are expected, in the picture and in depth."""
    places = np.array([track.place for track in tracks])[:, None]  # (T, 1, 3)
    apart = np.array([seen.place for seen in sightings])[None] - places
    unseen = np.array([track.unseen for track in tracks], dtype=np.float64)[:, None]
    known = np.array([track.known for track in tracks])[:, None]
    spread = PLACE_SPREAD + (SPREAD_GROWTH + UNKNOWN_SPEED / known) * unseen + SPREAD_BEND * unseen**2
    distance = np.hypot(apart[..., 0], apart[..., 1]) / size_at(places)
    across = 2 * np.log1p((distance / spread) ** 2 / 2) + 2 * np.log(spread / PLACE_SPREAD)
    depth = 2 * np.log1p((apart[..., 2] / DEPTH_SPREAD) ** 2 / 3)
    return across + np.minimum(depth, MAX_DEPTH)


def _hiding_cost(tracks: Sequence[TrackState], sightings: Sequence[Sighting]) -> Floats:
    """Costs (T, S) of joints out of view of whom nobody hides: who is half hidden is not the one in front."""
    visible = np.array([seen.visibility.mean() for seen in sightings])[None]
    usual = np.array([track.visibility.mean() for track in tracks])[:, None]
    return HIDDEN_COST * np.maximum(usual - visible - HIDDEN_SLACK, 0) * (1 - covered(tracks))[:, None]
