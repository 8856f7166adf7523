"""Lengths in metres as JSON, a mesh at a time: each looked up as text in a table of all that a body has.

A general writer finds the shortest digits of every number, 28 ns each; a mesh has 20,670
of them, and all lie within metres of the body's centre.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import orjson

#: Tenths of millimetres that two bytes hold: the table reaches 3.2767 m either way.
_UNITS_PER_METRE = np.float32(1e4)
_LARGEST = 32767

METRES_DIGITS = 4

#: One vertex, `[-0.1234, 0.5678,-0.9012],`; each number comes with the character that follows it,
#: eight in all, which move as one integer.
_VERTEX = np.dtype([("open", "S1"), ("x", "u8"), ("y", "u8"), ("z", "u8"), ("comma", "S1")])


def vertices_json(vertices: npt.NDArray[np.floating]) -> orjson.Fragment:
    """`[[x,y,z], ...]` of (V, 3) finite metres, rounded to 0.1 mm."""
    units = np.rint(vertices * _UNITS_PER_METRE)
    if not units.size or max(units.max(), -units.min()) > _LARGEST:
        rounded = np.round(np.ascontiguousarray(vertices, dtype=np.float32), METRES_DIGITS)
        return orjson.Fragment(orjson.dumps(rounded, option=orjson.OPT_SERIALIZE_NUMPY))
    x, y, z = units.astype(np.int16).view(np.uint16).T
    rows = np.empty(len(vertices), _VERTEX)
    rows["open"], rows["comma"] = b"[", b","
    rows["x"], rows["y"], rows["z"] = _table(",")[x], _table(",")[y], _table("]")[z]
    return orjson.Fragment(b"".join((b"[", rows.view(np.uint8).data[:-1], b"]")))


@cache
def _table(follower: str) -> npt.NDArray[np.uint64]:
    """Eight characters for each length in two's complement; a space, which JSON allows, stands for plus."""
    units = np.arange(2**16, dtype=np.uint16).view(np.int16).astype(np.int32)
    rest = np.abs(units)
    text = np.empty((2**16, 8), np.uint8)
    for place in (6, 5, 4, 3, 1):
        rest, digit = np.divmod(rest, 10)
        text[:, place] = ord("0") + digit
    text[:, 0] = np.where(units < 0, ord("-"), ord(" "))
    text[:, 2], text[:, 7] = ord("."), ord(follower)
    return text.view(np.uint64).ravel()
