"""Where people will be, and how sure that is: a line through each one's latest places.

A place is (x, y, depth): the picture of the body's origin in the padded square, 0 to 1 from its top left
corner (`sighting`), and the z of its translation, metres. Across time x, y and the logarithm of
depth follow straight lines, fitted by ridge regression; the doubt is the half width of the interval in
which the next value lies with 95 % (PHALP, section 3.2).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wire.camera import CROP_PX, FOCAL_256

Floats = npt.NDArray[np.floating]

#: What a track remembers of a person: so many observations.
HISTORY: Final = 7

#: Frames beyond the first for which a line is followed; later ones get the place of the last.
FARTHEST: Final = 49

#: Ridge penalties on the slopes of x, y and log depth.
_PENALTIES: Final = np.array([1.2, 2.0, 5.0])

#: Student's t at 97.5 % with 5 degrees of freedom: 7 observations less the line's two numbers.
_T_975: Final = 2.5705818366

#: A body nearer to the camera than this, metres, has no logarithm worth following.
NEAREST_M: Final = 1e-3


class Expected(NamedTuple):
    """Where T people are expected."""

    places: Floats  # (T, 3), float32
    doubts: Floats  # (T, 3), float32: of x and y as shares of the square; of depth as a factor


def expect(places: Floats, times: npt.NDArray[np.integer], ahead: npt.NDArray[np.integer]) -> Expected:
    """Where people are expected `ahead` (T,) frames after they were last seen.

    places (T, 7, 3) at times (T, 7), frames, oldest first. A track that has seen less than seven frames
    repeats its first one; its intervals are divided by how often. Where all times are the same, nothing
    is known of the motion, and the doubt is infinite.
    """
    values = places.astype(np.float64)
    values[..., 2] = np.log(np.maximum(places[..., 2], np.float32(NEAREST_M)))
    mean, mean_time = values.mean(axis=1), times.mean(axis=1)  # (T, 3), (T,)
    since = times - mean_time[:, None]  # (T, 7)
    spread = np.square(since).sum(axis=1)  # (T,)
    slope = np.einsum("ti,tik->tk", since, values) / (spread[:, None] + _PENALTIES)
    target = (np.minimum(ahead, FARTHEST) + times[:, -1] - mean_time)[:, None]  # (T, 1) from the mean time
    expected = mean + slope * target
    residual = values - mean[:, None] - slope[:, None] * since[..., None]
    deviation = np.sqrt(np.square(residual).sum(axis=1) / (HISTORY - 2))  # (T, 3)
    moving = spread[:, None] > 0
    lever = np.sqrt(1 + 1 / HISTORY + target**2 / np.where(moving, spread[:, None], 1))
    doubt = np.where(moving, _T_975 * deviation * lever, np.inf)
    with np.errstate(over="ignore"):
        doubt[:, 2] = np.exp(doubt[:, 2])
        expected[:, 2] = np.exp(expected[:, 2])
    repeats = HISTORY - (np.diff(times, axis=1) != 0).sum(axis=1, keepdims=True)
    return Expected(expected.astype(np.float32), (doubt / repeats).astype(np.float32))


def place_of(translation: Floats) -> Floats:
    """The places (..., 3), float32, of bodies at `translation` (..., 3) in the square's camera, metres."""
    depth = translation[..., 2:]
    across = translation[..., :2] / depth * (FOCAL_256 / CROP_PX) + 0.5
    return np.concatenate([across, depth], axis=-1).astype(np.float32)


def translation_at(places: Floats) -> Floats:
    """The translations (..., 3) of bodies whose origins are at `places` (..., 3): what `place_of` undoes."""
    depth = places[..., 2:]
    across = (places[..., :2] - 0.5) * depth * (CROP_PX / FOCAL_256)
    return np.concatenate([across, depth], axis=-1)
