"""How numbers go on that were seen so far: a fading straight line, corrected by what the past teaches.

The correction is an autoregression of the track's own: for each frame of the past, what the line would
have been off so many frames later is explained by how far running means of several lengths were away from
the value then. All joints share its few coefficients, by ridge regression, so that a second of noisy
motion suffices, and who shows no pattern is left with the line.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.phalp.state import Floats

Counts = npt.NDArray[np.int_]
Numbers = npt.NDArray[np.floating]  # what is computed is as exact as what is given

#: Frames of the past that are looked at, at most.
PAST: Final = 60
#: Frames over which the line is laid.
LINE: Final = 6
#: Frames after which what lies back counts 1/e in each of the running means.
REACHES: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
#: Frames at the beginning of what is known from which nothing is learned: running means need some.
WARMING_UP: Final = 6


@dataclass(frozen=True, slots=True)
class Response:
    """How one kind of number goes on."""

    gain: Floats  # (D,) share of the line's slope that is believed; numbers with equal ones are fitted as one
    kept: float  # share of the slope that is left after each frame
    ridge: float  # frames of the past that would teach as much as is taken for granted: no correction
    floor: float  # errors below it count by their square, above it by their size


def continued(past: Numbers, *, known: Counts, ahead: Counts, response: Response) -> Numbers:
    """Vectors (T, D, J) of T tracks `ahead` (T,) frames after the last of `past` (T, D, PAST, J).

    They are relative to the last of the past, which is 0; of the past, the latest `known` (T,) frames were
    seen and the older ones repeat the oldest of those. D numbers of each of J joints belong together.
    """
    tracks, parts, _, joints = past.shape
    frames = np.arange(PAST)
    later = frames + ahead[:, None]  # (T, PAST)
    teaches = (later < PAST) & (frames >= PAST - known[:, None] + WARMING_UP)
    travelled = response.gain * ((1 - response.kept**ahead) / (1 - response.kept))[:, None]  # (T, D)
    told = (_TOLD @ past).reshape(tracks, parts, 1 + len(REACHES), PAST, joints)
    line = told[:, :, 0] * travelled[..., None, None].astype(past.dtype)
    away = told[:, :, 1:]
    then = np.take_along_axis(past, np.minimum(later, PAST - 1)[:, None, :, None], axis=2)
    off = then - past - line  # (T, D, PAST, J)
    sizes = np.sqrt(np.einsum("tdnj,tdnj->tnj", off, off))
    weights = teaches[..., None].astype(past.dtype) / np.maximum(sizes, past.dtype.type(response.floor))
    strength = response.ridge / np.maximum(teaches.sum(axis=-1), 1)
    coefficients = _ridge(away, off, weights, fitted_as_one=_equal(response.gain), strength=strength)
    return line[:, :, -1] + (coefficients[:, :, None] @ away[:, :, :, -1])[:, :, 0]


def _ridge(
    away: Numbers, off: Numbers, weights: Numbers, *, fitted_as_one: Floats, strength: Floats
) -> Numbers:
    """Coefficients (T, D, K) by which `away` (T, D, K, N, J) tells `off` (T, D, N, J), weights (T, N, J).

    `fitted_as_one` (D, D) is 1 for numbers that share theirs. `strength` (T,) of what draws them to 0, in
    units of all that `away` weighs.
    """
    tracks, parts, reaches = away.shape[:3]
    weighted = (away * weights[:, None, None]).reshape(tracks, parts, reaches, -1)
    telling = np.swapaxes(away.reshape(tracks, parts, reaches, -1), -1, -2)
    normal = np.einsum("de,tekl->tdkl", fitted_as_one, weighted @ telling)
    right = np.einsum("de,tekl->tdkl", fitted_as_one, weighted @ off.reshape(tracks, parts, -1, 1))
    mean = np.trace(normal, axis1=-2, axis2=-1) / reaches  # (T, D)
    ridge = np.maximum(strength[:, None] * mean, 1e-12)[..., None, None] * np.eye(reaches)
    return np.linalg.solve(normal + ridge, right)[..., 0].astype(off.dtype)


def _equal(numbers: Floats) -> Floats:
    """(D, D): 1 for equal ones of `numbers` (D,)."""
    return (numbers[:, None] == numbers).astype(np.float64)


def _lines() -> Floats:
    """(PAST, PAST): the slope, at each frame, of the line through the latest `LINE` frames."""
    slopes = np.zeros((PAST, PAST))
    for frame in range(1, PAST):
        count = min(LINE, frame + 1)
        times = np.arange(count) - (count - 1) / 2
        slopes[frame, frame - count + 1 : frame + 1] = times / np.square(times).sum()
    return slopes


def _means() -> Floats:
    """(K, PAST, PAST): how far each running mean is, at each frame, from the value then."""
    ages = np.arange(PAST)[:, None] - np.arange(PAST)
    shares = np.stack([np.where(ages >= 0, np.exp(-np.maximum(ages, 0) / reach), 0) for reach in REACHES])
    return shares / shares.sum(axis=-1, keepdims=True) - np.eye(PAST)


#: Slopes of the lines, then the distances of each running mean, one below the other: ((1 + K) PAST, PAST).
_TOLD: Final = np.concatenate([_lines(), *_means()]).astype(np.float32)
