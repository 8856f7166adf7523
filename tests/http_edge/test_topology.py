"""The triangles of a body: read from its file when they are first wanted."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from http_edge.topology import BodyFile
from wire.errors import ModelNotLoaded

FACES = np.array([[0, 1, 2], [2, 1, 3]])


def test_a_file_that_comes_later_is_read_then(tmp_path: Path) -> None:
    body = BodyFile(tmp_path / "body.npz")
    with pytest.raises(ModelNotLoaded, match=r"body\.npz"):
        body.topology()

    np.savez(tmp_path / "body.npz", faces=FACES, v_template=np.zeros((4, 3)))

    topology = body.topology()
    assert topology.vertex_count == 4
    assert topology.faces.tolist() == FACES.tolist()
    assert orjson.loads(topology.beginning + b'"more":0}') == {"mesh_faces_data": FACES.tolist(), "more": 0}


@pytest.mark.parametrize(
    "arrays",
    [
        pytest.param({"faces": FACES}, id="no vertices"),
        pytest.param({"faces": FACES, "v_template": np.zeros((3, 3))}, id="a triangle outside the mesh"),
    ],
)
def test_a_file_that_is_no_body_is_named(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "body.npz", **arrays)
    with pytest.raises(ModelNotLoaded, match="triangles of the body"):
        BodyFile(tmp_path / "body.npz").topology()
