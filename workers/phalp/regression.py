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


def continued(past: Floats, *, known: Counts, ahead: Counts, response: Response) -> Floats:
    """Vectors (T, J, D) of T tracks `ahead` (T,) frames after the last of `past` (T, PAST, J, D).

    They are relative to the last of the past, which is 0; of the past, the latest `known` (T,) frames were
    seen and the older ones repeat the oldest of those. D numbers of each of J joints belong together.
    """
    frames = np.arange(PAST)
    tracks = len(past)
    numbers = past.reshape(tracks, PAST, -1)
    slopes = (_LINES @ numbers).reshape(past.shape)
    travelled = (1 - response.kept**ahead) / (1 - response.kept)
    line = travelled[:, None, None, None] * response.gain * slopes
    later = frames + ahead[:, None]  # (T, PAST)
    teaches = (later < PAST) & (frames >= PAST - known[:, None] + WARMING_UP)
    then = np.take_along_axis(past, np.minimum(later, PAST - 1)[..., None, None], axis=1)
    off = then - past - line  # (T, PAST, J, D)
    weights = teaches[..., None] / np.maximum(np.sqrt(np.square(off).sum(axis=-1)), response.floor)
    away = (_MEANS @ numbers[:, None]).reshape(tracks, len(REACHES), *past.shape[1:])  # (T, K, PAST, J, D)
    taught = np.maximum(teaches.sum(axis=-1), 1)
    after = line[:, -1].copy()
    for gain in np.unique(response.gain):
        of = response.gain == gain
        coefficients = _ridge(away[..., of], off[..., of], weights, strength=response.ridge / taught)
        after[..., of] += np.einsum("tk,tkjd->tjd", coefficients, away[:, :, -1][..., of])
    return after


def _ridge(away: Floats, off: Floats, weights: Floats, *, strength: Floats) -> Floats:
    """Coefficients (T, K) by which `away` (T, K, N, J, D) tells `off` (T, N, J, D), weights (T, N, J).

    `strength` (T,) of what draws them to 0, in units of all that `away` weighs.
    """
    tracks, reaches = away.shape[:2]
    weighted = (away * weights[:, None, ..., None]).reshape(tracks, reaches, -1)
    normal = weighted @ np.swapaxes(away.reshape(tracks, reaches, -1), -1, -2)  # (T, K, K)
    mean = np.trace(normal, axis1=-2, axis2=-1) / reaches
    ridge = np.maximum(strength * mean, 1e-12)[:, None, None] * np.eye(reaches)
    return np.linalg.solve(normal + ridge, weighted @ off.reshape(tracks, -1, 1))[..., 0]


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


_LINES: Final = _lines()
_MEANS: Final = _means()
