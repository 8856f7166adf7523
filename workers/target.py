"""Which person of a frame the caller means by a point or a box. Pure; pixels of the frame."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from wire.messages import Box
from workers.types import TrackedPerson

#: A box means a person when they share at least this part of the smaller one's area.
SHARED: Final = 0.5


def aimed_at(target: Box, people: Sequence[TrackedPerson]) -> int | None:
    """Index of the person whom `target` means; None: nobody.

    A box without an area is a point: it means the person in whose box it lies, most centrally where there
    are several. Another box means the person whose box it overlaps most. Who is seen in the frame comes
    before who is only predicted.
    """
    if not people:
        return None
    fits = _fits(np.array(target), np.stack([person.box for person in people]))
    hits = [index for index, fit in enumerate(fits) if fit > 0]
    return max(hits, key=lambda index: (people[index].state != "predicted", fits[index]), default=None)


def _fits(target: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How well each of `boxes` (N, 4) fits `target` (4,), 0..1: (N,); 0: it is not meant."""
    sides = boxes[:, 2:] - boxes[:, :2]
    if (target[2:] <= target[:2]).any():
        off_centre = np.abs(target[:2] - boxes[:, :2] - sides / 2) / np.maximum(sides / 2, 1e-9)
        return np.where(off_centre.max(axis=1) <= 1, 1 - off_centre.max(axis=1) / 2, 0)
    shared = np.minimum(boxes[:, 2:], target[2:]) - np.maximum(boxes[:, :2], target[:2])
    common = np.prod(np.maximum(shared, 0), axis=1)
    areas, area = np.prod(sides, axis=1), np.prod(target[2:] - target[:2])
    union = np.maximum(areas + area - common, 1e-9)
    return np.where(common >= SHARED * np.maximum(np.minimum(areas, area), 1e-9), common / union, 0)
