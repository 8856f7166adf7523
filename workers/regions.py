"""The boxes and the target that a caller gives with a frame: refused where they mean nothing, told of after.

Pure. Boxes are x0 y0 x1 y1 in pixels of the upright picture.
"""

from collections.abc import Sequence

from wire.errors import InvalidRegion
from wire.messages import Note, Options
from workers.target import aimed_at
from workers.types import Observation, TrackedPerson


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
