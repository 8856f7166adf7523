"""What a person's surface looks like: colours on a square of texels, for those that were seen.

PHALP unfolds the body's surface onto 256 x 256 texels, each a point of a face (`Atlas`). A colour is
three numbers, RGB less its mean over its deviation, a fifth of that. Where a texel was not seen it has
no colour. Colours are kept as whole steps of 1/16384: a grey level is 56 of them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Map = npt.NDArray[np.float32]  # (4, 256, 256): RGB, then 1 where seen; elsewhere 0, 0, 0, -1

SIDE: Final = 256

#: What a texture's colours are, of the network's input.
COLOUR_SHARE: Final = 0.2

#: Steps of a colour's numbers, and the most of them that are kept in two bytes.
_STEPS: Final = 16384
_MOST: Final = 32767

#: How fast an old colour gives way to a new one, by the square of how sure the new one is.
_GIVING_WAY: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """The colours of one person."""

    seen: npt.NDArray[np.uint8]  # (8192,) a bit for each texel, row by row
    colours: npt.NDArray[np.int16]  # (3, N) of those seen, in their order

    @classmethod
    def of_seen(cls, colours: Floats, seen: npt.NDArray[np.bool_]) -> "Texture":
        """The texture whose texels `seen` (65536,) have the colours (3, N)."""
        return cls(np.packbits(seen), _whole(colours * _STEPS))

    def map(self) -> Map:
        """The texture as PHALP's encoder takes it."""
        flat = np.zeros((4, SIDE * SIDE), np.float32)
        mask = self._mask()
        flat[:3, np.flatnonzero(mask)] = self.colours / np.float32(_STEPS)
        flat[3] = np.where(mask, 1, -1)
        return flat.reshape(4, SIDE, SIDE)

    def mixed(self, new: "Texture", *, score: float) -> "Texture":
        """The texture once `new` was seen with `score`: mixed where both have colours, else whichever has."""
        weight = np.float32(_GIVING_WAY * score**2)
        old_mask, new_mask = self._mask(), new._mask()
        either = np.flatnonzero(old_mask | new_mask)
        in_old, in_new = old_mask[either], new_mask[either]
        old = self.colours.take(_ranks(in_old), axis=1, mode="clip").astype(np.float32)
        fresh = new.colours.take(_ranks(in_new), axis=1, mode="clip").astype(np.float32)
        return Texture(
            self.seen | new.seen, _whole(old + np.where(in_old, weight * in_new, 1) * (fresh - old))
        )

    def _mask(self) -> npt.NDArray[np.bool_]:
        return np.unpackbits(self.seen).view(np.bool_)


def _ranks(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """For each entry how many before it are set: where its colour is, if it is set itself."""
    return np.cumsum(mask) - mask


def _whole(numbers: Floats) -> npt.NDArray[np.int16]:
    return np.rint(np.clip(numbers, -_MOST, _MOST)).astype(np.int16)
