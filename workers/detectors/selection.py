"""Which candidate boxes of one picture are people, and which of them the tracker expected. Pure numpy."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.boxes import overlap
from workers.detectors.person import Thresholds
from workers.types import Array

#: Boxes that overlap more are of one person (torchvision's and detectron2's value in testing).
SAME_PERSON_IOU = 0.5
#: The most people in a picture (the same libraries' value).
_MOST_PEOPLE = 100

#: The origin of candidates that no expected box led to.
OWN = -1


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What the network says of one picture.

    boxes (M, 4): x0 y0 x1 y1, pixels. scores (M,): 0..1, of being a person. origins (M,): index of the
    expected box that the candidate grew from, or `OWN`.
    """

    boxes: Array
    scores: Array
    origins: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Selected:
    """The candidate at `index` is a person; the rest as in `DetectedPerson`."""

    index: int
    expected: int | None
    detected: bool


def select(candidates: Candidates, expected: Array, thresholds: Thresholds) -> list[Selected]:
    """The people among `candidates`, those found without help first, each best first.

    expected (E, 4): the boxes as the tracker gave them. Whom the network finds by itself is found the same
    whatever is expected; an expected box adds people, or marks the one whom it shows too. Where several
    show one person, the mark is that of the box that lies nearest.
    """
    own = candidates.origins == OWN
    least = np.where(own, thresholds.detection_score, thresholds.expected_score)
    width, height = candidates.boxes[:, 2:].T - candidates.boxes[:, :2].T
    large = (width >= thresholds.min_width_px) & (height >= thresholds.min_height_px)
    likely = np.flatnonzero((candidates.scores > least) & large)
    order = likely[np.lexsort((-candidates.scores[likely], ~own[likely]))]
    people = []
    while len(order) and len(people) < _MOST_PEOPLE:
        best = order[0]
        same = overlap(candidates.boxes[order], candidates.boxes[best]) > SAME_PERSON_IOU
        same[0] = True  # a box without area still stands for itself
        shown_by = _nearest(candidates.origins[order[same]], expected, candidates.boxes[best])
        people.append(Selected(index=int(best), expected=shown_by, detected=bool(own[best])))
        order = order[~same]
    return people


def _nearest(origins: Iterable[int], expected: Array, box: Array) -> int | None:
    """The one of the expected boxes `origins` that overlaps `box` most."""
    shown_by = sorted({int(origin) for origin in origins if origin != OWN})
    if not shown_by:
        return None
    return shown_by[int(np.argmax(overlap(expected[shown_by], box)))]
