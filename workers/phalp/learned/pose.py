"""The 229 numbers by which PHALP compares people's bodies, and foretells them."""

from typing import Final

import numpy as np
import numpy.typing as npt

from wire.skeleton import SMPL_JOINTS

Floats = npt.NDArray[np.floating]

#: Where the rotations are, row by row, where the shape, and both: what is no place.
ROTATIONS: Final = slice(0, 9 * len(SMPL_JOINTS))
BETAS: Final = slice(ROTATIONS.stop, ROTATIONS.stop + 10)
BODY: Final = slice(ROTATIONS.start, BETAS.stop)

#: How many there are: three of place come last.
POSE_NUMBERS: Final = BODY.stop + 3

#: PHALP divides a translation's z by this before it compares poses.
_DEPTH_UNIT_M: Final = 200.0


def pose_vector(rotations: Floats, betas: Floats, translation: Floats) -> Floats:
    """The numbers (..., 229) of bodies with rotations (..., 24, 3, 3) and betas (..., 10).

    translation (..., 3): in the padded square's camera (`sighting`), metres; its z is kept in units of 200 m.
    """
    place = translation / np.array([1.0, 1.0, _DEPTH_UNIT_M], dtype=translation.dtype)
    return np.concatenate([rotations.reshape(*rotations.shape[:-3], -1), betas, place], axis=-1)
