"""A binary glTF 2.0 file: a JSON description and one buffer, in the specification's container.

Knows arrays and chunks, not people. All of it is little-endian.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC, _VERSION = 0x46546C67, 2
_JSON, _BIN = 0x4E4F534A, 0x004E4942

#: What a view of the buffer is for: attributes of vertices, or their order.
VERTICES, INDICES = 34962, 34963

_COMPONENTS = {"u1": 5121, "<u2": 5123, "<u4": 5125, "<f4": 5126}
_SHAPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class Buffer:
    """The file's one buffer, as it is filled."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def add(
        self, values: npt.ArrayLike, kind: str, *, target: int | None = None, bounds: bool = False
    ) -> int:
        """Put an array in, as numbers of a `kind` such as `<f4`; the number of its accessor.

        Matrices (N, 4, 4) are written by columns, as the specification wants them. bounds: say the least and
        greatest of each component.
        """
        array = np.ascontiguousarray(values, kind)
        shape = _SHAPES[array.shape[1:]]
        written = np.ascontiguousarray(array.swapaxes(1, 2)) if shape == "MAT4" else array
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._content), "byteLength": array.nbytes}
        if target:
            view["target"] = target
        accessor: dict[str, Any] = {
            "bufferView": len(self._views),
            "componentType": _COMPONENTS[kind],
            "count": len(array),
            "type": shape,
        }
        if bounds:
            accessor |= {
                "min": array.min(axis=0).reshape(-1).tolist(),
                "max": array.max(axis=0).reshape(-1).tolist(),
            }
        self._content += written.tobytes()
        self._content += bytes(-len(self._content) % 4)
        self._views.append(view)
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def write(self, path: Path, description: dict[str, Any]) -> None:
        """The file: `description` without what the buffer adds to it."""
        whole = description | {
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": len(self._content)}],
        }
        text = json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        length = 12 + 8 + len(text) + 8 + len(self._content)
        with path.open("wb") as file:
            file.write(struct.pack("<III", _MAGIC, _VERSION, length))
            file.write(struct.pack("<II", len(text), _JSON) + text)
            file.write(struct.pack("<II", len(self._content), _BIN) + self._content)
