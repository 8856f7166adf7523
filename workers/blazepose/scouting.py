"""Which parts of a picture the detector looks at, when.

The detector sees people down to about a quarter of its square, and costs the same whatever the
square is. So it looks at the whole picture and at overlapping tiles of it, where smaller people are
large enough: one look a frame while all who are expected are found without it, two while someone is
lost. Pure: the session's frame count is the clock.
"""

from collections.abc import Sequence

import numpy as np

from workers.blazepose.detector import Detection, Tile, whole_frame
from workers.blazepose.region import Region

#: Sides of the tiles, in shorter sides of the picture.
_TILE_SIDES = (1.0, 0.6)
#: Neighbouring tiles share this part of their side, so that no one is cut by all of them.
_OVERLAP = 1 / 3
#: A smaller tile would only magnify pixels.
_SMALLEST_TILE_PX = 192
#: Frames in which every part of the picture is looked at, where it is not one frame.
_TURNS = 3
#: Side of the tile around a known person, in sides of the person's region.
_MARGIN = 1.5


def tiles(width: int, height: int) -> tuple[Tile, ...]:
    """The overlapping squares, large ones first, that cover a picture of `width` x `height` pixels."""
    shorter = min(width, height)
    sides = [side * shorter for side in _TILE_SIDES if side * shorter >= _SMALLEST_TILE_PX]
    return tuple(
        Tile(x0=float(x), y0=float(y), side_px=side)
        for side in sides
        if side < max(width, height)  # else it is the whole picture
        for y in _starts(height, side)
        for x in _starts(width, side)
    )


def some_tiles(width: int, height: int, *, turn: int) -> tuple[Tile, ...]:
    """Every third of `tiles`, by turns: for whom the frame in which the picture jumped has not shown.

    All of them in each frame would cost more than everything else, most often for somebody who has left.
    """
    return tiles(width, height)[turn % _TURNS :: _TURNS]


def one_look(width: int, height: int, *, turn: int, followed: Sequence[Region]) -> Tile:
    """Where the detector looks when all who are expected were found: everywhere, or closer, by turns."""
    half, odd = divmod(turn, 2)
    tile = next_tile(width, height, turn=half, unconfirmed=followed) if odd else None
    return tile or whole_frame(width, height)


def next_tile(width: int, height: int, *, turn: int, unconfirmed: Sequence[Region]) -> Tile | None:
    """Where the detector looks after the whole picture: for new people and for known ones by turns.

    unconfirmed: the regions of expected people whom it did not see in the whole picture.
    """
    half, odd = divmod(turn, 2)
    if unconfirmed and odd:
        return _around(unconfirmed[half % len(unconfirmed)])
    scouts = tiles(width, height)
    return scouts[(half if unconfirmed else turn) % len(scouts)] if scouts else None


def keeps(tile: Tile, detection: Detection, *, width: int, height: int) -> bool:
    """Whether `detection` is for `tile` to report: the hips are inside it, or it is the whole picture.

    What a tile shows of a person whose hips it does not see, another tile shows better; most of it is
    no person at all.
    """
    if tile == whole_frame(width, height):
        return True
    x, y = detection.points[0] - np.array([tile.x0, tile.y0])
    return bool(0 <= x < tile.side_px and 0 <= y < tile.side_px)


def _around(region: Region) -> Tile:
    side = _MARGIN * region.side_px
    return Tile(region.cx - side / 2, region.cy - side / 2, side)


def _starts(length: int, side: float) -> np.ndarray:
    """Where the tiles of `side` begin along `length`, evenly spaced from end to end."""
    steps = np.ceil((length - side) / (side * (1 - _OVERLAP)) - 1e-9)
    return np.linspace(0, length - side, int(steps) + 1)
