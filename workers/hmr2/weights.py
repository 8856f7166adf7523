"""From a checkpoint to a network that runs: its weights taken strictly, and never held twice.

`assemble` gives a network whose weights lie in the checkpoint's file; `settle` takes them, one after the
other, to where and how precise they should be. float32 on the CPU stays in the file: processes that
load the same one share its pages.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from workers.checkpoint import Checkpoint, CheckpointRefused, fitting
from workers.compute import Compute
from workers.hmr2 import eight_bits
from workers.hmr2.architecture import Architecture
from workers.hmr2.layers import Matrix
from workers.hmr2.network import Hmr2

Means = Mapping[str, npt.NDArray[np.floating]]

#: The modules whose matrices may be less precise than float32.
ROUNDED: Final = "backbone.blocks."

#: What a checkpoint holds beside the network: the opponent it was trained against, a flag, and a body
#: (ours comes from the file of the body).
EXTRAS: Final = ("discriminator.", "initialized", "smpl.")

#: The mean body: name in the checkpoint -> name in smpl_mean_params.npz.
MEANS: Final = {
    "smpl_head.init_body_pose": "pose",
    "smpl_head.init_betas": "shape",
    "smpl_head.init_cam": "cam",
}


def open_network(
    path: Path, architecture: Architecture, *, where: Compute, means: Means | None = None
) -> Hmr2:
    """The network of a checkpoint, ready to run there, most of its weights as precise as that says.

    means: the arrays of smpl_mean_params.npz. They count where the checkpoint has no mean body of its
    own. Raises `CheckpointRefused`, naming the file and the weight that is missing, unknown or of
    another shape.
    """
    checkpoint = Checkpoint(path)
    network = assemble(checkpoint, architecture, means=means)
    if where.precision == "int8":
        eight_bits.pack(network.backbone.blocks, after_each=checkpoint.forget)
    settle(network, device=where.device, dtype=where.dtype, after_each=checkpoint.forget)
    return network


def assemble(checkpoint: Checkpoint, architecture: Architecture, *, means: Means | None = None) -> Hmr2:
    """The network with the weights of a checkpoint, float32, which stay in its file."""
    with torch.device("meta"):
        network = Hmr2(architecture)
    wanted = network.state_dict()
    for name in sorted(checkpoint.tensors.keys() - wanted.keys()):
        if not name.startswith(EXTRAS):
            raise CheckpointRefused(f"{checkpoint.path}: {name} belongs to no part of HMR2")
    given = _mean_body(means or {}) | checkpoint.tensors
    weights = {name: fitting(name, given, empty.shape, checkpoint.path) for name, empty in wanted.items()}
    network.load_state_dict(weights, assign=True)
    return network.eval().requires_grad_(False)


def _mean_body(means: Means) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(np.array(means[key], np.float32)).reshape(1, -1)
        for name, key in MEANS.items()
        if key in means
    }


def settle(
    network: nn.Module,
    *,
    device: torch.device,
    dtype: torch.dtype,
    after_each: Callable[[], None] = lambda: None,
) -> None:
    """Take the weights to `device` one by one, the matrices of the backbone's blocks as `dtype`.

    All else stays float32: it is a fiftieth of the work, and rounding it costs more than rounding the
    blocks does (docs/performance.md). `after_each` is called when a module's weights have moved.
    """
    for name, module in network.named_modules():
        to = dtype if isinstance(module, Matrix) and name.startswith(ROUNDED) else torch.float32
        for entries in (module._parameters, module._buffers):
            for key, weight in entries.items():
                if weight is not None:
                    entries[key] = _moved(weight, device, to)
        after_each()


def _moved(weight: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    moved = weight.detach().to(device=device, dtype=dtype)
    return nn.Parameter(moved, requires_grad=False) if isinstance(weight, nn.Parameter) else moved
