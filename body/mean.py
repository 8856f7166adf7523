"""The mean body that 4D-Humans starts every estimate from: `smpl_mean_params.npz`."""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from wire.errors import ModelNotLoaded

#: Rotations of 24 joints by two columns each, ten shapes, and a camera s, tx, ty.
_SIZES: Final = {"pose": 144, "shape": 10, "cam": 3}


class MeanBodyRefused(ModelNotLoaded):
    """The file of the mean body is missing, or is not one."""


def read_mean(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """`pose` (144,), `shape` (10,) and `cam` (3,). Raises `MeanBodyRefused`, naming the file."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            mean = {name: arrays[name].astype(np.float32) for name in _SIZES}
    except FileNotFoundError as error:
        raise MeanBodyRefused(f"{path} is missing") from error
    except Exception as error:  # a file that is no archive of arrays can fail in any way
        raise MeanBodyRefused(f"{path} is not a mean body: {error!r}") from error
    for name, size in _SIZES.items():
        if mean[name].shape != (size,) or not np.isfinite(mean[name]).all():
            raise MeanBodyRefused(f"{path}: {name} is not {size} numbers")
    return mean
