"""HMR2 as a whole: normalised crops in; rotations, shape and the crop's camera out.

Which body those numbers pose is not known here, nor where the crop lay in its picture.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from workers.hmr2.architecture import DROPPED_PX, JOINTS, Architecture
from workers.hmr2.backbone import Backbone
from workers.hmr2.head import SmplHead


class Estimate(NamedTuple):
    """The bodies of B crops, float32."""

    rotations: torch.Tensor  # (B, 24, 3, 3): global_orient first, each relative to its parent
    betas: torch.Tensor  # (B, 10)
    camera: torch.Tensor  # (B, 3): s, tx, ty of the crop's weak-perspective camera


class Hmr2(nn.Module):
    """The network, for inference. Its modules carry the names of the published checkpoint."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.backbone = Backbone(architecture.backbone)
        self.smpl_head = SmplHead(architecture.head)

    def forward(self, crops: torch.Tensor) -> Estimate:
        """The body in each of the crops (B, 3, 256, 256), RGB less its mean over its deviation, float32."""
        features = self.backbone(crops[..., DROPPED_PX:-DROPPED_PX])
        readout = self.smpl_head(features)
        return Estimate(
            rotation_from_6d(readout.pose_6d.unflatten(-1, (JOINTS, 6))), readout.betas, readout.camera
        )


def rotation_from_6d(numbers: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of six numbers each (..., 6).

    The first three are the first column and the others the second, before they are made orthonormal
    (Zhou et al., On the Continuity of Rotation Representations in Neural Networks, 2019, section B); the
    third column is their cross product.
    """
    first, second = numbers.unflatten(-1, (2, 3)).unbind(-2)
    x = functional.normalize(first, dim=-1)
    y = functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)
