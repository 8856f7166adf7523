"""How an answer is written: as JSON, or as MessagePack for whoever asks for it.

The fields are the same. In MessagePack a mesh is binary, as programs hold it: `{"dtype": "float32",
"shape": [6890, 3], "data": ...}`, row-major, little-endian; triangles likewise (`int32`). A picture is its
PNG there, and a data: URL in JSON.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from http_edge.numerals import METRES_DIGITS, vertices_json
from http_edge.topology import Topology
from wire.messages import Buffer

Array = npt.NDArray[np.floating]

_FACES = "mesh_faces_data"


class Body(NamedTuple):
    """The body of an answer. beginning: the same in all that begin so, and never made anew; may be empty."""

    beginning: bytes
    rest: bytes | memoryview

    def whole(self) -> bytes:
        """Both."""
        return b"".join(self) if self.beginning else bytes(self.rest)


class Format(Protocol):
    """Makes of each value what `body` writes, and then writes it."""

    media_type: str

    def vertices(self, metres: Array) -> object:
        """A mesh (V, 3), rounded to 0.1 mm."""

    def numbers(self, array: Array, digits: int) -> Any:
        """The finite numbers of a small array in nested lists, rounded; its rows are written likewise."""

    def picture(self, png: Buffer) -> object:
        """A picture."""

    def body(self, fields: Mapping[str, object]) -> bytes:
        """The text or the bytes of all."""

    def answer(self, fields: Mapping[str, object], faces_of: Topology | None) -> Body:
        """The same, and first the triangles of every mesh; None: there are none."""

    def listed(self, bodies: Sequence[bytes]) -> bytes:
        """Several bodies as one list."""


class Json:
    """RFC 8259."""

    media_type = "application/json"

    def vertices(self, metres: Array) -> object:
        """`[[x,y,z], ...]`."""
        return vertices_json(metres)

    def numbers(self, array: Array, digits: int) -> Any:
        """In as few digits as they need; orjson writes float32 as short as it can be."""
        return np.ascontiguousarray(array, dtype=np.float32).round(digits)

    def picture(self, png: Buffer) -> object:
        """A data: URL; base64 has no character that JSON would escape."""
        return orjson.Fragment(b'"data:image/png;base64,' + base64.b64encode(png) + b'"')

    def body(self, fields: Mapping[str, object]) -> bytes:
        """UTF-8."""
        return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)

    def answer(self, fields: Mapping[str, object], faces_of: Topology | None) -> Body:
        """`[[i,j,k], ...]`: half of the answer, which need not be written, nor compressed, each time."""
        if faces_of is None:
            return Body(b"", self.body({_FACES: [], **fields}))
        return Body(faces_of.beginning, memoryview(self.body(fields))[len("{") :])

    def listed(self, bodies: Sequence[bytes]) -> bytes:
        """A JSON array."""
        return b"[" + b",".join(bodies) + b"]"


class MessagePack:
    """The same fields; meshes and triangles are dtype, shape and data, a picture is its bytes."""

    media_type = "application/msgpack"

    def vertices(self, metres: Array) -> object:
        """Little-endian float32."""
        return _binary(np.round(np.ascontiguousarray(metres, dtype="<f4"), METRES_DIGITS))

    def numbers(self, array: Array, digits: int) -> Any:
        """Doubles, because a float32 widened shows all its digits."""
        return array.astype(np.float64).round(digits).tolist()

    def picture(self, png: Buffer) -> object:
        """The PNG's bytes."""
        return png

    def body(self, fields: Mapping[str, object]) -> bytes:
        """One map."""
        return msgspec.msgpack.encode(fields)

    def answer(self, fields: Mapping[str, object], faces_of: Topology | None) -> Body:
        """Little-endian int32."""
        faces = [] if faces_of is None else _binary(faces_of.faces)
        return Body(b"", self.body({_FACES: faces, **fields}))

    def listed(self, bodies: Sequence[bytes]) -> bytes:
        """A MessagePack array."""
        return msgspec.msgpack.encode([msgspec.Raw(body) for body in bodies])


JSON = Json()
MESSAGE_PACK = MessagePack()

#: What a request's `Accept` may name, the first where it is all the same.
BY_MEDIA_TYPE: Mapping[str, Format] = {
    JSON.media_type: JSON,
    MESSAGE_PACK.media_type: MESSAGE_PACK,
    "application/x-msgpack": MESSAGE_PACK,
    "application/vnd.msgpack": MESSAGE_PACK,
}


def _binary(array: npt.NDArray[Any]) -> dict[str, object]:
    return {"dtype": array.dtype.name, "shape": array.shape, "data": array.data.cast("B")}
