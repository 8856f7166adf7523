"""The constants by which innovations tell errors, fitted to measured ones: arrays in, `Calibration` out.

What is fitted is the mean: errors are taken for gamma distributed around what is stated, so a large error
weighs as much as a small one that is off by the same factor. Every clip weighs the same.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from workers.phalp.confidence import CALIBRATION, Calibration, Curve

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Where the fit of predicted poses begins: the largest errors, mm and body lengths, and how sharply they end.
_MOST: Final = (250.0, 0.2)
_BEND: Final = 2.0
#: No more suddenly than by this bend: beyond, it tells nothing more.
_SUDDENEST: Final = 50.0
#: What a power costs that is not 1, by its square: too few clips show people who hardly move, and most
#: errors are in proportion to the innovations.
_DISPROPORTION: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """N answered poses, what their tracks knew, and how far they were off.

    innovation and off (N, 2): mm, and body lengths in the picture. changes (N, 2): see `change.changes_of`.
    length_px (N,): of the body in the picture.
    """

    clip: npt.NDArray[np.str_]  # (N,)
    unseen: npt.NDArray[np.int64]  # (N,)
    trust: Floats  # (N,)
    innovation: Floats
    changes: Floats
    length_px: Floats
    off: Floats

    def part(self, rows: Flags) -> "Answers":
        """Those in `rows` (N,)."""
        return Answers(
            self.clip[rows],
            self.unseen[rows],
            self.trust[rows],
            self.innovation[rows],
            self.changes[rows],
            self.length_px[rows],
            self.off[rows],
        )


def fit(answers: Answers) -> Calibration:
    """The constants with which the stated errors are the measured ones in the mean."""
    observed = answers.part(answers.unseen == 0)
    predicted = answers.part(answers.unseen > 0)
    seen = np.stack([_fit_observed(observed, unit) for unit in (0, 1)], axis=-1)
    *ahead, growth = np.stack([_fit_predicted(predicted, unit) for unit in (0, 1)], axis=-1)
    known = predicted.part(~np.isnan(predicted.changes[:, 0]))
    change = _fit_change(known) if len(known.off) else CALIBRATION.change
    return Calibration(Curve(*seen), Curve(*ahead), growth, change)


def _fit_observed(answers: Answers, unit: int) -> Floats:
    """(4,): a `Curve`. With a power of its own it needs no bend of its own."""
    terms = np.stack([np.ones(len(answers.unseen)), np.log(answers.innovation[:, unit])], axis=-1)
    off, weight = answers.off[:, unit], _weights(answers)

    def loss(numbers: Floats) -> float:
        told = -np.logaddexp(-(terms @ numbers[:2]), -numbers[2])
        return _deviance(told, off, weight) + _DISPROPORTION * (numbers[1] - 1) ** 2

    endless = np.linalg.lstsq(terms, np.log(off), rcond=None)[0]
    begin = np.array([*endless, np.log(off.max())])
    share, power, most = minimize(loss, begin, method="BFGS").x
    return np.array([np.exp(share), power, np.exp(most), 1.0])


def _fit_predicted(answers: Answers, unit: int) -> Floats:
    """(5,): a `Curve`, and the growth."""
    terms = np.stack(
        [
            np.ones(len(answers.unseen)),
            np.log(answers.innovation[:, unit]),
            np.log((1 + answers.unseen) / 2),
        ],
        axis=-1,
    )
    off, weight = answers.off[:, unit], _weights(answers)

    def loss(numbers: Floats) -> float:
        bend = min(np.exp(numbers[4]), _SUDDENEST)
        told = -np.logaddexp(-bend * (terms @ numbers[:3]), -bend * numbers[3]) / bend
        return _deviance(told, off, weight) + _DISPROPORTION * (numbers[1] - 1) ** 2

    endless = np.linalg.lstsq(terms, np.log(off), rcond=None)[0]
    begin = np.array([*endless, np.log(_MOST[unit]), np.log(_BEND)])
    share, power, growth, most, bend = minimize(loss, begin, method="BFGS").x
    return np.array([np.exp(share), power, np.exp(most), min(np.exp(bend), _SUDDENEST), growth])


def _fit_change(answers: Answers) -> Floats:
    """(2,): `Calibration.change`."""
    once, since = np.log(answers.changes.T)
    beside = np.log(answers.innovation[:, 0]) - once
    off, weight = answers.off[:, 0], _weights(answers)

    def loss(numbers: Floats) -> float:
        return _deviance(numbers[0] + since + numbers[1] * beside, off, weight)

    share, power = minimize(loss, np.array([0.0, 0.5]), method="BFGS").x
    return np.array([np.exp(share), power])


def _deviance(log_stated: Floats, off: Floats, weight: Floats) -> float:
    """Of gamma distributed errors `off` (N,), but for what is the same for all that could be stated."""
    return float((weight * (log_stated + off * np.exp(-log_stated))).mean())


def _weights(answers: Answers) -> Floats:
    """(N,), of mean 1."""
    _, clip, counts = np.unique(answers.clip, return_inverse=True, return_counts=True)
    return len(answers.clip) / len(counts) / counts[clip]
