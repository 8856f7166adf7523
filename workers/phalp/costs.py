"""What it costs to take a sighting for a track: log odds that they are two people, by each cue.

Location is Student's t with two degrees of freedom, three for depth; its spread grows while a person is
unseen. What each cue counts for was fitted, by logistic regression, to pairs of tracks and sightings in the
scenes of `bench.identity` that chose: the sum of all costs is 20 where both are as likely.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.phalp.appearance import odds_of_others
from workers.phalp.hiding import covered
from workers.phalp.location import size_at
from workers.phalp.sighting import Sighting
from workers.phalp.state import Floats, TrackState

#: What looks cost that tell nothing.
LOOKS_COST: Final = 8.0
#: Mean difference of patches from which more does not matter, of whom the observer found where this very
#: track was looked for: a body that is seen badly.
MOST_UNLIKE_LOOKED_FOR: Final = 1.8
#: Mean joint distance (metres) at which the pose begins to count, and the most that it may cost before it
#: is weighed: people move.
POSE_UNIT_M: Final = 0.10
MAX_POSE: Final = 1.5
#: What the pose counts for of who was seen just now, how much less for each e-fold of unseen frames, and at
#: least: somebody who was out of sight goes on in any pose.
POSE_SHARE: Final = 3.4
POSE_FADES: Final = 0.8
LEAST_POSE: Final = 0.3
#: How far from where they are expected people are, in body lengths: at once, for each unseen frame, for
#: its square, and for each unseen frame of those whose motion is hardly known.
PLACE_SPREAD: Final = 0.015
SPREAD_GROWTH: Final = 0.002
SPREAD_BEND: Final = 0.0003
UNKNOWN_SPEED: Final = 0.012
#: Log depth by which they are off, and the most that depth may cost before it is weighed: how far a curled up
#: body is away hardly shows.
DEPTH_SPREAD: Final = 0.045
MAX_DEPTH: Final = 4.0
#: The same as of the pose; and what each e-fold of unseen frames costs: who is missed is found soon, mostly.
PLACE_SHARE: Final = 1.18
PLACE_FADES: Final = 0.2
LEAST_PLACE: Final = 0.3
LOST_COST: Final = 1.7
#: What it costs that joints are hidden, for each share of them, of whom nobody is expected to hide; and how
#: much fewer than usual may be in view without.
HIDDEN_COST: Final = 20.0
HIDDEN_SLACK: Final = 0.1
#: Being seen in the region that a track proposed speaks for that track, a little; much where nobody else
#: had looked.
PROPOSAL_BONUS: Final = 0.2
RECOVERED_BONUS: Final = 6.0


@dataclass(frozen=True, slots=True)
class Cues:
    """What each cue counts for, as a share of what it counts for by default; 0: it is not looked at."""

    appearance: float = 1.0
    location: float = 1.0
    pose: float = 1.0


ALL_CUES: Final = Cues()


@dataclass(frozen=True, slots=True, eq=False)
class PairCosts:
    """Costs (T, S) of taking each sighting for each track: of appearance and pose, and of where and when.

    A pose is compared with one expected: it says more, by what is in `place`, where time and place go on.
    """

    looks: Floats
    place: Floats


def pair_costs(
    tracks: Sequence[TrackState], joints: Floats, sightings: Sequence[Sighting], *, cues: Cues = ALL_CUES
) -> PairCosts:
    """The costs of every pair. `tracks` are predicted for this frame, with joints (T, 24, 3)."""
    if not tracks:
        return PairCosts(np.zeros((0, len(sightings))), np.zeros((0, len(sightings))))
    pose = cues.pose * np.minimum(np.log1p((_pose_distances(joints, sightings) / POSE_UNIT_M) ** 2), MAX_POSE)
    ages = np.log([[max(track.unseen, 1)] for track in tracks])  # (T, 1)
    bonus = np.array([PROPOSAL_BONUS if seen.detected else RECOVERED_BONUS for seen in sightings])
    away = np.maximum(PLACE_SHARE - PLACE_FADES * ages, LEAST_PLACE) * _distance_cost(tracks, sightings)
    hidden = _hiding_cost(tracks, sightings) - bonus * _looked_for(tracks, sightings)
    return PairCosts(
        looks=appearance_cost(tracks, sightings, cues=cues) + pose,
        place=(np.maximum(POSE_SHARE - POSE_FADES * ages, LEAST_POSE) - 1) * pose
        + cues.location * (away + LOST_COST * ages + hidden),
    )


def appearance_cost(
    tracks: Sequence[TrackState], sightings: Sequence[Sighting], *, cues: Cues = ALL_CUES
) -> Floats:
    """Costs (T, S) of how differently tracks and sightings look."""
    if not tracks:
        return np.zeros((0, len(sightings)))
    odds = odds_of_others(
        np.array([track.appearance for track in tracks])[:, None],
        np.array([track.patch_weight for track in tracks])[:, None],
        np.array([seen.appearance for seen in sightings])[None],
        np.array([seen.patch_weight for seen in sightings])[None],
        most=np.where(_looked_for(tracks, sightings), MOST_UNLIKE_LOOKED_FOR, np.inf),
    )
    return cues.appearance * (LOOKS_COST + odds)


def _looked_for(tracks: Sequence[TrackState], sightings: Sequence[Sighting]) -> Floats:
    """Which sightings (T, S) were found where each track was looked for."""
    return np.array([[seen.proposal == track.track_id for seen in sightings] for track in tracks])


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
