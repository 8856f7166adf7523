"""What a person's surface looks like: colours on a square of texels, for those that were seen.

PHALP unfolds the body's surface onto 256 x 256 texels, each a point of a face (`phalp.learned.unfold`). A
colour is three numbers, RGB less its mean over its deviation, a fifth of that. Where a texel was not seen
it has no colour. Colours are kept as whole steps of 1/16384: a grey level is 56 of them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Map = npt.NDArray[np.float32]

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
        """The texture as PHALP's encoder takes it (4, 256, 256): RGB and 1; 0, 0, 0, -1 where not seen."""
        flat = np.zeros((4, SIDE * SIDE), np.float32)
        mask = self._mask()
        flat[:3, np.flatnonzero(mask)] = self.colours / np.float32(_STEPS)
        flat[3] = np.where(mask, 1, -1)
        return flat.reshape(4, SIDE, SIDE)

    def mixed(self, new: "Texture", *, score: float) -> "Texture":
        """The texture once `new` was seen with `score`: mixed where both have colours, else whichever has."""
        if not self.colours.size or not new.colours.size:
            return self if self.colours.size else new
        old_mask, new_mask = self._mask(), new._mask()
        either = np.flatnonzero(old_mask | new_mask)
        in_old, in_new = old_mask[either], new_mask[either]
        old, fresh = self._colours_at(in_old), new._colours_at(in_new)
        share = np.where(in_old, np.float32(_GIVING_WAY * score**2) * in_new, np.float32(1))
        return Texture(self.seen | new.seen, np.rint(old + share * (fresh - old)).astype(np.int16))

    def _colours_at(self, mine: npt.NDArray[np.bool_]) -> Map:
        """(3, M): the colours of M texels, of which those that are `mine` have one; elsewhere anything."""
        places = np.cumsum(mine, dtype=np.int32) - mine
        return self.colours.take(places, axis=1, mode="clip").astype(np.float32)

    def _mask(self) -> npt.NDArray[np.bool_]:
        return np.unpackbits(self.seen).view(np.bool_)


def _whole(numbers: Floats) -> npt.NDArray[np.int16]:
    return np.rint(np.clip(numbers, -_MOST, _MOST)).astype(np.int16)
