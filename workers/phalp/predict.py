"""Where a person will be some frames later, if nobody sees them meanwhile.

Velocities are damped, so that a prediction comes to rest; how far it may go is bounded by the box in
which the person was last seen. Appearance and shape do not move.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from workers.geometry import rotation_from_vector
from workers.phalp.smooth import orthonormal
from workers.phalp.state import Floats, TrackState

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
    travelled = (1 - DAMPING**step) / (1 - DAMPING)
    left = DAMPING**step
    spin = _at_most(np.stack([track.spin for track in tracks]), MAX_SPIN)
    before = np.stack([track.turns for track in tracks])
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
