"""The pictures of one video, and how well another picture continues them.

Pure. A picture is known by its thumbnail. What is compared are its details: the light of a scene
may flicker, its edges and people stay. Neighbours in a video differ by little, and how little is
learned from the video itself.
"""

from collections import deque
from math import log

import numpy as np
import numpy.typing as npt

Details = npt.NDArray[np.int16]  # (pixels,) how much lighter than its surroundings, `_FINE` to a grey level

_FINE = 16

#: Pixels around each one that are its surroundings: a quarter of the thumbnail's longer side.
_SURROUNDINGS_PX = 9

#: Difference of a pixel that a camera and an encoder make of nothing: one grey level.
_NOISE = 1 * _FINE

#: Pictures that are kept; when there are more, every second one of the older half goes.
_KEPT = 96

#: Frame numbers over which someone who moves leads from one picture to another without a jump.
_REACH = 8

#: Mean difference of neighbours: as long as a video tells nothing else, and the least, grey levels.
_USUAL, _LEAST = 0.4, 0.12

#: Neighbours from which a video's own difference is learned, and how many of them `_USUAL` is worth.
_LEARNED, _ASSUMED = 31, 4

#: Costs, in nats: of a likeness to a frame that is no neighbour by its number, and of no picture.
_JUMP, _UNKNOWN = 1.5, 1.0

#: Differences, in usual ones, past which it hardly matters how much more it is: flashes, cuts.
_TAIL = 3.0


def details(thumbnail: bytes, shape: tuple[int, int]) -> Details | None:
    """What is compared of a thumbnail of `shape` (rows, columns); None if it is not of that shape."""
    if len(thumbnail) != shape[0] * shape[1] or not thumbnail:
        return None
    grey = np.frombuffer(thumbnail, dtype=np.uint8).reshape(shape).astype(np.float32)
    lighter = grey - _running_mean(_running_mean(grey, 0), 1)
    fine: Details = np.rint(lighter * _FINE).astype(np.int16).reshape(-1)
    return fine


def _running_mean(picture: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    half = _SURROUNDINGS_PX // 2
    size = picture.shape[axis]
    places = np.arange(-half - 1, size + half).clip(0, size - 1)  # edges go on: `np.pad` takes much longer
    sums = np.cumsum(picture.take(places, axis=axis), axis=axis, dtype=np.float32)
    last = sums[_SURROUNDINGS_PX:] if axis == 0 else sums[:, _SURROUNDINGS_PX:]
    first = sums[:-_SURROUNDINGS_PX] if axis == 0 else sums[:, :-_SURROUNDINGS_PX]
    return (last - first) / np.float32(_SURROUNDINGS_PX)


class Gallery:
    """Pictures of one size, under their frame numbers."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._pictures: npt.NDArray[np.int16] = np.empty((0, 0), dtype=np.int16)
        self._differences: deque[float] = deque([_USUAL] * _ASSUMED, maxlen=_LEARNED)

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int, picture: Details) -> None:
        """Remember the picture of frame `number`."""
        if not self._numbers:
            self._pictures = np.empty((_KEPT, picture.size), dtype=np.int16)
        else:
            _, neighbours = self._differences_to(number, picture)
            self._differences.extend(neighbours)
        if len(self._numbers) == _KEPT:
            self._thin_out()
        self._pictures[len(self._numbers)] = picture
        self._numbers.append(number)

    def cost(self, number: int, picture: Details | None) -> float:
        """How badly the picture of frame `number` continues this video: minus its log-likelihood, nats.

        About 0 for a neighbour; a video in which much moves asks less of its neighbours, but is
        also less likely to show any of them.
        """
        if picture is None or not self._numbers:
            return _UNKNOWN
        least, neighbours = self._differences_to(number, picture)
        usual = max(_LEAST, sorted(self._differences)[len(self._differences) // 2])
        unlike = min([least / usual + _JUMP, *(difference / usual for difference in neighbours)])
        if unlike > _TAIL:  # no motion goes so far, however many frames it has
            unlike = _TAIL + log(max(least / usual, _TAIL) / _TAIL)
        return unlike + log(usual / _USUAL)

    def _differences_to(self, number: int, picture: Details) -> tuple[float, list[float]]:
        """The least difference of all, and the least per frame to a neighbour if there is one."""
        pictures = self._pictures[: len(self._numbers)]
        apart = np.maximum(np.abs(pictures - picture) - _NOISE, 0).astype(np.float32)
        # The sums are whole numbers that float32 holds: by whatever order they are exact.
        differences = apart @ np.ones(picture.size, np.float32) / np.float32(picture.size * _FINE)
        steps = np.abs(np.array(self._numbers) - number)
        near = steps <= _REACH
        # A person that moves on and on moves by less than so many single steps.
        per_frame = differences[near] / (1 + 0.5 * (np.maximum(steps[near], 1) - 1))
        return float(differences.min()), [float(per_frame.min())] if near.any() else []

    def _thin_out(self) -> None:
        older = _KEPT // 2
        keep = [*range(0, older, 2), *range(older, _KEPT)]
        self._numbers = [self._numbers[row] for row in keep]
        self._pictures[: len(keep)] = self._pictures[keep]
