"""What a person looks like: colours of the body's patches, compared and remembered.

PHALP compares texture maps of the body surface where both have been seen; patches are that map in
few numbers, and like there a patch that one side has not seen says nothing.
"""

from typing import Final

import numpy as np

from workers.phalp.state import Floats

#: Root-mean-square colour difference (of 0..1) at which a patch begins to count.
COLOUR_UNIT: Final = 0.05
#: What is assumed where little was seen of both, and how many fully seen patches weigh as much as that.
UNKNOWN_DISTANCE: Final = 1.5
ASSUMED_PATCHES: Final = 2.0
#: Log odds that two are different people, for each patch, beyond the mean of `log(1 + ...)` at which a patch
#: tells nothing; most that one patch may differ; and the patches beyond which more hardly count: what stands
#: in one light, or in one shadow, errs together.
EVIDENCE: Final = 1.33
TELLS_NOTHING: Final = 1.36
MOST_OF_A_PATCH: Final = 2.5
MANY_PATCHES: Final = 20.0
#: The memory of a patch: after this much weight, old colours fade as new ones come.
MEMORY: Final = 15.0


def appearance_distance(
    colours: Floats, weights: Floats, other_colours: Floats, other_weights: Floats
) -> Floats:
    """Mean of the patches' log(1 + colour difference^2), broadcast over leading axes.

    colours (..., P, 3), weights (..., P), which count up to 1: a colour remembered from many frames is no
    better evidence than one in full view. A few patches in the shadow of somebody else cannot say much.
    """
    shared, apart = _apart(colours, weights, other_colours, other_weights)
    total = (shared * apart).sum(axis=-1) + ASSUMED_PATCHES * UNKNOWN_DISTANCE
    return total / (shared.sum(axis=-1) + ASSUMED_PATCHES)


def odds_of_others(
    colours: Floats, weights: Floats, other_colours: Floats, other_weights: Floats, *, most: Floats
) -> Floats:
    """Log odds that two are different people, by looks alone; as `appearance_distance`.

    Each patch is a witness: the more that both show, the surer. `most`: the mean difference from which more
    does not matter, broadcast.
    """
    shared, apart = _apart(colours, weights, other_colours, other_weights)
    total = shared.sum(axis=-1)
    mean = (shared * np.minimum(apart, MOST_OF_A_PATCH)).sum(axis=-1) / np.maximum(total, 1e-9)
    witnesses = total * MANY_PATCHES / (total + MANY_PATCHES)
    return EVIDENCE * witnesses * (np.minimum(mean, most) - TELLS_NOTHING)


def _apart(
    colours: Floats, weights: Floats, other_colours: Floats, other_weights: Floats
) -> tuple[Floats, Floats]:
    """How much each patch (..., P) is seen in both, 0..1, and how far apart its colours are."""
    shared = np.minimum(np.minimum(weights, other_weights), 1.0)
    return shared, np.log1p(np.square(colours - other_colours).mean(axis=-1) / COLOUR_UNIT**2)


def remember(
    colours: Floats, weights: Floats, seen_colours: Floats, seen_weights: Floats
) -> tuple[Floats, Floats]:
    """Running mean colours (P, 3) and their weights (P,) after one more look."""
    total = weights + seen_weights
    share = np.divide(seen_weights, total, out=np.zeros_like(total), where=total > 0)
    return colours + share[:, None] * (seen_colours - colours), np.minimum(total, MEMORY)
