"""A directory of model files for HMR2 and PHALP with the official structure and generated weights.

`python -m tests.service.generated_models DIRECTORY`, in a process of its own, so that the memory it takes
is given back. What such networks say of a person is nonsense, but it is finite, and HMR2 takes as long as
the official one. The blocks of its backbone share numbers, which the file has once: 2.7 GB would take as
long to make and to write as all that is asked of the service. With weights of its own throughout the
network runs in `tests/parity/test_hmr2.py`. PHALP's transformer is a small one, as its configuration says.
"""

import re
import shutil
import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch

from tests import phalp_files, smpl_files
from tests.fixtures import rules
from workers import assets
from workers.hmr2.architecture import RELEASE, Architecture
from workers.hmr2.network import Hmr2

VARIANT = "a"

#: How far apart the weights of two blocks begin in what they share: no row falls on a row.
_APART = 1019

_BLOCK = re.compile(r"(?<=backbone\.blocks\.)\d+")


def write(directory: Path, *, blazepose_from: Path) -> None:
    """All that `POSE_OBSERVER=hmr2 POSE_DETECTOR=blazepose POSE_TRACKER=phalp` needs, in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    write_checkpoint(directory / "hmr2.ckpt", RELEASE)
    body = smpl_files.open_body_model(origin_m=(0.0, 0.0, 0.0))
    smpl_files.write(directory / "SMPL_NEUTRAL.pkl", body)
    phalp_files.write(directory, faces=body["f"])
    np.savez(directory / "smpl_mean_params.npz", **rules.mean_params(VARIANT))
    for asset in assets.in_groups(["blazepose"]):
        shutil.copy(assets.path(asset.name, blazepose_from), directory)


def write_checkpoint(path: Path, architecture: Architecture) -> None:
    """The network's weights by the rules, under the published names, as a training leaves them."""
    with torch.device("meta"):
        wanted = Hmr2(architecture).state_dict()
    torch.save(
        {"epoch": 35, "state_dict": {name: _weight(name, empty.shape) for name, empty in wanted.items()}},
        path,
    )


def _weight(name: str, shape: torch.Size) -> torch.Tensor:
    """The weight by the rules; in a block, a stretch of the first block's numbers that begins elsewhere."""
    block = _BLOCK.search(name)
    numbers = _numbers(_BLOCK.sub("0", name), shape, spare=RELEASE.backbone.depth * _APART if block else 0)
    return numbers[int(block[0]) * _APART if block else 0 :][: shape.numel()].view(shape)


@cache
def _numbers(name: str, shape: torch.Size, *, spare: int) -> torch.Tensor:
    """Those of the weight, with some of the same once more at the end."""
    numbers = rules.weight(VARIANT, name, shape).ravel()
    return torch.from_numpy(np.concatenate([numbers, np.resize(numbers, spare)]))


if __name__ == "__main__":
    from wire.settings import Settings

    write(Path(sys.argv[1]), blazepose_from=assets.directory(Settings()))
