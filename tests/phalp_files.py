"""PHALP's files with the official structure, a small transformer, and the weights that the rules give."""

from pathlib import Path

import numpy as np
import torch
import yaml

from tests.fixtures import rules
from tests.parity import phalp_networks

#: What the regressor's corrections are multiplied by, to keep unlearned poses near the mean body.
DAMPING = 0.1


def encoder_weights() -> dict[str, torch.Tensor]:
    """As hmar_v2_weights.pth has them, among others."""
    given = phalp_networks.appearance_encoder("a").state_dict()
    ours = {f"hmar.encoding_head.{name}": weight for name, weight in given.items()}
    return ours | {"hmar.backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}


def transformer_weights(*, damping: float = 1.0) -> dict[str, torch.Tensor]:
    """As pose_predictor.pth has them, with what it holds and nobody uses."""
    given = phalp_networks.pose_transformer("a", damping=damping).state_dict()
    ours = {f"encoder.{name}": weight for name, weight in given.items()}
    return ours | {"encoder.class_token": torch.zeros(1, 1, 64), "encoder.pe": torch.zeros(100, 64)}


def write_networks(directory: Path, *, damping: float = 1.0) -> None:
    """The encoder, the transformer, and what says how to read it."""
    torch.save({"model": encoder_weights(), "epoch": 3}, directory / "hmar_v2_weights.pth")
    torch.save({"state_dict": transformer_weights(damping=damping)}, directory / "pose_predictor.pth")
    (directory / "pose_predictor.yaml").write_text(yaml.safe_dump({"configs": rules.POSE_PREDICTOR_CFG}))
    np.save(directory / "mean_std.npy", np.stack(rules.mean_std("a")))


def write(directory: Path, *, faces: np.ndarray) -> None:
    """All that is fetched; the atlas is one of a body with these `faces`."""
    write_networks(directory, damping=DAMPING)
    shares, face_of = rules.uv_atlas()
    np.save(directory / "bmap_256.npy", shares)
    np.save(directory / "fmap_256.npy", face_of)
    np.savez(directory / "texture.npz", smpl_faces=faces)
    np.save(directory / "head_faces.npy", np.arange(100))
