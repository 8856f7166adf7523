"""A worker's result with its arrays: whole and finite, or not taken.

Pure. Counts, names and finiteness are checked here, once for whatever is written of it; a result that breaks
them is a bug. Units and frames are those of `wire.messages.Result`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from http_edge.topology import Topology
from wire.arrays import unpack_arrays
from wire.errors import ProtocolError
from wire.messages import Buffer, Result
from wire.skeleton import JOINT_ANGLES

Array = npt.NDArray[np.floating]
#: Whose meshes there are.
Meshes = Literal["none", "primary", "everyone"]

#: Nothing measured is as large; rounding something much larger would overflow to infinity.
_LARGEST = 1e9

#: What each array of a result must be for one person (or one mesh).
_PERSON_SHAPES = {
    "joints": (24, 3),
    "joint_confidence": (24,),
    "keypoints": (17, 3),
    "keypoints_2d": (17, 2),
    "keypoint_confidence": (17,),
    "angles": (len(JOINT_ANGLES),),
    "rotations": (24, 3, 3),
    "betas": (10,),
    "translation": (3,),
    "boxes": (4,),
}


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """A result, its arrays (checked), and its picture."""

    result: Result
    arrays: Mapping[str, Array]
    png: Buffer | None


def read(result: Result, payload: Sequence[Buffer], *, topology: Topology, meshes: Meshes) -> People:
    """The result with its payload frames as arrays. Raises `ValueError` where they don't fit it."""
    try:
        arrays = unpack_arrays(result.arrays, payload)
    except ProtocolError as error:
        raise ValueError(f"the worker's result is broken: {error}") from error
    count = len(result.people)
    shown = () if result.primary is None else (result.primary,)
    if any(not 0 <= row < count for row in shown):
        raise ValueError(f"the primary person, {result.primary}, is not among {count} people")
    mesh_count = {"none": 0, "primary": len(shown), "everyone": count}[meshes]
    shapes = {name: (count, *shape) for name, shape in _PERSON_SHAPES.items()}
    shapes["vertices"] = (mesh_count, topology.vertex_count, 3)
    checked = {name: _checked(name, arrays.get(name), shape) for name, shape in shapes.items()}
    _refuse_immeasurable(checked)
    return People(result, checked, payload[len(result.arrays)] if result.has_png else None)


def _checked(name: str, array: npt.NDArray[Any] | None, shape: tuple[int, ...]) -> Array:
    """The array, if it is what the contract's counts rest on; `vertices` may hold more meshes than asked."""
    if array is None or array.dtype.kind != "f":
        raise ValueError(f"the result has no array {name!r} of floating-point numbers")
    if array.shape[1:] != shape[1:] or array.shape[0] < shape[0]:
        raise ValueError(f"array {name!r} is {list(array.shape)}, not {list(shape)}")
    return array


def _refuse_immeasurable(arrays: Mapping[str, Array]) -> None:
    # All at once: eleven small looks take ten times as long.
    if _measurable(np.concatenate([array.ravel() for array in arrays.values()])):
        return
    name = next(name for name, array in arrays.items() if not _measurable(array))
    raise ValueError(f"array {name!r} has a number that is not finite, or beyond all measure")


def _measurable(array: Array) -> bool:
    return bool(array.min(initial=0) >= -_LARGEST and array.max(initial=0) <= _LARGEST)
