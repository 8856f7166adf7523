"""How far a person's pose is expected to be off, and how much to believe it: the person, and each joint.

What is expected follows from how far the person was seen from where he was expected of late (`innovation`),
from how long he has not been seen, and from how much he has been seen to change in as long (`change`).
A pose is usable as long as its track lives, and a usable pose stays at `USABLE` or above; what lies above
that is earned: by being seen, by the joints in view, by poses that are expected to be near the truth.
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
#: Predicted poses are not said to be farther off, millimetres: unrelated poses of one person are 340 apart.
FARTHEST_MM: Final = 350.0
#: How suddenly that ends their rise.
_BEND: Final = 8
#: People who are seen to change less within a frame, millimetres, change as much.
_LEAST_CHANGE_MM: Final = 0.1
#: Expected error, millimetres, at which half of what lies above `USABLE` is left.
HALF_MM: Final = 80.0


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """How errors follow from innovations, (2,) each: for millimetres, and for body lengths.

    They would be `share` innovation^`power`, were there no end to how unlike two poses can be: they stay
    below `most`, and get there the more suddenly the higher `bend` is.
    """

    share: Floats
    power: Floats
    most: Floats
    bend: Floats

    def at(self, innovation: Floats, grown: Floats | float = 1.0) -> Floats:
        """The errors (T, 2) after innovations (T, 2), `grown` times as large where there is no end."""
        return _bounded(self.share * innovation**self.power * grown, self.most, self.bend)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """By which errors are told: of observed poses, and of predicted ones.

    growth (2,): errors grow with ((1 + n) / 2)^`growth` where the person was not seen for n frames.
    change (2,), a and b: where it is known how much the person changes in n frames and in one, c(n) and c(1),
    poses are expected to be a c(n) (innovation / c(1))^b millimetres off instead.
    """

    observed: Curve
    predicted: Curve
    growth: Floats
    change: Floats

    def by_change(self, innovation_mm: Floats, changes: Floats) -> Floats:
        """Errors (T,), mm, after innovations (T,) of people who change by `changes` (T, 2); nan for nan."""
        share, power = self.change
        once, since = np.maximum(changes, _LEAST_CHANGE_MM).T
        return _bounded(share * since * (innovation_mm / once) ** power, FARTHEST_MM, _BEND)


def _bounded(endless: Floats, most: Floats | float, bend: Floats | float) -> Floats:
    """`endless` where it is small, and below `most` everywhere; it gets there as suddenly as `bend` says."""
    return endless / (1 + (endless / most) ** bend) ** (1 / bend)


#: Fitted to withheld detections: `python -m bench.calibration --fit` prints it.
CALIBRATION: Final = Calibration(
    observed=Curve(
        share=np.array([0.3422, 2.774]),
        power=np.array([1.256, 1.254]),
        most=np.array([36.59, 0.01505]),
        bend=np.array([1, 1]),
    ),
    predicted=Curve(
        share=np.array([0.4014, 1.804]),
        power=np.array([1.145, 1.22]),
        most=np.array([187.2, 2.252]),
        bend=np.array([8, 7.881]),
    ),
    growth=np.array([1.07, 1.163]),
    change=np.array([0.6907, 0.6428]),
)


def growth(frames: Floats, calibration: Calibration = CALIBRATION) -> Floats:
    """How much farther off people are (T, 2) who were not seen for `frames` (T,) than after one frame."""
    return ((1 + frames[:, None]) / 2) ** calibration.growth


def expected_error(
    innovation: Floats,
    unseen: Floats,
    calibration: Calibration = CALIBRATION,
    *,
    changes: Floats | None = None,
) -> Floats:
    """How far off (T, 2) the poses of tracks are: mm root-aligned, and body lengths in the picture.

    innovation (T, 2): running means. unseen (T,): frames since each was observed, 0: in this one. changes
    (T, 2): mm within one frame and within `unseen` frames, see `change.changes_of`; nan, or None: not known.
    Means over the 24 joints.
    """
    observed = calibration.observed.at(innovation)
    predicted = calibration.predicted.at(innovation, growth(unseen, calibration))
    if changes is not None:
        by_change = calibration.by_change(innovation[:, 0], changes)
        predicted[:, 0] = np.where(np.isnan(by_change), predicted[:, 0], by_change)
    # Who stands still is predicted nearly as well as seen, and never better.
    return np.where(unseen[:, None] > 0, np.maximum(observed, predicted), observed)


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
