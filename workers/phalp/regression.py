"""How numbers go on that were seen so far: a fading straight line, corrected by what the past teaches.

Where several lines are laid, over few frames and over many, those count that foretold the past best. The
correction is an autoregression of the track's own: for each frame of the past, what the line would have
been off so many frames later is explained by how far running means of several lengths were away from the
value then. All joints share its few coefficients, by ridge regression, so that a second of noisy motion
suffices, and who shows no pattern is left with the line.
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
#: Frames after which what lies back counts 1/e in each of the running means.
REACHES: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
#: Frames at the beginning of what is known from which nothing is learned: running means need some.
WARMING_UP: Final = 6
#: How much less a line counts that foretold the past worse than another: by this power of the errors.
CHOOSY: Final = 8


@dataclass(frozen=True, slots=True)
class Response:
    """How one kind of number goes on."""

    slopes: Numbers  # (C, PAST, PAST) of each line laid, at each frame, see `slopes_of_lines`
    gain: Floats  # (D,) share of the slope that is believed
    kept: float  # share of the slope that is left after each frame
    alike: Floats  # (D, D) 1 for numbers that are corrected by the same coefficients, else 0
    ridge: float  # frames of the past that would teach as much as is taken for granted: no correction
    remembered: float  # frames after which a frame of the past teaches 1/e
    floor: float  # errors below it count by their square, above it by their size
    matter: Floats  # (J,) how much each joint teaches


def slopes_of_lines(*frames: int) -> Numbers:
    """(C, PAST, PAST): slopes, at each frame, of the lines through the latest `frames` frames each."""
    return np.stack([_slopes(count) for count in frames]).astype(np.float32)


def continued(past: Numbers, *, known: Counts, ahead: Counts, response: Response) -> Numbers:
    """Vectors (T, D, J) of T tracks `ahead` (T,) frames after the last of `past` (T, D, PAST, J).

    They are relative to the last of the past, which is 0; of the past, the latest `known` (T,) frames were
    seen and the older ones repeat the oldest of those. D numbers of each of J joints belong together.
    """
    frames = np.arange(PAST)
    later = frames + ahead[:, None]  # (T, PAST)
    teaches = (later < PAST) & (frames >= PAST - known[:, None] + WARMING_UP)
    weights = teaches * np.exp((np.minimum(later, PAST) - PAST) / response.remembered)
    matter = (weights[..., None] * response.matter).astype(past.dtype)  # (T, PAST, J)
    then = np.take_along_axis(past, np.minimum(later, PAST - 1)[:, None, :, None], axis=2)
    travelled = response.gain * ((1 - response.kept**ahead) / (1 - response.kept))[:, None]  # (T, D)
    slopes = response.slopes @ past[:, :, None]  # (T, D, C, PAST, J)
    lines = slopes * travelled[..., None, None, None].astype(past.dtype)
    line = _best(lines, then - past, matter, floor=response.floor)
    off = then - past - line  # (T, D, PAST, J)
    away = _MEANS @ past[:, :, None]  # (T, D, K, PAST, J)
    coefficients = _ridge(
        away,
        off,
        matter / np.maximum(_size(off), past.dtype.type(response.floor)),
        alike=response.alike,
        strength=response.ridge / np.maximum(weights.sum(axis=-1), 1),
    )
    return line[:, :, -1] + (coefficients[:, :, None] @ away[:, :, :, -1])[:, :, 0]


def _best(lines: Numbers, gone: Numbers, matter: Numbers, *, floor: float) -> Numbers:
    """Of lines (T, D, C, PAST, J), the mean (T, D, PAST, J) in which those near to `gone` count most."""
    if lines.shape[2] == 1:
        return lines[:, :, 0]
    sizes = _size(lines - gone[:, :, None])  # (T, C, PAST, J)
    off = (matter[:, None] * sizes).sum(axis=(-1, -2)) + floor
    shares = (off.min(axis=-1, keepdims=True) / off) ** CHOOSY
    shares /= shares.sum(axis=-1, keepdims=True)
    return (shares[:, None, :, None, None] * lines).sum(axis=2)


def _size(vectors: Numbers) -> Numbers:
    """Lengths (T, ...) of vectors (T, D, ...)."""
    return np.sqrt(np.square(vectors).sum(axis=1))


def _ridge(away: Numbers, off: Numbers, weights: Numbers, *, alike: Floats, strength: Floats) -> Numbers:
    """Coefficients (T, D, K) by which `away` (T, D, K, N, J) tells `off` (T, D, N, J), weights (T, N, J).

    `alike` (D, D) is 1 for numbers that share theirs. `strength` (T,) of what draws them to 0, in units of
    all that `away` weighs.
    """
    tracks, parts, reaches = away.shape[:3]
    weighted = (away * weights[:, None, None]).reshape(tracks, parts, reaches, -1)
    telling = np.swapaxes(away.reshape(tracks, parts, reaches, -1), -1, -2)
    normal = np.einsum("de,tekl->tdkl", alike, weighted @ telling)
    right = np.einsum("de,tekl->tdkl", alike, weighted @ off.reshape(tracks, parts, -1, 1))
    mean = np.trace(normal, axis1=-2, axis2=-1) / reaches  # (T, D)
    ridge = np.maximum(strength[:, None] * mean, 1e-12)[..., None, None] * np.eye(reaches)
    return np.linalg.solve(normal + ridge, right)[..., 0].astype(off.dtype)


def _slopes(count: int) -> Floats:
    """(PAST, PAST): the slope, at each frame, of the line through the latest `count` frames."""
    slopes = np.zeros((PAST, PAST))
    for frame in range(1, PAST):
        laid = min(count, frame + 1)
        times = np.arange(laid) - (laid - 1) / 2
        slopes[frame, frame - laid + 1 : frame + 1] = times / np.square(times).sum()
    return slopes


def _means() -> Floats:
    """(K, PAST, PAST): how far each running mean is, at each frame, from the value then."""
    ages = np.arange(PAST)[:, None] - np.arange(PAST)
    shares = np.stack([np.where(ages >= 0, np.exp(-np.maximum(ages, 0) / reach), 0) for reach in REACHES])
    return shares / shares.sum(axis=-1, keepdims=True) - np.eye(PAST)


_MEANS: Final = _means().astype(np.float32)
