"""PHALP's networks, with the shapes and the weights that the rules give them."""

from functools import cache
from typing import Final

import numpy as np
import torch
from torch import nn

from tests.fixtures import rules
from workers.phalp.learned.networks.device import Networks
from workers.phalp.learned.networks.encoder import AppearanceEncoder
from workers.phalp.learned.networks.pose_transformer import PoseTransformer, TransformerShape
from workers.phalp.learned.pose import POSE_NUMBERS

_CONFIG, _LAYERS = rules.POSE_PREDICTOR_CFG, rules.POSE_PREDICTOR_CFG["transformer"]

SHAPE: Final = TransformerShape(
    frame_length=_CONFIG["frame_length"],
    dim=_CONFIG["in_feat"],
    pose_dim=_CONFIG["extra_feat"]["pose_shape"]["mid_dim"],
    depth=_LAYERS["depth"],
    heads=_LAYERS["heads"],
    head_dim=_LAYERS["dim_head"],
    mlp_dim=_LAYERS["mlp_dim"],
    stride=_LAYERS["conv"]["stride"],
    padding=_LAYERS["conv"]["pad"],
)


@cache
def appearance_encoder(variant: str) -> AppearanceEncoder:
    encoder = AppearanceEncoder()
    _fill(encoder, variant, "encoding_head.")
    return encoder


@cache
def pose_transformer(variant: str, *, damping: float = 1.0) -> PoseTransformer:
    """`damping`: what the regressor's corrections of pose and shape are multiplied by."""
    transformer = PoseTransformer(SHAPE)
    _fill(transformer, variant, "encoder.")
    mean, deviation = rules.mean_std(variant)
    transformer.mean[:] = torch.from_numpy(_padded(mean, 0))
    transformer.deviation[:] = torch.from_numpy(_padded(deviation, 1))
    for layer in (transformer.smpl_head[0].decpose, transformer.smpl_head[0].decshape):
        layer.weight *= damping
        layer.bias *= damping
    return transformer


def both(variant: str, *, damping: float = 1.0, one_pass: bool | None = None) -> Networks:
    """As a tracker has them."""
    return Networks(
        encoder=appearance_encoder(variant),
        transformer=pose_transformer(variant, damping=damping),
        device=torch.device("cpu"),
        one_pass=one_pass,
    )


def _fill(network: nn.Module, variant: str, prefix: str) -> None:
    weights = {
        name: torch.from_numpy(rules.weight(variant, prefix + name, empty.shape))
        for name, empty in network.state_dict().items()
    }
    network.load_state_dict(weights)
    network.eval().requires_grad_(False)


def _padded(numbers: np.ndarray, filling: float) -> np.ndarray:
    return np.pad(numbers.ravel(), (0, POSE_NUMBERS - numbers.size), constant_values=filling)
