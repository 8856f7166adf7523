"""The joints that 4D-Humans reads off a posed body, beside SMPL's 24.

44 joints: the 25 of OpenPose's BODY_25 in its order, then 19 that a regressor finds in the surface
(4D-Humans, `models/smpl_wrapper.py`). All in metres, in the axes of the mesh.
"""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

import unpickle
from body.model import Body, Mesh
from unpickle import Allowed, PickleRefused
from wire.errors import ModelNotLoaded

Array = npt.NDArray[np.float32]

#: The points of the surface that follow the 24 joints in smplx's order of 45.
SURFACE_POINTS: Final = (
    "nose",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
    *(
        f"{side}_{finger}"
        for side in ("left", "right")
        for finger in ("thumb", "index", "middle", "ring", "pinky")
    ),
)

#: BODY_25's joints among smplx's 45.
BODY_25: Final = np.array(
    [24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34]
)
_HIPS: Final = [9, 12]
_MID_HIP: Final = [8]

REGRESSED: Final = 19
_MAX_REGRESSOR_BYTES = 16 << 20


class RegressorRefused(ModelNotLoaded):
    """The file of the regressor is missing, or is not one."""


def smplx_joints(body: Body, mesh: Mesh) -> Array:
    """The 45 joints (B, 45, 3) in smplx's order: SMPL's 24, then 21 points of the surface."""
    surface = [body.points[name] for name in SURFACE_POINTS]
    return np.concatenate([mesh.joints, mesh.vertices[:, surface]], axis=1)


class Hmr2Joints:
    """Reads the 44 joints off meshes of one body."""

    def __init__(self, body: Body, regressor: Array, *, update_hips: bool = False) -> None:
        """Take the regressor (19, V) of the joints that are no vertices.

        update_hips: move BODY_25's hips from where SMPL has them to where people mark them, as
        4D-Humans can; its release does not.
        """
        self._body = body
        self._used = np.flatnonzero(np.any(regressor, axis=0))
        self._regressor = np.ascontiguousarray(regressor[:, self._used], np.float32)
        self._update_hips = update_hips

    def __call__(self, mesh: Mesh) -> Array:
        """The joints (B, 44, 3)."""
        named = smplx_joints(self._body, mesh)[:, BODY_25]
        if self._update_hips:
            named[:, _HIPS] = _moved_hips(named)
        return np.concatenate([named, self._regressor @ mesh.vertices[:, self._used]], axis=1)


def read_regressor(path: Path) -> Array:
    """The regressor (19, 6890) of `SMPL_to_J19.pkl`. Raises `RegressorRefused`, naming the file."""
    try:
        values = unpickle.array(unpickle.load(path, allowed=Allowed(), max_bytes=_MAX_REGRESSOR_BYTES))
    except FileNotFoundError as error:
        raise RegressorRefused(f"{path} is missing") from error
    except (PickleRefused, OSError) as error:
        raise RegressorRefused(f"{path} is no regressor of joints: {error}") from error
    if values.ndim != 2 or len(values) != REGRESSED or values.dtype.kind != "f":
        raise RegressorRefused(f"{path} has shape {values.shape}, not a row for each of {REGRESSED} joints")
    return values.astype(np.float32)


def _moved_hips(named: Array) -> Array:
    """The hips (B, 2, 3) a quarter of their distance farther out, and halfway to BODY_25's middle hip."""
    hips, others = named[:, _HIPS], named[:, _HIPS[::-1]]
    moved = hips + (hips - others) / 4 + (named[:, _MID_HIP] - (hips + others) / 2) / 2
    return np.asarray(moved, np.float32)
