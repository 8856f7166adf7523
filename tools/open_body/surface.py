"""A mesh of SMPL's size, every vertex of it tied to the full one."""

from dataclasses import dataclass

import fast_simplification
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from tools.open_body.people import People

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

VERTICES, FACES = 6_890, 13_776


@dataclass(frozen=True)
class Carrier:
    """Vertices of the decimated mesh as points on the full one; matrix (VERTICES, V)."""

    vertices: Array  # (VERTICES, 3)
    faces: Index  # (FACES, 3)
    matrix: csr_array


def decimated(people: People) -> Carrier:
    """The mean person with SMPL's number of faces, every vertex tied to the full mesh."""
    mean = people.vertices.mean(axis=0)
    vertices, faces = fast_simplification.simplify(mean, people.faces, target_count=FACES)
    check_surface(vertices, faces)
    return Carrier(
        vertices.astype(np.float64),
        faces.astype(np.int64),
        nearest_on_surface(vertices.astype(np.float64), mean, people.faces),
    )


def check_surface(vertices: Array, faces: Index) -> None:
    """Raise `ValueError` unless the mesh is SMPL's size, closed, of genus 0 and facing outward.

    vertices (V, 3), metres; faces (F, 3).
    """
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forth = np.unique(directed, axis=0)
    corners = vertices[faces]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    if vertices.shape != (VERTICES, 3) or faces.shape != (FACES, 3):
        raise ValueError(f"{len(vertices)} vertices and {len(faces)} faces are not SMPL's numbers")
    if len(forth) != len(directed) or not np.array_equal(forth, np.unique(directed[:, ::-1], axis=0)):
        raise ValueError("the decimated mesh is not closed")
    if len(vertices) - len(directed) // 2 + len(faces) != 2:
        raise ValueError("the decimated mesh has a handle or a second piece")
    if volume <= 0:
        raise ValueError("the decimated mesh faces inward")


def nearest_on_surface(points: Array, vertices: Array, faces: Index, candidates: int = 48) -> csr_array:
    """Barycentric matrix (points, vertices) of the nearest point of the surface to each point."""
    _, near = cKDTree(vertices[faces].mean(axis=1)).query(points, k=candidates)  # (N, K) faces
    corners = vertices[faces[near]]  # (N, K, 3, 3)
    barycentric = nearest_in_triangle(points[:, None], corners)  # (N, K, 3)
    offsets = np.einsum("nkc,nkci->nki", barycentric, corners) - points[:, None]
    best = np.argmin(np.sum(offsets**2, axis=-1), axis=1)
    rows = np.arange(len(points))
    columns = faces[near[rows, best]]
    shape = (len(points), len(vertices))
    return csr_array((barycentric[rows, best].ravel(), (np.repeat(rows, 3), columns.ravel())), shape=shape)


def nearest_in_triangle(points: Array, corners: Array) -> Array:
    """Barycentric coordinates (..., 3) of the nearest point to `points` (..., 3) in triangles (..., 3, 3)."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11, d20, d21 = dot(ab, ab), dot(ab, ac), dot(ac, ac), dot(ap, ab), dot(ap, ac)
    area = np.maximum(d00 * d11 - d01**2, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = np.stack([1 - v - w, v, w], axis=-1)
    zero = np.zeros_like(v)

    def on_edge(start: Array, end: Array) -> Array:
        edge = end - start
        return np.clip(dot(points - start, edge) / np.maximum(dot(edge, edge), 1e-30), 0, 1)

    t_ab, t_bc, t_ca = on_edge(a, b), on_edge(b, c), on_edge(c, a)
    edges = np.stack(
        [
            np.stack([1 - t_ab, t_ab, zero], axis=-1),
            np.stack([zero, 1 - t_bc, t_bc], axis=-1),
            np.stack([t_ca, zero, 1 - t_ca], axis=-1),
        ],
        axis=-2,
    )  # (..., 3 edges, 3)
    gaps = np.sum((edges @ corners - points[..., None, :]) ** 2, axis=-1)
    nearest_edge = np.take_along_axis(edges, np.argmin(gaps, axis=-1)[..., None, None], axis=-2)[..., 0, :]
    return np.where(np.all(inside >= 0, axis=-1, keepdims=True), inside, nearest_edge)


def dot(u: Array, v: Array) -> Array:
    """Inner products of vectors (..., 3)."""
    return np.sum(u * v, axis=-1)
