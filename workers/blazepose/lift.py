"""Landmarks as points in space: their pixels give x and y, their world depth gives z.

BlazePose places its pixels more sharply than its world coordinates, which know the scale and
the depth. Under a long lens the two differ by a scale and a shift, which are solved for here.
"""

import numpy as np

from workers.blazepose.kinematics import Array

#: Nobody reaches farther than this from one landmark to the next, metres.
_REACH_M = 2.5
_SMALLEST_PX = 1e-3


def lift(pixels: Array, world: Array, weight: Array) -> tuple[Array, float]:
    """Points (N, 3), metres, camera axes, around their weighted mean, and pixels per metre.

    pixels (N, 2); world (N, 3): metres, camera axes; weight (N,): positive.
    """
    share = weight / weight.sum()
    flat = pixels - share @ pixels
    deep = world - share @ world
    spread = share @ np.sum(deep[:, :2] ** 2, axis=1)
    scale = share @ np.sum(flat * deep[:, :2], axis=1) / max(spread, np.finfo(float).tiny)
    least = max(float(np.ptp(flat, axis=0).max()) / _REACH_M, _SMALLEST_PX)
    scale = max(float(scale), least)
    return np.column_stack([flat / scale, deep[:, 2]]), scale
