"""Checkpoints as a training with Lightning leaves them, with weights of any shape in them."""

import sys
import types
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fixtures import rules
from workers.hmr2.architecture import Architecture
from workers.hmr2.network import Hmr2


def weights(architecture: Architecture, variant: str = "a") -> dict[str, torch.Tensor]:
    """A network's weights under their names in the checkpoint."""
    with torch.device("meta"):
        wanted = Hmr2(architecture).state_dict()
    return {
        name: torch.from_numpy(rules.weight(variant, name, empty.shape)) for name, empty in wanted.items()
    }


def beside() -> dict[str, torch.Tensor]:
    """What the published checkpoint holds beside the network."""
    return {
        "initialized": torch.tensor(True),
        "discriminator.D_conv1.weight": torch.zeros(32, 9, 1, 1),
        "smpl.v_template": torch.zeros(6890, 3),
        "smpl.parents": torch.zeros(24, dtype=torch.int64),
    }


def saved(
    path: Path, state_dict: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch, **fields: object
) -> Path:
    """Write what Lightning writes: the weights between the state of the training and its yacs settings."""
    config = _yacs(monkeypatch)
    optimized = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([optimized])
    content = {
        "epoch": 35,
        "global_step": 1_000_000,
        "pytorch-lightning_version": "1.8.1",
        "state_dict": OrderedDict(state_dict),
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5), "dirpath": Path("logs")}},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "hparams_name": "cfg",
        "hyper_parameters": {"cfg": config(MODEL=config(IMAGE_SIZE=256)), "init_renderer": False},
    }
    content["state_dict"]._metadata = OrderedDict(backbone={"version": 1})
    torch.save(content | fields, path)
    for name in ("yacs", "yacs.config"):
        monkeypatch.delitem(sys.modules, name)
    return path


def _yacs(monkeypatch: pytest.MonkeyPatch) -> type[dict]:
    """The settings class of yacs, for as long as it takes to pickle one."""
    yacs, module = types.ModuleType("yacs"), types.ModuleType("yacs.config")

    class CfgNode(dict):
        def __init__(self, **entries: object) -> None:
            super().__init__(entries)
            self.__dict__["__immutable__"] = True

    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    module.CfgNode = CfgNode
    monkeypatch.setitem(sys.modules, "yacs", yacs)
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    return CfgNode
