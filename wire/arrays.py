"""Arrays as the payload of a message: raw frames that its header describes, written and read uncopied."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from wire.errors import ProtocolError
from wire.messages import ArraySpec, Buffer, Result

#: Array element types that may travel; nothing that needs unpickling.
DTYPES = {name: np.dtype(name) for name in ("uint8", "int32", "int64", "float32", "float64")}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}  # numpy takes a microsecond to find a name out

_MAX_DIMENSIONS = 4


def pack_arrays(
    arrays: Mapping[str, npt.NDArray[np.generic]],
) -> tuple[list[ArraySpec], list[Buffer]]:
    """Describe arrays for a header, and give the payload frames that go with it; no copy."""
    specs: list[ArraySpec] = []
    buffers: list[Buffer] = []
    for name, array in arrays.items():
        dtype = _NAMES.get(array.dtype)
        if dtype is None:
            raise ValueError(f"{name}: arrays of {array.dtype} do not travel")
        contiguous = np.ascontiguousarray(array)
        specs.append(ArraySpec(name, dtype, contiguous.shape))
        buffers.append(contiguous.reshape(-1).view(np.uint8).data)
    return specs, buffers


def separate(result: Result, payload: Sequence[Buffer]) -> list[Buffer]:
    """The payload with a frame for each array, however they came; no copy. Raises `ProtocolError`."""
    if not result.joined:
        return list(payload)
    if not payload:
        raise ProtocolError("the arrays' frame is missing")
    arrays, *rest = payload
    view = memoryview(arrays)
    parted: list[Buffer] = []
    first = 0
    for spec in result.arrays:
        last = first + _size_of(spec)
        parted.append(view[first:last])
        first = last
    if first != view.nbytes:
        raise ProtocolError(f"arrays of {first} bytes in all, {view.nbytes} came")
    return [*parted, *rest]


def unpack_arrays(specs: Sequence[ArraySpec], frames: Sequence[Buffer]) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays over the payload frames, without a copy. Raises `ProtocolError`."""
    if len(frames) < len(specs):
        raise ProtocolError(f"{len(specs)} arrays announced, {len(frames)} frames came")
    arrays = {}
    for spec, frame in zip(specs, frames, strict=False):
        expected = _size_of(spec)
        if memoryview(frame).nbytes != expected:
            raise ProtocolError(f"array {spec.name!r}: {memoryview(frame).nbytes} bytes, not {expected}")
        try:
            arrays[spec.name] = np.ndarray(spec.shape, DTYPES[spec.dtype], frame)
        except ValueError as error:  # no numbers, in more rows than there can be
            raise ProtocolError(f"array {spec.name!r}: {error}") from None
    return arrays


@lru_cache(maxsize=256)  # every frame's arrays are described alike, as a rule
def _size_of(spec: ArraySpec) -> int:
    """Bytes of an array. Raises `ProtocolError` for one that does not travel."""
    dtype = DTYPES.get(spec.dtype)
    if dtype is None or len(spec.shape) > _MAX_DIMENSIONS or min(spec.shape, default=0) < 0:
        raise ProtocolError(f"array {spec.name!r}: {spec.dtype}{list(spec.shape)} is not allowed")
    return dtype.itemsize * math.prod(spec.shape)
