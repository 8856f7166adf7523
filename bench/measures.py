"""Measures of a clip's answers: what a viewer, or the backend behind the service, would say of them.

Pure functions of arrays over T frames. A frame without a pose is a row of NaN.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfiltfilt

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]

#: The backend's thresholds (`docs/` and the contract of the service it calls).
MIN_MEAN_CONFIDENCE: Final = 0.3
MAX_MEAN_DEVIATION: Final = 0.5
BORDER_SHARE: Final = 0.05
#: It judges a frame by up to this many frames on either side.
NEIGHBOURS: Final = 2

#: A slower keypoint does not move: what is left of it is rounding.
_STILL_PX: Final = 1e-9

#: The limb joints among the 17 COCO keypoints: shoulders, elbows, wrists, hips, knees, ankles.
LIMBS: Final = slice(5, 17)


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What the backend's filter does with each of T frames; at most one of these holds for a frame."""

    unsure: Flags  # (T,) deleted: no pose, or mean confidence under the threshold
    off_screen: Flags  # (T,) deleted: most keypoints lie at the border
    outlier: Flags  # (T,) replaced by its neighbours: off the line that they draw

    def kept(self) -> float:
        """Share of the frames that are stored as they were answered."""
        return float(1 - (self.unsure | self.off_screen | self.outlier).mean())


def backend_filter(keypoints: Floats, confidence: Floats, *, width: int, height: int) -> Verdicts:
    """The filter over keypoints (T, K, 2), pixels of a `width` x `height` picture, and confidence (T, K).

    A frame is an outlier when its keypoints' deviations, averaged, exceed the threshold. A keypoint's
    deviation is its distance from the regression line through itself in the neighbouring frames, in
    units of that line's speed + 1 px, and counts at most 1. The neighbours are the answers, whatever
    became of them; keypoints that did not move at all do not count.
    """
    missing = np.isnan(keypoints).any(axis=(1, 2))
    mean_confidence = np.where(missing, 0, np.nan_to_num(confidence).mean(axis=1))
    unsure = missing | (mean_confidence < MIN_MEAN_CONFIDENCE)
    size = np.array([width, height])
    at_border = (keypoints < BORDER_SHARE * size) | (keypoints > (1 - BORDER_SHARE) * size)
    off_screen = ~unsure & (at_border.any(axis=2).mean(axis=1) > 0.5)
    outlier = ~unsure & ~off_screen & (deviations(keypoints) > MAX_MEAN_DEVIATION)
    return Verdicts(unsure, off_screen, outlier)


def deviations(keypoints: Floats) -> Floats:
    """How far each frame (T,) of keypoints (T, K, 2) is off its neighbours' line, 0..1."""
    count = len(keypoints)
    padded = np.full((count + 2 * NEIGHBOURS, *keypoints.shape[1:]), np.nan)
    padded[NEIGHBOURS : NEIGHBOURS + count] = keypoints
    times = np.array([time for time in range(-NEIGHBOURS, NEIGHBOURS + 1) if time])
    around = np.stack([padded[NEIGHBOURS + time : NEIGHBOURS + time + count] for time in times])
    known = ~np.isnan(around).any(axis=(2, 3))  # (4, T)
    slope, value = _lines(times, np.nan_to_num(around), known)
    speed = np.linalg.norm(slope, axis=-1)
    off = np.linalg.norm(keypoints - value, axis=-1) / (speed + 1)
    judged = (speed > _STILL_PX) & (known.sum(axis=0) >= 2)[:, None] & ~np.isnan(off)
    total = np.where(judged, np.minimum(np.nan_to_num(off), 1), 0).sum(axis=1)
    return total / np.maximum(judged.sum(axis=1), 1)


def coverage(keypoints: Floats) -> float:
    """Share of the frames with a pose, from the first one that has."""
    posed = ~np.isnan(keypoints).any(axis=(1, 2))
    return float(posed[posed.argmax() :].mean()) if posed.any() else 0.0


def limb_error(keypoints: Floats, landmarks: Floats, boxes: Floats) -> Floats:
    """Mean distance (T,) of the 12 limb joints from landmarks (T, 12, 2), in heights of boxes (T, 4)."""
    distance = np.linalg.norm(keypoints[:, LIMBS] - landmarks, axis=-1).mean(axis=1)
    return distance / (boxes[:, 3] - boxes[:, 1])


def lag_px(keypoints: Floats, raw: Floats) -> Floats:
    """Mean distance (T,) between the keypoints (T, K, 2) shown and those that were observed."""
    return np.linalg.norm(keypoints - raw, axis=-1).mean(axis=1)


def beyond_box(keypoints: Floats, boxes: Floats) -> Floats:
    """How far (T,) the farthest of keypoints (T, K, 2) lies outside its box (T, 4), in heights of the box."""
    outside = np.maximum(np.maximum(boxes[:, None, :2] - keypoints, keypoints - boxes[:, None, 2:]), 0)
    return np.linalg.norm(outside, axis=-1).max(axis=1) / (boxes[:, 3] - boxes[:, 1])


def low_passed(keypoints: Floats, cutoff: float) -> Floats:
    """Keypoints (T, K, 2) without their motion above `cutoff` cycles per frame (0..0.5), and without lag.

    It looks ahead, as no stream can: a bound of what smoothing may gain.
    """
    return sosfiltfilt(butter(4, cutoff, fs=1.0, output="sos"), keypoints, axis=0)


def shape_spread(lengths: Floats, *, settled: int = 30) -> float:
    """Largest relative change of a body's lengths (T, L) from frame `settled` on."""
    late = lengths[settled:]
    late = late[~np.isnan(late).any(axis=1)]
    return float((late.max(axis=0) / late.min(axis=0) - 1).max()) if len(late) else 0.0


def switches(track_ids: npt.NDArray[np.integer]) -> int:
    """How often the person shown changes over track ids (T,); -1 where nobody is shown."""
    shown = track_ids[track_ids >= 0]
    return int((shown[1:] != shown[:-1]).sum())


def _lines(times: Floats, values: Floats, known: Flags) -> tuple[Floats, Floats]:
    """Slope and value at time 0 of regression lines: (N,) times, (N, T, K, 2) values, (N, T) known ones."""
    weight = known.astype(np.float64)
    count = np.maximum(weight.sum(axis=0), 1)
    time = times[:, None] * weight  # (N, T)
    mean_time = time.sum(axis=0) / count
    mean = np.einsum("nt,ntkc->tkc", weight, values) / count[:, None, None]
    spread = (weight * (times[:, None] - mean_time) ** 2).sum(axis=0)
    product = np.einsum("nt,ntkc->tkc", weight * (times[:, None] - mean_time), values)
    slope = product / np.maximum(spread, 1e-12)[:, None, None]
    return slope, mean - slope * mean_time[:, None, None]
