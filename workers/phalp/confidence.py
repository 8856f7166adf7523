"""How far a person's pose is expected to be off, and how much to believe it: the person, and each joint.

What is expected follows from how far the person was seen from where he was expected of late (`innovation`),
and from how long he has not been seen. A pose is usable as long as its track lives, and a usable pose stays
at `USABLE` or above; what lies above that is earned: by being seen, by the joints in view, by poses that are
expected to be near the truth.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.phalp.state import Floats
from workers.types import State

#: The least confidence of a pose worth using.
USABLE: Final = 0.3
#: A pose found only where the tracker looked is believed a little less than one found without help.
RECOVERED_SHARE: Final = 0.9
#: Expected error, millimetres, at which half of what lies above `USABLE` is left.
HALF_MM: Final = 80.0


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """By which errors follow from innovations. All (2,): for millimetres, and for body lengths.

    An observed pose is off by `seen_share` innovation^`seen_power`. One predicted for n frames would be off
    by `ahead_share` innovation^`ahead_power` growth(n), were there no end to how unlike two poses can be: it
    stays below `most`, and gets there the more suddenly the higher `bend` is. growth(n) is
    ((1 + n) / 2)^`growth_power`.
    """

    seen_share: Floats
    seen_power: Floats
    ahead_share: Floats
    ahead_power: Floats
    growth_power: Floats
    most: Floats
    bend: Floats


#: Fitted to withheld detections: `python -m bench.calibration --fit` prints it.
CALIBRATION: Final = Calibration(
    seen_share=np.array([3.48, 0.0306]),
    seen_power=np.array([0.402, 0.377]),
    ahead_share=np.array([1.293, 1.455]),
    ahead_power=np.array([0.873, 1.103]),
    growth_power=np.array([0.953, 1.059]),
    most=np.array([288.0, 0.249]),
    bend=np.array([3.39, 4.78]),
)


def growth(frames: Floats, calibration: Calibration = CALIBRATION) -> Floats:
    """How much farther off people are (T, 2) who were not seen for `frames` (T,) than after one frame."""
    return ((1 + frames[:, None]) / 2) ** calibration.growth_power


def expected_error(innovation: Floats, unseen: Floats, calibration: Calibration = CALIBRATION) -> Floats:
    """How far off (T, 2) the poses of tracks are: mm root-aligned, and body lengths in the picture.

    innovation (T, 2): running means. unseen (T,): frames since each was observed, 0: in this one. Means over
    the 24 joints.
    """
    seen = calibration.seen_share * innovation**calibration.seen_power
    ahead = calibration.ahead_share * innovation**calibration.ahead_power * growth(unseen, calibration)
    bent = ahead / (1 + (ahead / calibration.most) ** calibration.bend) ** (1 / calibration.bend)
    # Who stands still is predicted nearly as well as seen, and never better.
    return np.where(unseen[:, None] > 0, np.maximum(seen, bent), seen)


def trust_of(*, score: float, visibility: Floats, detected: bool) -> float:
    """Confidence of a pose just observed, were it exact: 1 only for a sure person with all joints in view."""
    evidence = score * (0.5 + 0.5 * float(visibility.mean()))
    return USABLE + (1 - USABLE) * evidence * (1.0 if detected else RECOVERED_SHARE)


def confidence(trust: float, *, error_mm: float) -> float:
    """Confidence of a pose expected to be off by `error_mm`, of a person last observed with `trust`."""
    return USABLE + (trust - USABLE) / (1 + (error_mm / HALF_MM) ** 2)


def joint_confidence(person: float, visibility: Floats) -> Floats:
    """Confidence (24,) of each joint of a pose of confidence `person`: joints out of view earn nothing."""
    return USABLE + (person - USABLE) * visibility


def state_of(*, unseen: int, detected: bool) -> State:
    """Where this frame's pose comes from."""
    if unseen:
        return "predicted"
    return "detected" if detected else "recovered"
