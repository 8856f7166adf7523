"""How much boxes overlap, and which of two lists show the same people.

Pure. Boxes are x0 y0 x1 y1 in pixels of the upright picture.
"""

import numpy as np

from workers.types import Array

#: An expected person belongs to a given box that overlaps his own at least this much.
_SAME_PLACE_IOU = 0.3


def overlap(boxes: Array, box: Array) -> Array:
    """Intersection over union (N,) of `boxes` (N, 4) with `box` (4,); 0 where neither has an area."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    union = np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) + np.prod(box[2:] - box[:2]) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def paired(given: Array, expected: Array) -> list[int | None]:
    """For each of the boxes `given` (G, 4) the one of `expected` (E, 4) that it shows, no one twice."""
    shares = np.array([overlap(expected, box) for box in given]).reshape(len(given), len(expected))
    pairs: list[int | None] = [None] * len(given)
    while shares.size and shares.max() >= _SAME_PLACE_IOU:
        row, column = np.unravel_index(shares.argmax(), shares.shape)
        pairs[int(row)] = int(column)
        shares[row, :] = shares[:, column] = 0
    return pairs
