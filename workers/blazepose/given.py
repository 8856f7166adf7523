"""Who is in the boxes that the caller gives: the caller says where, the landmark network who and how.

Nobody is looked for elsewhere, and a box is not doubted for being small.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from workers.blazepose.landmarks import LandmarkFinder, Landmarks, box_around
from workers.blazepose.likeness import same_person
from workers.blazepose.region import Region, region_of_joints, regions_of_box
from workers.blazepose.sighting import Expected, Sighting, is_expected
from workers.boxes import overlap, paired
from workers.types import Array, Image

#: Landmarks in a given box are believed from here on: the caller has seen somebody there.
_SCORE = 0.5
#: They are of whom the box is around if their own box overlaps it this much.
_IN_BOX_IOU = 0.3
#: How people lie who do not stand upright in their box, radians.
_TURNS = (np.pi / 2, -np.pi / 2, np.pi)


def people_in(
    finder: LandmarkFinder, image: Image, boxes: Array, expected: Sequence[Expected]
) -> list[Sighting]:
    """The people in `boxes` (B, 4) of `image`, HWC uint8 RGB, in their order, no one twice.

    A box may show nobody.
    """
    around = np.array([_box_of(one.joints) for one in expected]).reshape(-1, 4)
    whom = paired(boxes, around)
    seen: list[Sighting] = []
    for index, (box, number) in enumerate(zip(boxes, whom, strict=True)):
        one = None if number is None else expected[number]
        landmarks = _look(finder, image, box, one)
        if landmarks is None or any(same_person(landmarks, other.landmarks) for other in seen):
            continue
        known = one if one is not None and is_expected(landmarks, one) else None
        seen.append(Sighting(landmarks, known, detected=True, box_index=index))
    return seen


def _look(finder: LandmarkFinder, image: Image, box: Array, one: Expected | None) -> Landmarks | None:
    """The landmarks of whom `box` (4,) is around, who may be the expected person; None: nobody is seen."""
    for region in _regions(box, one):
        first = _in_box(finder.find(image, region, min_score=_SCORE), box)
        if first is not None:
            # A box tells roughly where a body is; the body itself tells better.
            return _in_box(finder.find(image, first.following, min_score=first.score), box) or first
    return None


def _regions(box: Array, one: Expected | None) -> Iterator[Region]:
    """Where to look for whom `box` is around, the likeliest first."""
    if one is not None:
        yield region_of_joints(one.joints)
    yield from regions_of_box(box, angles=(0.0, *_TURNS))


def _in_box(landmarks: Landmarks | None, box: Array) -> Landmarks | None:
    if landmarks is None or overlap(box_around(landmarks)[None], box)[0] < _IN_BOX_IOU:
        return None
    return landmarks


def _box_of(joints: Array) -> Array:
    return np.concatenate([joints.min(axis=0), joints.max(axis=0)])
