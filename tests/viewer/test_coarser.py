"""Meshes of fewer triangles, which the page draws where processors draw: still the same body."""

import json
from pathlib import Path

import numpy as np

from body.model import Body
from tests.viewer.browser import HERE, VIEWER, run


def test_a_quarter_of_the_triangles_shows_the_same_body(tmp_path: Path) -> None:
    body = Body.open()
    (vertices,) = body.mesh(
        np.tile(np.eye(3, dtype=np.float32), (1, 24, 1, 1)), np.zeros((1, 10), np.float32)
    ).vertices
    (tmp_path / "faces.json").write_text(json.dumps(body.faces.tolist()))
    kept = run(HERE / "coarser.mjs", str(VIEWER / "coarser.js"), str(tmp_path / "faces.json"))
    corners = vertices[np.reshape(kept, (-1, 3))]
    edges_m = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1)

    assert 0.2 < len(corners) / len(body.faces) < 0.3
    assert edges_m.min() > 0
    assert edges_m.max() < 0.25, "nothing is sewn together that is apart"
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    assert np.abs(low - vertices.min(axis=0)).max() < 0.02
    assert np.abs(high - vertices.max(axis=0)).max() < 0.02
