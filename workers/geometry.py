"""Rotations: pure functions on arrays. Cameras are in `wire.camera`."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


#: (3, 9): a vector times it is its cross product matrix, row by row.
_CROSS = np.array([[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]])
#: (9, 4): a matrix row by row times it is its skew part, twice, and its trace.
_SKEW_AND_TRACE = np.concatenate([_CROSS.T, np.eye(3).reshape(9, 1)], axis=1)


def cross_matrix(vector: Array) -> Array:
    """The matrices (..., 3, 3) that map w to `vector` x w, for vectors (..., 3)."""
    return (vector @ _CROSS.astype(vector.dtype)).reshape(*vector.shape, 3)


def rotation_from_vector(vector: Array) -> Array:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), radians (Rodrigues' formula)."""
    angle = np.sqrt(np.einsum("...i,...i", vector, vector))[..., None, None]
    cross = cross_matrix(vector)
    small = angle < 1e-6
    safe = np.where(small, 1, angle)
    a = np.where(small, 1 - angle**2 / 6, np.sin(safe) / safe)
    b = np.where(small, 0.5 - angle**2 / 24, (1 - np.cos(safe)) / safe**2)
    return np.eye(3, dtype=vector.dtype) + a * cross + b * (cross @ cross)


def vector_from_rotation(rotation: Array) -> Array:
    """Rotation vectors (..., 3), angle in [0, pi], of rotation matrices (..., 3, 3)."""
    parts = rotation.reshape(*rotation.shape[:-2], 9) @ _SKEW_AND_TRACE.astype(rotation.dtype)
    skew = parts[..., :3]
    sine = np.sqrt(np.einsum("...i,...i", skew, skew)) / 2
    cosine = (parts[..., 3] - 1) / 2
    angle = np.arctan2(sine, cosine)
    regular = skew * np.where(sine > 1e-6, angle / np.maximum(2 * sine, 1e-12), 0.5)[..., None]
    half_turn = (sine <= 1e-3) & (cosine < 0)
    if not half_turn.any():
        return regular
    # Near a half turn the skew part vanishes; the axis is then the largest column of R + 1.
    symmetric = (rotation + np.eye(3, dtype=rotation.dtype)) / 2
    best = np.argmax(np.diagonal(symmetric, axis1=-2, axis2=-1), axis=-1)
    axis = np.take_along_axis(symmetric, best[..., None, None], axis=-1)[..., 0]
    axis = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-12)
    sign = np.where(np.sum(axis * skew, axis=-1, keepdims=True) < 0, -1, 1)
    return np.where(half_turn[..., None], axis * sign * angle[..., None], regular)


def nearest_rotation(matrix: Array) -> Array:
    """The rotations (..., 3, 3) nearest to `matrix` (..., 3, 3) in the Frobenius norm."""
    u, _, vt = np.linalg.svd(matrix)
    sign = np.linalg.det(u @ vt)
    u[..., :, 2] *= sign[..., None]
    return u @ vt
