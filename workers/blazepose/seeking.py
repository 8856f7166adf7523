"""Where to look for a person who is not where he is expected, or not clear there. Pure.

The landmark network sees those who stand more or less upright in their region. Whoever turns over in
the air faster than predicted lies in it, or hangs head down: he is looked for in regions that are
turned from the predicted one; the frames out of sight are the clock.

Now and then the network wavers between two readings of one person, left for right or not, and puts limbs
between them, where nobody has any. Seen from a little beside, it mostly decides for one of them.
"""

from dataclasses import replace

import numpy as np

from workers.blazepose.region import Region

#: By frame out of sight, two regions: turned from the predicted one by eighths of a turn, and by how much
#: larger than it. Those who turn over also stretch.
_ROUNDS = (
    ((1, 1.0), (-1, 1.0)),
    ((2, 1.0), (-2, 1.0)),
    ((1, 1.4), (-1, 1.4)),
    ((3, 1.0), (-3, 1.0)),
    ((4, 1.0), (0, 1.4)),
)

#: How far beside, in sides of the region.
_BESIDE = 0.04


def regions_around(predicted: Region, *, unseen: int) -> tuple[Region, ...]:
    """Two regions for someone last seen `unseen` frames ago (from 1) who is not in the predicted one."""
    return tuple(
        replace(predicted, side_px=predicted.side_px * larger, angle=predicted.angle + eighths * np.pi / 4)
        for eighths, larger in _ROUNDS[(unseen - 1) % len(_ROUNDS)]
    )


def regions_beside(predicted: Region) -> tuple[Region, ...]:
    """Two regions for someone who is in the predicted one, but not clear there."""
    x, y = predicted.axes()[:, 0] * (_BESIDE * predicted.side_px)
    return tuple(replace(predicted, cx=predicted.cx + way * x, cy=predicted.cy + way * y) for way in (1, -1))
