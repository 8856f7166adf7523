"""Bodies to the last bit as the original poses them, from what was recorded of them.

Whether a texel is seen hangs on last bits, and those on the order of sums: smplx's, in torch, all people
of a frame together (the service's own bodies are posed in another order, in numpy). The sums are the
processor's library's in the end, so another processor may round otherwise: `rounds_alike` tells.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from tests.fixtures import rules
from tests.parity.recordings import COPIES


class _Smpl(NamedTuple):
    template: torch.Tensor  # (V, 3)
    shapes: torch.Tensor  # (V, 3, 10)
    bends: torch.Tensor  # (207, V * 3)
    regressor: torch.Tensor  # (24, V)
    weights: torch.Tensor  # (V, 24)


@cache
def rounds_alike() -> bool:
    """Whether this processor poses the two bodies of our copy of `hmr2_tiny` as they were recorded."""
    with np.load(COPIES / "hmr2_tiny_a.npz", allow_pickle=False) as recorded:
        rotations = np.concatenate([recorded["pred_global_orient"], recorded["pred_body_pose"]], axis=1)
        ours = _posed(_smpl("a"), torch.from_numpy(rotations), torch.from_numpy(recorded["pred_betas"]))
        return np.array_equal(ours.numpy(), recorded["pred_vertices"])


def vertices(variant: str, rotations: np.ndarray, betas: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Bodies (B, V, 3) in their crops' cameras, metres, of those whom the network saw together in a frame.

    rotations (B, 24, 3, 3), betas (B, 10), camera (B, 3): s, tx, ty.
    """
    # Contiguous, as the network gives them: the order of a product's sums depends on it.
    arrays = (torch.from_numpy(np.ascontiguousarray(each)) for each in (rotations, betas))
    bodies = _posed(_smpl(variant), *arrays).numpy()
    s, tx, ty = camera.T
    depth = np.float32(2 * 5000) / (np.float32(256) * s + np.float32(1e-9))
    return bodies + np.stack([tx, ty, depth], axis=-1)[:, None]


@contextmanager
def _two_threads() -> Iterator[None]:
    """Two threads share a product by its rows, as in the recording; one alone sums in another order."""
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


@_two_threads()
def _posed(smpl: _Smpl, rotations: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
    """Skinning, sum by sum in the order of smplx."""
    shaped = smpl.template + torch.einsum("bl,mkl->bmk", betas, smpl.shapes)
    joints = torch.einsum("bik,ji->bjk", shaped, smpl.regressor)[..., None]  # (B, 24, 3, 1)
    bends = (rotations[:, 1:] - torch.eye(3)).flatten(1)
    bent = (bends @ smpl.bends).unflatten(1, (-1, 3)) + shaped
    offsets = joints.clone()
    offsets[:, 1:] -= joints[:, rules.SMPL_PARENTS[1:]]
    own = torch.cat(
        [functional.pad(rotations, (0, 0, 0, 1)), functional.pad(offsets, (0, 0, 0, 1), value=1)], dim=-1
    )
    world = [own[:, 0]]
    for joint in range(1, len(rules.SMPL_PARENTS)):
        world.append(world[rules.SMPL_PARENTS[joint]] @ own[:, joint])
    moves = torch.stack(world, dim=1)  # (B, 24, 4, 4)
    moves = moves - functional.pad(moves @ functional.pad(joints, (0, 0, 0, 1)), (3, 0))
    blended = (smpl.weights.expand(len(betas), -1, -1) @ moves.flatten(2)).unflatten(2, (4, 4))
    return (blended @ functional.pad(bent, (0, 1), value=1)[..., None])[:, :, :3, 0]


@cache
def _smpl(variant: str) -> _Smpl:
    model = rules.smpl(variant)
    arrays = (
        model["v_template"],
        model["shapedirs"],
        model["posedirs"].reshape(-1, 207).T,
        model["J_regressor"],
        model["weights"],
    )
    # The transposed one stays so in memory, which counts too.
    return _Smpl(*(torch.tensor(array, dtype=torch.float32) for array in arrays))
