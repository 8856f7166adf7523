"""How far off filled poses are said to be, and how much they are believed.

A frame n frames away from the nearest one that shows the person is off by a share of what is said of a
prediction n frames long: it is held from both sides. Both shares are measured (`bench/two_pass.py`).
"""

from typing import Final

import numpy as np

from client.second_pass.turns import Counts, Floats

#: Of what is said of a prediction as long as the way to the nearest frame that shows the person.
FILLED_SHARE_MM: Final = 0.8
FILLED_SHARE_PX: Final = 0.7

#: How errors grow where the service predicted nothing: after n frames from what somebody seen is off.
_FIRST: Final = 2.0
_POWER: Final = 1.07

#: The service's own terms: the least confidence of a pose worth using, and the error that halves the rest.
_USABLE: Final = 0.3
_HALF_MM: Final = 80.0


def of_filled(said: Floats, nearest: Floats, away: Counts, *, share: float) -> Floats:
    """Errors (N,) of filled frames, `away` (N,) frames from the nearest that shows the person.

    said: (N,) of a prediction that long, NaN where there is none. nearest: (N,) of that nearest frame.
    """
    grown = nearest * _FIRST * ((1 + away) / 2) ** _POWER
    return np.maximum(nearest, share * np.where(np.isnan(said), grown, said))


def confidence(before: Floats, *, error_mm: Floats, was_mm: Floats) -> Floats:
    """What was believed by `before` (N,) at errors of `was_mm` (N,), when they are `error_mm` (N,)."""
    trust = _USABLE + (before - _USABLE) * (1 + np.square(was_mm / _HALF_MM))
    believed = _USABLE + (np.minimum(trust, 1.0) - _USABLE) / (1 + np.square(error_mm / _HALF_MM))
    return np.where(np.isnan(believed) | (before < _USABLE), before, believed)


def joint_confidence(joints: Floats, before: Floats, now: Floats) -> Floats:
    """Confidences (N, K) of joints, of persons believed by `before` (N,), when they are by `now` (N,)."""
    earned = (now - _USABLE) / np.maximum(before - _USABLE, 1e-6)
    usable = _USABLE + (joints - _USABLE) * earned[:, None]
    return np.where(joints < _USABLE, joints, np.clip(usable, 0.0, 1.0))
