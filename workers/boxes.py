"""Boxes in a picture, and those that a caller gives: refused or taken, paired with who is expected, told of.

Pure. Boxes are x0 y0 x1 y1 in pixels of the upright picture.
"""

from collections.abc import Sequence

import numpy as np

from wire.errors import InvalidRegion
from wire.messages import Note, Options
from workers.target import aimed_at
from workers.types import Array, Observation, TrackedPerson

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


def check(options: Options, *, width: int, height: int, most: int) -> None:
    """Refuse boxes and a target that mean nothing in a picture of `width` x `height` pixels.

    Raises `InvalidRegion`, which names the field and says what is wrong with it.
    """
    boxes = options.boxes or ()
    if len(boxes) > most:
        raise InvalidRegion(f"boxes: {len(boxes)} boxes, and POSE_MAX_PEOPLE is {most}")
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        if x0 >= x1 or y0 >= y1:
            raise InvalidRegion(f"boxes[{index}]: [x0, y0, x1, y1] needs x0 < x1 and y0 < y1")
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            raise InvalidRegion(f"boxes[{index}]: outside the picture, which is {width} x {height} pixels")
    if options.target is not None:
        x0, y0, x1, y1 = options.target
        if x0 > x1 or y0 > y1:
            raise InvalidRegion("target: [x0, y0, x1, y1] needs x0 <= x1 and y0 <= y1")
        if x1 < 0 or y1 < 0 or x0 > width or y0 > height:
            raise InvalidRegion(f"target: outside the picture, which is {width} x {height} pixels")


def notes(
    options: Options, people: Sequence[TrackedPerson], observations: Sequence[Observation]
) -> list[Note]:
    """What the caller should know of what came of his boxes and his target."""
    told = []
    shown = {seen.box_index for seen in observations}
    empty = [index for index in range(len(options.boxes or ())) if index not in shown]
    if empty:
        listed = ", ".join(map(str, empty))
        told.append(Note(code="box_empty", message=f"nobody was seen in boxes (counted from 0): {listed}"))
    if options.target is not None and aimed_at(options.target, people) is None:
        told.append(
            Note(
                code="target_not_found",
                message="nobody who is followed is at the target; the primary person is chosen without it",
            )
        )
    return told
