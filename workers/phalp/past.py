"""What was seen of a person's motion lately, frame by frame, in few bytes.

Turns are unit quaternions in steps of 1/32767, as measured; whose measurement is doubted,
counts as the filter has them. Frames without the person lie on the way between those around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.geometry import Array, rotation_from_vector
from workers.phalp.regression import PAST, Numbers
from workers.phalp.state import Floats, Quaternions, TrackState

_STEPS: Final = 32767
#: The past of someone of whose motion nothing is known.
NO_TURNS: Final[Quaternions] = np.zeros((0, 24, 4), np.int16)
NO_PLACES: Final[Floats] = np.zeros((0, 3))

#: Frames without the person from which what was before is no longer of the same motion.
LONGEST_BREAK: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """The pasts of T tracks as arrays, the older frames filled with each one's oldest."""

    turned: Numbers  # (T, 3, PAST, 24) rotation vectors from the last turns, camera axes
    turns: Floats  # (T, 24, 3, 3) the last ones
    moved: Numbers  # (T, 3, PAST, 1) from the last places
    places: Floats  # (T, 3) the last ones
    known: npt.NDArray[np.int_]  # (T,) frames that are not filled


def quaternions(turns: Floats) -> Quaternions:
    """(..., 4) of rotations (..., 3, 3)."""
    # Of the symmetric matrix 4 q q^T, which is linear in the rotation, the row of the largest component.
    products = (turns.reshape(-1, 9) @ _PRODUCTS + np.eye(4).ravel()).reshape(-1, 4, 4)
    largest = products.reshape(-1, 16)[:, ::5].argmax(axis=-1)
    exact = _unit(products[np.arange(len(products)), largest])
    return np.rint(_STEPS * exact).astype(np.int16).reshape(*turns.shape[:-2], 4)


def extended(
    before: tuple[Quaternions, Floats], turns: Quaternions, place: Floats, *, frames: int
) -> tuple[Quaternions, Floats]:
    """The past `before`, and `frames` frames after its last, turns (24, 4) at a place (3,)."""
    old_turns, old_places = before
    if not len(old_places) or frames > LONGEST_BREAK:
        return turns[None], place[None]
    share = np.arange(1, frames)[:, None] / frames  # of the way, at frames without the person
    near = np.where((old_turns[-1].astype(float) * turns).sum(axis=-1, keepdims=True) < 0, -1.0, 1.0) * turns
    way = _unit(old_turns[-1] + share[..., None] * (near - old_turns[-1]))
    places = old_places[-1] + share * (place - old_places[-1])
    return (
        np.concatenate([old_turns, np.rint(_STEPS * way).astype(np.int16), turns[None]])[-PAST:],
        np.concatenate([old_places, places, place[None]])[-PAST:],
    )


def motion_of(tracks: Sequence[TrackState]) -> Motion:
    """The motion of tracks each of which was seen at least once."""
    known = np.array([len(track.past_places) for track in tracks])
    rows = np.maximum(np.arange(PAST) - PAST + known[:, None], 0)
    turns = np.array([track.past_turns[row] for track, row in zip(tracks, rows, strict=True)])
    places = np.array([track.past_places[row] for track, row in zip(tracks, rows, strict=True)])
    turned = vector_from_quaternion(_since_last(turns.astype(np.float32) / np.float32(_STEPS)))
    last = _unit(turns[:, -1].astype(float))
    moved = (places - places[:, -1:]).astype(np.float32)
    return Motion(
        turned=np.ascontiguousarray(turned.transpose(0, 3, 2, 1)),
        turns=rotation_from_vector(vector_from_quaternion(last)),
        moved=moved.transpose(0, 2, 1)[..., None],
        places=places[:, -1],
        known=known,
    )


def unit_quaternions(steps: Quaternions) -> Floats:
    """Quaternions (..., 4) in steps as such of length 1."""
    return _unit(steps.astype(float))


def vector_from_quaternion(quaternion: Array) -> Array:
    """Rotation vectors (..., 3), angle in [0, pi], of quaternions (..., 4) about as long as 1."""
    vector, scalar = quaternion[..., :3], quaternion[..., 3]
    sine = np.sqrt(np.einsum("...i,...i", vector, vector))
    angle = 2 * np.arctan2(sine, np.abs(scalar))
    per_sine = np.where(sine > 1e-6, angle / np.maximum(sine, 1e-6), 2)
    return vector * np.copysign(per_sine, scalar)[..., None]


def _since_last(turns: Array) -> Array:
    """The turns (T, 24, N, 4) that lead from the last of turns (T, N, 24, 4) to each, camera axes."""
    from_last = (turns[:, -1] @ _AFTER_INVERSE.astype(turns.dtype)).reshape(len(turns), -1, 4, 4)
    return turns.swapaxes(1, 2) @ from_last


def _unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _products() -> Floats:
    """(9, 16): a rotation times it, and 1 on the diagonal, is 4 q q^T."""
    parts = np.zeros((3, 3, 4, 4))
    for i in range(3):
        parts[i, i] = np.diag([2.0 if i == j else 0.0 for j in range(3)] + [1.0])
        parts[i, i, :3, :3] -= np.eye(3)
        j, k = (i + 1) % 3, (i + 2) % 3
        parts[i, j, [i, j], [j, i]] = parts[j, i, [i, j], [j, i]] = 1
        parts[k, j, [i, 3], [3, i]] = 1
        parts[j, k, [i, 3], [3, i]] = -1
    return parts.reshape(9, 16)


def _after_inverse() -> Floats:
    """(4, 16): a quaternion p times it is the matrix that takes any q to the product of q and p inverse."""
    parts = np.zeros((4, 4, 4))
    parts[3] = np.eye(4)
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        parts[i, i, 3], parts[i, 3, i] = 1, -1
        parts[i, k, j], parts[i, j, k] = -1, 1
    return parts.reshape(4, 16)


_PRODUCTS: Final = _products()
_AFTER_INVERSE: Final = _after_inverse()
