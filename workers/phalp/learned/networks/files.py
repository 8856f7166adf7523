"""PHALP's official files made into networks: strictly by name and shape, nothing in them run.

`hmar_v2_weights.pth` holds more than the encoder, under names whose beginning is not known: the encoder's
are found by their end. `pose_predictor.pth` needs its configuration beside it, for shapes alone do not
tell how attention is split into heads.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import nn

from workers.checkpoint import Checkpoint, CheckpointRefused, fitting
from workers.phalp.learned.networks.device import Networks
from workers.phalp.learned.networks.encoder import AppearanceEncoder
from workers.phalp.learned.networks.pose_transformer import PoseTransformer, TransformerShape
from workers.phalp.learned.pose import POSE_NUMBERS

Network = TypeVar("Network", bound=nn.Module)

#: Where the transformer's weights are in its checkpoint.
_TRANSFORMER: Final = "encoder."

#: Where the encoder's weights are, behind what differs.
_ENCODER: Final = "encoding_head."

#: The extra inputs that the network is built for: pose and shape, which it always has.
_BUILT_FOR: Final = frozenset({"", "pose_shape"})


def open_networks(
    *, encoder: Path, transformer: Path, config: Path, mean_std: Path, device: torch.device
) -> Networks:
    """PHALP's networks on `device`, from its official files. Raises `CheckpointRefused`, naming the file."""
    return Networks(
        encoder=open_encoder(encoder),
        transformer=open_transformer(transformer, config=config, mean_std=mean_std),
        device=device,
    )


def open_encoder(path: Path) -> AppearanceEncoder:
    """The encoder in `hmar_v2_weights.pth`. Raises `CheckpointRefused`."""
    checkpoint = Checkpoint(path, entry="model")
    encoder = AppearanceEncoder()
    found = {}
    for name in encoder.state_dict():
        end = _ENCODER + name
        names = [given for given in checkpoint.tensors if given == end or given.endswith(f".{end}")]
        if len(names) != 1:
            raise CheckpointRefused(f"{path}: {len(names)} weights are called {end}, and one should be")
        found[name] = checkpoint.tensors[names[0]]
    return _filled(encoder, found, path)


def open_transformer(path: Path, *, config: Path, mean_std: Path) -> PoseTransformer:
    """The network in `pose_predictor.pth`, as its configuration says. Raises `CheckpointRefused`."""
    transformer = PoseTransformer(read_config(config))
    given = {
        name.removeprefix(_TRANSFORMER): weight
        for name, weight in Checkpoint(path).tensors.items()
        if name.startswith(_TRANSFORMER)
    }
    parts = tuple(f"{name}." for name, _ in transformer.named_children())
    wanted = transformer.state_dict().keys()
    for name in sorted(given.keys() - wanted):
        if name.startswith(parts):
            raise CheckpointRefused(
                f"{path}: {name} belongs to a network of another shape than {config} says"
            )
    transformer.mean[:], transformer.deviation[:] = _mean_and_deviation(mean_std)
    return _filled(transformer, given, path)


def read_config(path: Path) -> TransformerShape:
    """What `pose_predictor.yaml` says of the network's shape. Raises `CheckpointRefused`."""
    try:
        with path.open("rb") as file:
            said = yaml.safe_load(file)["configs"]
        layers, pose_shape = said["transformer"], said["extra_feat"]["pose_shape"]
        shape = TransformerShape(
            frame_length=int(said["frame_length"]),
            dim=int(said["in_feat"]),
            pose_dim=int(pose_shape["mid_dim"]),
            depth=int(layers["depth"]),
            heads=int(layers["heads"]),
            head_dim=int(layers["dim_head"]),
            mlp_dim=int(layers["mlp_dim"]),
            stride=int(layers["conv"]["stride"]),
            padding=int(layers["conv"]["pad"]),
        )
        refusal = _refusal(said, shape)
    except OSError as error:
        raise CheckpointRefused(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise CheckpointRefused(f"{path} does not describe the network: {error!r}") from error
    if refusal:
        raise CheckpointRefused(f"{path}: {refusal}")
    return shape


def _refusal(said: Mapping[str, Any], shape: TransformerShape) -> str | None:
    """Why the network that is described is not the one that is built here, if it is not."""
    numbers, width = (said["extra_feat"]["pose_shape"][name] for name in ("dim", "en_dim"))
    extras = str(said["extra_feat"].get("enable") or "")
    if said["mask_type_test"] != "zero":
        return f"the mask is {said['mask_type_test']!r}, and only 'zero' is known"
    if said["num_smpl_heads"] != 1:
        return f"there are {said['num_smpl_heads']} heads, and one is known"
    if (numbers, width) != (POSE_NUMBERS, shape.dim):
        return f"poses of {numbers} numbers become {width}, not {POSE_NUMBERS} {shape.dim}"
    if unknown := {name.strip() for name in extras.split(",")} - _BUILT_FOR:
        return f"it also wants {', '.join(sorted(unknown))}"
    return None


def _mean_and_deviation(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation (229,) of `mean_std.npy`; numbers that it does not know are left as they are."""
    try:
        known: npt.NDArray[np.floating] = np.load(path, allow_pickle=False)
        mean, deviation = known.reshape(2, -1)
        missing = (0, POSE_NUMBERS - len(mean))
        found = np.pad(mean, missing), np.pad(deviation, missing, constant_values=1)
    except OSError as error:
        raise CheckpointRefused(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise CheckpointRefused(f"{path} does not hold a mean and a deviation: {error}") from error
    if not np.isfinite(found).all():
        raise CheckpointRefused(f"{path} has values that are no numbers")
    return torch.from_numpy(found[0]).float(), torch.from_numpy(found[1]).float()


def _filled(network: Network, weights: Mapping[str, torch.Tensor], path: Path) -> Network:
    wanted = network.state_dict()
    network.load_state_dict(
        {name: fitting(name, weights, empty.shape, path) for name, empty in wanted.items()}
    )
    return network.eval().requires_grad_(False)
