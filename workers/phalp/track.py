"""The life of one track: begun by a sighting, moved by more, ended by their absence.

It knows nothing of other tracks or of the session.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from workers.phalp import appearance, past, smooth
from workers.phalp.confidence import trust_of
from workers.phalp.contradictions import PARTS
from workers.phalp.innovation import NEWCOMER, innovations, running_mean
from workers.phalp.location import place_of, size_at, translation_onto
from workers.phalp.match import ANEW, DOUBTED_WEIGHT, Match, Verdict
from workers.phalp.sighting import Sighting
from workers.phalp.skeleton import Skeleton
from workers.phalp.smooth import Filtered
from workers.phalp.state import Floats, Quaternions, TrackState

#: Sightings after which a track is more than a suspicion: before, it may lose the primary place.
CONFIRMED_HITS: Final = 10

#: Longest life without a sighting, frames (PHALP's).
MAX_UNSEEN: Final = 50
#: A track that was seen n times lives on for this many frames times n: a false box does not linger.
FRAMES_PER_HIT: Final = 3
#: The same for a person most of whom has left the picture.
MAX_UNSEEN_OUTSIDE: Final = 5

#: Measurements of the shape that count in full, and the share of each later one.
SHAPE_SETTLES: Final = 30
LATE_SHAPE_SHARE: Final = 0.001

#: What a joint out of view counts for when a body is laid onto the picture, beside its visibility.
HIDDEN_JOINT_WEIGHT: Final = 0.1

#: Most that laying a body onto the picture may change its log distance.
MAX_RESIZED: Final = 0.3

#: Share of the old visibility of a joint that is kept.
VISIBILITY_KEPT: Final = 0.5

#: Most confidence in a pose that is mostly the prediction.
DOUBTED_TRUST: Final = 0.6


def begin(track_id: int, seen: Sighting) -> TrackState:
    """A new track."""
    return TrackState(
        track_id=track_id,
        hits=1,
        unseen=0,
        doubts=0,
        known=1,
        detected=seen.detected,
        trust=_trust(seen),
        innovation=NEWCOMER,
        turns=seen.turns,
        spin=np.zeros((24, 3)),
        spin_surprise=np.zeros((24, 3)),
        place=seen.place,
        drift=np.zeros(3),
        drift_surprise=np.zeros(3),
        betas=seen.measured_betas,
        appearance=seen.appearance,
        patch_weight=seen.patch_weight,
        visibility=seen.visibility,
        seen_place=seen.place,
        seen_box=seen.box,
        lasting=False,
        contradicted=np.zeros(len(PARTS)),
        past_turns=past.quaternions(seen.turns)[None],
        past_places=seen.place[None],
    )


def observe(matches: Sequence[Match], *, skeleton: Skeleton) -> list[TrackState]:
    """The tracks after their sightings."""
    if not matches:
        return []
    shapes = [_shape(match.before, match.seen) for match in matches]
    restarted = np.array([match.verdict in ANEW for match in matches])
    joints_restarted = np.array([match.anew for match in matches])
    frames = np.array([match.expected.unseen for match in matches], dtype=np.float64)
    pose = _smooth_pose(matches, frames, joints_restarted)
    measured = _place_onto(pose.value, shapes, matches, skeleton)
    place = _smooth_place(matches, measured, frames, restarted)
    innovation = _innovation(matches, frames)
    believed = past.quaternions(_believed(matches, pose.value))
    return [
        _observed(
            match,
            pose=_row(pose, index),
            place=_row(place, index),
            betas=betas,
            innovation=innovation[index],
            believed=believed[index],
        )
        for index, (match, betas) in enumerate(zip(matches, shapes, strict=True))
    ]


def is_over(track: TrackState, *, inside: float) -> bool:
    """Whether a track has gone unseen for too long; `inside` is the share of its box in the picture."""
    limit = MAX_UNSEEN if inside > 0.5 else MAX_UNSEEN_OUTSIDE
    return track.unseen > (limit if track.lasting else min(limit, FRAMES_PER_HIT * track.hits**2))


def _trust(seen: Sighting) -> float:
    return trust_of(score=seen.score, visibility=seen.visibility, detected=seen.detected)


def _observed(
    match: Match,
    *,
    pose: Filtered,
    place: Filtered,
    betas: Floats,
    innovation: Floats,
    believed: Quaternions,
) -> TrackState:
    before, seen = match.before, match.seen
    past_turns, past_places = past.extended(
        (past.NO_TURNS, past.NO_PLACES)
        if match.verdict in (Verdict.FOUND, Verdict.JUMPED)
        else (before.past_turns, before.past_places),
        believed,
        place.value if match.verdict is Verdict.DOUBTED else seen.place,
        frames=match.expected.unseen,
    )
    colours, patch_weight = appearance.remember(
        before.appearance, before.patch_weight, seen.appearance, seen.patch_weight * match.unobstructed
    )
    return replace(
        before,
        hits=before.hits + 1,
        unseen=0,
        doubts=before.doubts + 1 if match.verdict is Verdict.DOUBTED else 0,
        known=1 if match.verdict in ANEW else before.known + 1,
        detected=seen.detected,
        trust=_trust(seen) if match.verdict is not Verdict.DOUBTED else min(before.trust, DOUBTED_TRUST),
        innovation=innovation,
        turns=pose.value,
        spin=pose.velocity,
        spin_surprise=pose.surprise,
        place=place.value,
        drift=place.velocity,
        drift_surprise=place.surprise,
        betas=betas,
        appearance=colours,
        patch_weight=patch_weight,
        visibility=VISIBILITY_KEPT * before.visibility + (1 - VISIBILITY_KEPT) * seen.visibility,
        seen_place=place.value,
        seen_box=seen.box,
        contradicted=match.contradicted,
        past_turns=past_turns,
        past_places=past_places,
    )


def _innovation(matches: Sequence[Match], frames: Floats) -> Floats:
    """The running means (T, 2) after the sightings: a jump of the picture says nothing of how people move."""
    before = np.array([match.before.innovation for match in matches])
    seen = innovations(
        np.array([match.expected_joints for match in matches]),
        np.array([match.expected_pelvis for match in matches]),
        np.array([match.expected.place for match in matches]),
        seen_joints=np.array([match.seen.joints for match in matches]),
        seen_pictures=np.array([match.seen.picture for match in matches]),
    )
    jumped = np.array([match.verdict is Verdict.JUMPED for match in matches])
    return np.where(jumped[:, None], before, running_mean(before, seen, frames=frames))


def _believed(matches: Sequence[Match], smoothed: Floats) -> Floats:
    """Turns (T, 24, 3, 3) as measured, but as `smoothed` of those who are doubted."""
    doubted = np.array([match.verdict is Verdict.DOUBTED for match in matches])
    measured = np.array([match.seen.turns for match in matches])
    return np.where(doubted[:, None, None, None], smoothed, measured)


def _shape(before: TrackState, seen: Sighting) -> Floats:
    """Running mean of the shape: every measurement counts alike until it has settled."""
    hits = before.hits + 1
    share = 1 / hits if hits <= SHAPE_SETTLES else LATE_SHAPE_SHARE
    return before.betas + share * (seen.measured_betas - before.betas)


def _smooth_pose(matches: Sequence[Match], frames: Floats, restarted: Floats) -> Filtered:
    measured = np.array([match.seen.turns for match in matches])
    smoothed = smooth.rotations(
        Filtered(
            np.array([match.expected.turns for match in matches]),
            np.array([match.before.spin for match in matches]),
            np.array([match.before.spin_surprise for match in matches]),
        ),
        measured,
        size=size_at(np.array([match.expected.place for match in matches])),
        frames=frames,
        weight=np.array([match.weight for match in matches]),
    )
    return _restart(smoothed, measured, restarted)


def _weights(matches: Sequence[Match]) -> Floats:
    """How much of where each sighting (T,) is, is believed: single limbs hardly matter to it."""
    return np.array([DOUBTED_WEIGHT if match.verdict is Verdict.DOUBTED else 1.0 for match in matches])


def _place_onto(
    turns: Floats, shapes: Sequence[Floats], matches: Sequence[Match], skeleton: Skeleton
) -> Floats:
    """The places (T, 3) at which the smoothed bodies, in their tracks' own shapes, lie on what was seen.

    So neither a shape that settles nor a joint that lags moves a whole body off the picture. Where the
    smoothed pose is so unlike the one seen that they fit nowhere, the place is the one seen.
    """
    betas = np.array(shapes)
    pictures = np.array([match.seen.picture for match in matches])
    weights = np.array([match.seen.visibility for match in matches]) + HIDDEN_JOINT_WEIGHT
    pelvis = translation_onto(skeleton.joints(turns, betas), pictures, weights)
    laid = place_of(pelvis, skeleton.length(betas))
    seen = np.array([match.seen.place for match in matches])
    unlike = np.abs(laid[:, 2:] - seen[:, 2:]) > MAX_RESIZED
    return np.where(unlike, seen, laid)


def _smooth_place(matches: Sequence[Match], measured: Floats, frames: Floats, restarted: Floats) -> Filtered:
    """The places after a measurement: across the picture, and in distance."""
    expected = Filtered(
        np.array([match.expected.place for match in matches]),
        np.array([match.before.drift for match in matches]),
        np.array([match.before.drift_surprise for match in matches]),
    )
    weights, size = _weights(matches), size_at(expected.value)
    across = smooth.vectors(
        _part(expected, slice(0, 2)),
        measured[:, :2],
        unit=size,
        size=size,
        frames=frames,
        weight=weights,
        response=smooth.PLACE,
    )
    distance = smooth.vectors(
        _part(expected, slice(2, 3)),
        measured[:, 2:],
        unit=np.ones(len(matches)),
        size=size,
        frames=frames,
        weight=weights,
        response=smooth.DISTANCE,
    )
    both = Filtered(
        np.concatenate([across.value, distance.value], axis=-1),
        np.concatenate([across.velocity, distance.velocity], axis=-1),
        np.concatenate([across.surprise, distance.surprise], axis=-1),
    )
    return _restart(both, measured, restarted)


def _restart(smoothed: Filtered, measured: Floats, restarted: Floats) -> Filtered:
    """`smoothed`, but as measured and at rest for the tracks (T,), or joints (T, 24), that start anew."""

    def choose(new: Floats | float, old: Floats) -> Floats:
        return np.where(restarted.reshape(*restarted.shape, *(1,) * (old.ndim - restarted.ndim)), new, old)

    return Filtered(
        choose(measured, smoothed.value),
        choose(0.0, smoothed.velocity),
        choose(0.0, smoothed.surprise),
    )


def _row(filtered: Filtered, index: int) -> Filtered:
    return Filtered(filtered.value[index], filtered.velocity[index], filtered.surprise[index])


def _part(filtered: Filtered, columns: slice) -> Filtered:
    return Filtered(
        filtered.value[:, columns],
        filtered.velocity[:, columns],
        filtered.surprise[:, columns],
    )
