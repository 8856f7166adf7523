"""Where a person will be some frames later, if nobody sees them meanwhile.

There are two ways. The next frame is expected by the velocities of the filter, damped: measurements are
compared with that, and the filter's gains are made for it. Who then is not seen goes on by regression over
his own past, as measured: it is nearer to the motion, since it neither lags nor takes a swing for a turn.

A prediction comes to rest, and how far it may go is bounded by the box in which the person was last seen.
Appearance and shape do not move.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from workers.geometry import rotation_from_vector
from workers.phalp.past import NO_PLACES, NO_TURNS, Motion, motion_of
from workers.phalp.regression import Counts, Response, continued, slopes_of_lines
from workers.phalp.smooth import orthonormal
from workers.phalp.state import Floats, TrackState
from workers.phalp.turns import joints_below

#: How turns go on, radians about the camera's axes: those about x and y, a picture shows badly.
TURNS: Final = Response(
    slopes=slopes_of_lines(3, 4, 6, 8).mean(axis=0, keepdims=True),
    gain=np.array([0.5, 0.5, 1.15]),
    kept=0.88,
    alike=np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ridge=3.0,
    remembered=30.0,
    floor=0.05,
    matter=np.sqrt(joints_below()),
)
#: How places go on across the picture: people leap up and down otherwise than they walk to and fro.
ACROSS: Final = Response(
    slopes=slopes_of_lines(2, 3, 4, 6, 10),
    gain=np.ones(2),
    kept=0.92,
    alike=np.eye(2),
    ridge=100.0,
    remembered=np.inf,
    floor=0.003,
    matter=np.ones(1),
)
#: How they go on in distance, whose velocity is mostly noise.
DISTANCE: Final = Response(
    slopes=slopes_of_lines(6),
    gain=np.zeros(1),
    kept=0.8,
    alike=np.eye(1),
    ridge=50.0,
    remembered=np.inf,
    floor=0.01,
    matter=np.ones(1),
)
#: Frames that must have been seen for that, and after which a prediction stays as it is.
ENOUGH: Final = 6
FARTHEST: Final = 30
#: Farthest that a joint may turn meanwhile, radians.
MAX_TURN: Final = 1.5

#: Share of a velocity that is left after a frame out of sight.
DAMPING: Final = 0.8
#: Fastest turn of a joint that is carried on, radians per frame.
MAX_SPIN: Final = 0.25
#: Farthest that a place may move from where it was last seen, in heights of the box of then.
MAX_DRIFT_BOXES: Final = 0.4
#: Largest change of log depth since the person was last seen.
MAX_DEPTH_CHANGE: Final = 0.15


def predict(tracks: Sequence[TrackState], *, step: int) -> list[TrackState]:
    """`tracks` as they are `step` frames later, unobserved. `step` is positive."""
    if not tracks:
        return []
    lost = [index for index, track in enumerate(tracks) if track.unseen]
    return out_of_sight(_by_velocity(tracks, step=step), lost=lost)


def out_of_sight(tracks: Sequence[TrackState], *, lost: Sequence[int]) -> list[TrackState]:
    """`tracks` as predicted for a frame; those whose indices are `lost` are not seen in it."""
    after = list(tracks)
    rows = [row for row in lost if len(tracks[row].past_places) >= ENOUGH]
    if not rows:
        return after
    gone = [tracks[row] for row in rows]
    motion, ahead = motion_of(gone), np.minimum([track.unseen for track in gone], FARTHEST)
    turns, places = _turned(motion, ahead), _moved(motion, ahead)
    for index, row in enumerate(rows):
        place = _within_reach(tracks[row], places[index])
        after[row] = replace(tracks[row], turns=turns[index], place=place)
    return after


def _turned(motion: Motion, ahead: Counts) -> Floats:
    """Turns (T, 24, 3, 3), `ahead` (T,) frames after the last ones."""
    turned = continued(motion.turned, known=motion.known, ahead=ahead, response=TURNS)
    vectors = turned.swapaxes(-1, -2).astype(np.float64)
    return orthonormal(rotation_from_vector(_at_most(vectors, MAX_TURN)) @ motion.turns)


def _moved(motion: Motion, ahead: Counts) -> Floats:
    """Places (T, 3), `ahead` (T,) frames after the last ones."""
    across = continued(motion.moved[:, :2], known=motion.known, ahead=ahead, response=ACROSS)
    distance = continued(motion.moved[:, 2:], known=motion.known, ahead=ahead, response=DISTANCE)
    return motion.places + np.concatenate([across, distance], axis=1)[..., 0]


def _by_velocity(tracks: Sequence[TrackState], *, step: int) -> list[TrackState]:
    """`tracks` as the filter's own velocities have them `step` frames later."""
    travelled = (1 - DAMPING**step) / (1 - DAMPING)
    left = DAMPING**step
    spin = _at_most(np.array([track.spin for track in tracks]), MAX_SPIN)
    before = np.array([track.turns for track in tracks])
    turns = orthonormal(before @ rotation_from_vector(spin * travelled))
    return [
        replace(
            track,
            unseen=track.unseen + step,
            turns=turns[index],
            spin=spin[index] * left,
            place=_within_reach(track, track.place + track.drift * travelled),
            drift=track.drift * left,
        )
        for index, track in enumerate(tracks)
    ]


def held(tracks: Sequence[TrackState], *, step: int) -> list[TrackState]:
    """`tracks` after a break in time: nothing is known of their motion any more."""
    return [
        replace(
            track,
            unseen=track.unseen + step,
            spin=np.zeros_like(track.spin),
            spin_surprise=np.zeros_like(track.spin_surprise),
            drift=np.zeros_like(track.drift),
            drift_surprise=np.zeros_like(track.drift_surprise),
            past_turns=NO_TURNS,
            past_places=NO_PLACES,
        )
        for track in tracks
    ]


def _at_most(vectors: Floats, length: float) -> Floats:
    """Vectors (..., 3), the longer ones cut to `length`."""
    norms = np.sqrt(np.square(vectors).sum(axis=-1, keepdims=True))
    return vectors * np.minimum(1.0, length / np.maximum(norms, 1e-12))


def _within_reach(track: TrackState, place: Floats) -> Floats:
    """`place`, no farther from where the person was last seen than the bounds allow."""
    moved = place - track.seen_place
    height = track.seen_box[3] - track.seen_box[1]
    moved[:2] *= min(1.0, MAX_DRIFT_BOXES * height / max(float(np.hypot(*moved[:2])), 1e-12))
    moved[2] = np.clip(moved[2], -MAX_DEPTH_CHANGE, MAX_DEPTH_CHANGE)
    return track.seen_place + moved
