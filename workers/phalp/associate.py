"""Who is who: the cheapest assignment of sightings to tracks, and whom it is too early to name.

PHALP multiplies a factor for appearance, one for pose, and the exponentials of the distances in the
picture and in log depth; the sum of `costs` is the logarithm of that product. Where a person may be
anywhere, in a new shot or who was forgotten by all but their looks, location says nothing.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment

from workers.phalp.costs import ALL_CUES, Cues, appearance_cost, pair_costs
from workers.phalp.hiding import RECENT, awaited, behind_others, unclear
from workers.phalp.location import size_at
from workers.phalp.sighting import Sighting
from workers.phalp.state import Floats, TrackState

#: What a track that was seen only once gives way to an old one by; nothing any more after `FAMILIAR` hits.
NOVICE_COST: Final = 2.0
FAMILIAR: Final = 10
#: A pair of somebody half hidden that costs more is put off, see `hiding.unclear`; and one that costs less
#: than this more for somebody else who is lost behind others, of whom joints are out of view: more will show.
MAX_HIDDEN_COST: Final = 17.0
CLEAR_LEAD: Final = 5.0
IN_VIEW: Final = 0.82
#: A pair that costs more, of somebody lost for so few frames who was seen less often than that, is put off
#: where others are followed: he may be missed, and this somebody new. Who is known for longer may leap.
MAX_DOUBTFUL_COST: Final = 20.0
DOUBTFUL_FRAMES: Final = 3
DOUBTFUL_HITS: Final = 30
#: What a pair is worth beside nobody being found and somebody new: who costs more is taken only where nothing
#: better is given up for it.
PAIR_WORTH: Final = 22.0
#: A pair that costs more is not the same person; nor one that looks like it, where location does not count.
MAX_COST: Final = 23.0
MAX_LOOKS_COST: Final = 10.0
#: Nor who looks more different from somebody asleep, whose pose is not remembered.
MAX_ASLEEP_COST: Final = 8.5
#: What location counts for of whom may be anywhere.
ANYWHERE_COST: Final = 8.0
#: The only one who is missing is the only one who is left over, whatever the light does to their looks, for
#: `RECENT` frames: within this many body lengths and this log depth of where he is expected; where the
#: picture jumped, anywhere in it within this log depth.
LEFT_PLACE: Final = 0.4
LEFT_DEPTH: Final = 0.5
LEFT_DEPTH_JUMPED: Final = 1.0
#: Nor is he, within a shot, who costs more.
MAX_LEFT_COST: Final = 28.0

_IMPOSSIBLE: Final = 1e3

#: Indices of a track and of a sighting.
Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Association:
    """Indices into the tracks, those asleep and the sightings that were given; a track in no pair is lost.

    A sighting that is in none of them says too little of who it is: a clearer one will come.
    """

    pairs: tuple[Pair, ...]  # (track, sighting)
    woken: tuple[Pair, ...]  # (track asleep, sighting)
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
    weighed = pair_costs(tracks, joints, sightings, cues=cues)
    costs = weighed.looks + (ANYWHERE_COST if cut else weighed.place)
    pairs, woken = _by_everything(
        tracks,
        costs,
        _costs_of_waking(asleep, tracks, sightings, cues=cues),
        limit=ANYWHERE_COST + MAX_LOOKS_COST if cut else MAX_COST,
    )

    put_off = _hidden(tracks, sightings, costs, pairs, woken)
    if steady and not cut and len(tracks) > 1:
        put_off = put_off | _doubtful(tracks, sightings, costs, pairs)
        put_off = put_off | _ambiguous(tracks, sightings, costs, pairs)
    pairs = [pair for pair in pairs if pair[1] not in put_off]

    rows = _anywhere(tracks, pairs, len(sightings), in_view=in_view, steady=steady)
    pairs += _by_looks(weighed.looks, rows, _others(len(sightings), pairs + woken, put_off))

    if not cut:
        left = _others(len(sightings), pairs + woken, put_off)
        pairs += _left_over(tracks, sightings, costs, pairs, left)
    new = _others(len(sightings), pairs + woken, put_off)
    return Association(tuple(sorted(pairs)), tuple(woken), tuple(new))


def _costs_of_waking(
    asleep: Sequence[TrackState], tracks: Sequence[TrackState], sightings: Sequence[Sighting], *, cues: Cues
) -> Floats:
    """What it costs (A, S) to take a sighting for somebody asleep, who may be anywhere."""
    costs = appearance_cost(asleep, sightings, cues=cues) + ANYWHERE_COST
    if not asleep:
        return costs
    # A few patches in the colours of who covers them are like anybody's.
    return np.where(behind_others(tracks, sightings), _IMPOSSIBLE, costs)


def _by_everything(
    tracks: Sequence[TrackState], costs: Floats, waking: Floats, *, limit: float
) -> tuple[list[Pair], list[Pair]]:
    """The pairs of tracks, whose `costs` (T, S) are within `limit`, and those of who is woken."""
    count, sleepers = len(tracks), len(waking)
    found = _cheapest(
        np.concatenate([costs, waking]),
        limit=np.concatenate(
            [np.full((count, 1), limit), np.full((sleepers, 1), ANYWHERE_COST + MAX_ASLEEP_COST)]
        ),
        handicap=np.concatenate([_handicaps(tracks), np.zeros((sleepers, 1))]),
    )
    woken = [(row - count, column) for row, column in found if row >= count]
    return [pair for pair in found if pair[0] < count], woken


def _hidden(
    tracks: Sequence[TrackState],
    sightings: Sequence[Sighting],
    costs: Floats,
    pairs: Sequence[Pair],
    woken: Sequence[Pair],
) -> Set[int]:
    """The sightings that show too little yet of somebody who may be lost behind others."""
    likely = [pair for pair in pairs if costs[pair] <= MAX_HIDDEN_COST]
    return unclear(
        tracks,
        sightings,
        sure={column for _, column in [*likely, *woken]},
        lost=_unpaired(len(tracks), likely),
    )


def _doubtful(
    tracks: Sequence[TrackState],
    sightings: Sequence[Sighting],
    costs: Floats,
    pairs: Sequence[Pair],
) -> Set[int]:
    """The sightings of `pairs` that are hardly those who were seen just now."""
    return {
        column
        for row, column in pairs
        if costs[row, column] > MAX_DOUBTFUL_COST
        and tracks[row].unseen <= DOUBTFUL_FRAMES
        and tracks[row].hits < DOUBTFUL_HITS
        and sightings[column].detected
    }


def _ambiguous(
    tracks: Sequence[TrackState],
    sightings: Sequence[Sighting],
    costs: Floats,
    pairs: Sequence[Pair],
) -> Set[int]:
    """The sightings of `pairs`, not in full view, that are nearly as much like somebody who is lost."""
    rivals = awaited(tracks, _unpaired(len(tracks), pairs))
    if not rivals:
        return frozenset()
    nearest = costs[rivals].min(axis=0)
    return {
        column
        for row, column in pairs
        if costs[row, column] > nearest[column] - CLEAR_LEAD
        and sightings[column].detected
        and sightings[column].visibility.mean() < IN_VIEW
    }


def _anywhere(
    tracks: Sequence[TrackState],
    pairs: Sequence[Pair],
    sighted: int,
    *,
    in_view: Sequence[bool],
    steady: bool,
) -> list[int]:
    """The tracks in none of the pairs who may be anywhere, in a frame of so many `sighted`."""
    found = {row for row, _ in pairs}
    recent = {row for row, shown in enumerate(in_view) if shown}
    anywhere = {row for row, track in enumerate(tracks) if track.lasting} - recent
    if not steady or 2 * len(recent & found) < min(len(recent), sighted):
        anywhere |= recent
    return sorted(anywhere - found)


def _by_looks(looks: Floats, rows: Sequence[int], columns: Sequence[int]) -> list[Pair]:
    """The pairs of the tracks `rows` and the sightings `columns`, by looks and pose alone."""
    if not rows or not columns:
        return []
    found = _cheapest(
        looks[np.ix_(rows, columns)],
        limit=np.full((len(rows), 1), MAX_LOOKS_COST),
        handicap=np.zeros((len(rows), 1)),
    )
    return [(rows[row], columns[column]) for row, column in found]


def _left_over(
    tracks: Sequence[TrackState],
    sightings: Sequence[Sighting],
    costs: Floats,
    pairs: Sequence[Pair],
    columns: Sequence[int],
) -> list[Pair]:
    """The pair of the only track and the only sighting that are in none, if they are one person."""
    rows = _unpaired(len(tracks), pairs)
    if len(rows) != 1 or len(columns) != 1 or tracks[rows[0]].unseen > RECENT:
        return []
    track, seen = tracks[rows[0]], sightings[columns[0]]
    moved = seen.place - track.place
    away, deeper = float(np.hypot(*moved[:2])) / float(size_at(track.place)), abs(moved[2])
    near = track.hits >= FAMILIAR and away < LEFT_PLACE and deeper < LEFT_DEPTH
    near = near and costs[rows[0], columns[0]] <= MAX_LEFT_COST
    return [(rows[0], columns[0])] if near or (track.lasting and deeper < LEFT_DEPTH_JUMPED) else []


def _handicaps(tracks: Sequence[TrackState]) -> Floats:
    """What each track (T, 1) gives way by: who was lost and is found again often looks like a newcomer."""
    hits = np.array([track.hits for track in tracks]).reshape(-1, 1)
    return NOVICE_COST * np.maximum(1 - hits / FAMILIAR, 0)


def _cheapest(costs: Floats, *, limit: Floats, handicap: Floats) -> list[Pair]:
    """The pairs within their row's `limit` (T, 1), of the assignment that is cheapest after `handicap`."""
    allowed = costs <= limit
    # Any pair that is allowed is better than none, though no better than others that are clearer.
    possible = np.where(allowed, np.minimum(costs + handicap - PAIR_WORTH, -1e-3), 1e-3)
    rows, columns = linear_sum_assignment(possible)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]
    ]


def _unpaired(count: int, pairs: Sequence[Pair]) -> list[int]:
    """The rows, of `count`, that are in none of the pairs."""
    taken = {row for row, _ in pairs}
    return [row for row in range(count) if row not in taken]


def _others(count: int, pairs: Sequence[Pair], put_off: Set[int]) -> list[int]:
    taken = put_off | {column for _, column in pairs}
    return [index for index in range(count) if index not in taken]
