"""What a person looks like: colours of the body's patches, compared and remembered.

PHALP compares texture maps of the body surface where both have been seen; patches are that map in
few numbers, and like there a patch that one side has not seen says nothing.
"""

from typing import Final

import numpy as np

from workers.phalp.state import Floats

#: Root-mean-square colour difference (of 0..1) that is assumed where little was seen of both.
UNKNOWN_DISTANCE: Final = 0.15
#: How many fully seen patches weigh as much as that assumption.
ASSUMED_PATCHES: Final = 2.0
#: The memory of a patch: after this much weight, old colours fade as new ones come.
MEMORY: Final = 15.0


def appearance_distance(
    colours: Floats, weights: Floats, other_colours: Floats, other_weights: Floats
) -> Floats:
    """Root-mean-square colour difference, broadcast over leading axes; colours (..., P, 3), weights (..., P).

    Weights count up to 1: a colour remembered from many frames is no better evidence than one in full view.
    """
    shared = np.minimum(np.minimum(weights, other_weights), 1.0)
    squared = np.square(colours - other_colours).mean(axis=-1)
    total = (shared * squared).sum(axis=-1) + ASSUMED_PATCHES * UNKNOWN_DISTANCE**2
    return np.sqrt(total / (shared.sum(axis=-1) + ASSUMED_PATCHES))


def remember(
    colours: Floats, weights: Floats, seen_colours: Floats, seen_weights: Floats
) -> tuple[Floats, Floats]:
    """Running mean colours (P, 3) and their weights (P,) after one more look."""
    total = weights + seen_weights
    share = np.divide(seen_weights, total, out=np.zeros_like(total), where=total > 0)
    return colours + share[:, None] * (seen_colours - colours), np.minimum(total, MEMORY)
