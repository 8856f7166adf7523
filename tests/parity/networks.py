"""Networks with the weights that the rules give them, and the shapes of those that were recorded."""

from typing import Final

import torch

from tests.fixtures import rules
from workers.hmr2.architecture import RELEASE, Architecture, BackboneShape, HeadShape
from workers.hmr2.network import Hmr2

_VIT, _HEAD = rules.HMR2_TINY["vit"], rules.HMR2_TINY["head"]

TINY: Final = Architecture(
    backbone=BackboneShape(
        dim=_VIT["embed_dim"],
        depth=_VIT["depth"],
        heads=_VIT["heads"],
        mlp_dim=_VIT["embed_dim"] * _VIT["mlp_ratio"],
    ),
    head=HeadShape(
        dim=_HEAD["dim"],
        depth=_HEAD["depth"],
        heads=_HEAD["heads"],
        head_dim=_HEAD["dim_head"],
        mlp_dim=_HEAD["mlp_dim"],
        context_dim=_HEAD["context_dim"],
    ),
)
ARCHITECTURES: Final = {"tiny": TINY, "full": RELEASE}


def hmr2(kind: str, variant: str) -> Hmr2:
    """The network of `hmr2_tiny` or `hmr2_full`, its weights made one at a time."""
    with torch.device("meta"):
        network = Hmr2(ARCHITECTURES[kind])
    for key, empty in network.state_dict().items():
        weight = torch.from_numpy(rules.weight(variant, key, empty.shape))
        network.load_state_dict({key: weight}, strict=False, assign=True)
    return network.eval().requires_grad_(False)
