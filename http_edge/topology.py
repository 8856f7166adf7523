"""The triangles of the body mesh: constant, so they are turned into JSON once.

The edge reads them as data from the body's file; it knows nothing else of bodies.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from wire.errors import ModelNotLoaded
from wire.settings import Settings

#: The body that ships with the service; read as data.
OPEN_BODY = Path(__file__).parents[1] / "body" / "open_body.npz"


class Topology(NamedTuple):
    """How many vertices a mesh has, and its triangles, zero-based.

    faces (F, 3) int32, little-endian; beginning: with the same, `[[i,j,k], ...]`, every JSON answer with
    triangles starts.
    """

    vertex_count: int
    faces: npt.NDArray[np.int32]
    beginning: bytes


class BodyFile:
    """A body's `.npz` file, read when its triangles are first wanted.

    Workers that pose a body of their user's own write the file, so it may come after the edge has begun.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._topology: Topology | None = None

    def topology(self) -> Topology:
        """The topology. Raises `ModelNotLoaded` where the file is not there or not one."""
        if self._topology is None:  # two threads may both read it, to the same end
            try:
                self._topology = load(self._path)
            except (OSError, KeyError, ValueError) as error:
                raise ModelNotLoaded(f"the triangles of the body cannot be read: {error}") from error
        return self._topology


def of(settings: Settings) -> BodyFile:
    """The body whose meshes a service with these settings answers."""
    return BodyFile(OPEN_BODY if settings.observer == "blazepose" else settings.body_file())


def load(body_file: Path) -> Topology:
    """The topology in a body's `.npz` file. Raises `OSError`, `KeyError` or `ValueError`."""
    with np.load(body_file, allow_pickle=False) as body:
        return encode(body["faces"], vertex_count=len(body["v_template"]))


def encode(faces: np.ndarray, *, vertex_count: int) -> Topology:
    """The topology of `faces` (F, 3). Raises `ValueError` where one points outside the mesh."""
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.min() < 0 or faces.max() >= vertex_count:
        raise ValueError(f"faces {faces.shape} are not triangles of {vertex_count} vertices")
    faces = np.ascontiguousarray(faces, dtype="<i4")
    text = orjson.dumps(faces, option=orjson.OPT_SERIALIZE_NUMPY)
    return Topology(vertex_count, faces, b'{"mesh_faces_data":' + text + b",")
