"""Who is who: every track against every sighting, in appearance, location and pose.

PHALP multiplies a factor for appearance, one for pose, and the exponentials of the distances in the
picture and in log depth; the sum here is the logarithm of that product. So appearance and pose, which
change slowly, grow ever slower, and location counts in units of its uncertainty. When the picture
jumps, location is worth nothing, and a person who looks the same is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from workers.phalp.appearance import appearance_distance
from workers.phalp.location import size_at
from workers.phalp.sighting import Sighting
from workers.phalp.state import Floats, TrackState

#: Colour difference, mean joint distance (metres) and log depth at which a term begins to count.
APPEARANCE_UNIT: Final = 0.10
POSE_UNIT_M: Final = 0.15
DEPTH_UNIT: Final = 0.15
#: Distance in the picture, in body lengths, that costs 1, and how much it grows for each unseen frame.
LOCATION_UNIT: Final = 0.25
LOCATION_GROWTH: Final = 0.08
#: Most that pose and depth may cost: people move, and how far a curled up body is away hardly shows.
MAX_POSE: Final = 1.0
MAX_DEPTH: Final = 1.5
#: What appearance counts for beside the others.
APPEARANCE_SHARE: Final = 2.0
#: Being seen in the region that a track proposed speaks for that track, a little.
PROPOSAL_BONUS: Final = 0.2
#: What a track that was seen only once gives way to an old one by; nothing any more after `FAMILIAR` hits.
NOVICE_COST: Final = 2.0
FAMILIAR: Final = 10
#: A pair that costs more is not the same person; nor one that looks like it, where location does not count.
MAX_COST: Final = 6.0
MAX_LOOKS_COST: Final = 3.0


@dataclass(frozen=True, slots=True)
class Association:
    """Indices into the tracks and sightings that were given; a track in no pair is lost."""

    pairs: tuple[tuple[int, int], ...]  # (track, sighting)
    new_sightings: tuple[int, ...]


def associate(
    tracks: Sequence[TrackState],
    joints: Floats,
    sightings: Sequence[Sighting],
    *,
    in_view: Sequence[bool],
    steady: bool,
) -> Association:
    """The cheapest assignment. `tracks` are predicted for this frame, with joints (T, 24, 3) from the pelvis.

    First by everything. Then, by looks and pose alone, those who may be anywhere: who was lost in a jump of
    the picture, and those who were `in_view` before if the session is not `steady` or most of them are lost.
    """
    pairs: list[tuple[int, int]] = []
    if tracks and sightings:
        looks, location = pair_costs(tracks, joints, sightings)
        pairs = _cheapest(looks + location, limit=MAX_COST, handicap=_handicaps(tracks))
        found_rows = {row for row, _ in pairs}
        recent = {row for row, shown in enumerate(in_view) if shown}
        anywhere = {row for row, track in enumerate(tracks) if track.lasting} - recent
        if not steady or 2 * len(recent & found_rows) < len(recent):
            anywhere |= recent
        rows = sorted(anywhere - found_rows)
        if rows:
            columns = _others(len(sightings), [column for _, column in pairs])
            found = _cheapest(
                looks[np.ix_(rows, columns)], limit=MAX_LOOKS_COST, handicap=np.zeros((len(rows), 1))
            )
            pairs += [(rows[row], columns[column]) for row, column in found]
    return Association(
        tuple(sorted(pairs)),
        tuple(_others(len(sightings), [column for _, column in pairs])),
    )


def _handicaps(tracks: Sequence[TrackState]) -> Floats:
    """What each track (T, 1) gives way by: who was lost and is found again often looks like a newcomer."""
    hits = np.array([[track.hits] for track in tracks])
    return NOVICE_COST * np.maximum(1 - hits / FAMILIAR, 0)


def _cheapest(costs: Floats, *, limit: float, handicap: Floats) -> list[tuple[int, int]]:
    """The pairs that cost no more than `limit` each, of the assignment cheapest after `handicap` (T, 1)."""
    possible = np.where(costs <= limit, costs + handicap, limit + NOVICE_COST + 1e-3)
    rows, columns = linear_sum_assignment(possible)
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if costs[row, column] <= limit
    ]


def _others(count: int, taken: Sequence[int]) -> list[int]:
    return [index for index in range(count) if index not in taken]


def pair_costs(
    tracks: Sequence[TrackState], joints: Floats, sightings: Sequence[Sighting]
) -> tuple[Floats, Floats]:
    """Costs (T, S) of taking each sighting for each track: of appearance and pose, and of location."""
    places = np.stack([track.place for track in tracks])[:, None]  # (T, 1, 3)
    seen_places = np.stack([seen.place for seen in sightings])[None]  # (1, S, 3)
    sizes = size_at(places)
    unseen = np.array([track.unseen for track in tracks])[:, None]
    seen_joints = np.stack([seen.joints for seen in sightings])[None]  # (1, S, 24, 3)

    distance = np.hypot(places[..., 0] - seen_places[..., 0], places[..., 1] - seen_places[..., 1]) / sizes
    location = distance / (LOCATION_UNIT + LOCATION_GROWTH * unseen)
    depth = np.minimum(np.abs(places[..., 2] - seen_places[..., 2]) / DEPTH_UNIT, MAX_DEPTH)
    pose = np.sqrt(np.square(joints[:, None] - seen_joints).sum(axis=-1)).mean(axis=-1) / POSE_UNIT_M
    colour = _colour_distances(tracks, sightings) / APPEARANCE_UNIT
    proposed = np.array([[seen.proposal == track.track_id for seen in sightings] for track in tracks])
    looks = APPEARANCE_SHARE * np.log1p(colour**2) + np.minimum(np.log1p(pose**2), MAX_POSE)
    return looks, location + depth - PROPOSAL_BONUS * proposed


def _colour_distances(tracks: Sequence[TrackState], sightings: Sequence[Sighting]) -> Floats:
    return appearance_distance(
        np.stack([track.appearance for track in tracks])[:, None],
        np.stack([track.patch_weight for track in tracks])[:, None],
        np.stack([seen.appearance for seen in sightings])[None],
        np.stack([seen.patch_weight for seen in sightings])[None],
    )
