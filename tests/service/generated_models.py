"""A directory of model files for HMR2 and PHALP with the official structure and generated weights.

`python -m tests.service.generated_models DIRECTORY`: 2.7 GB, in a process of its own, so that the memory
it takes is given back. What such networks say of a person is nonsense, but it is finite, and HMR2 takes
as long as the official one. PHALP's transformer is a small one, as its configuration says.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch

from tests import phalp_files, smpl_files
from tests.fixtures import rules
from workers import assets
from workers.hmr2.architecture import RELEASE, Architecture
from workers.hmr2.network import Hmr2

VARIANT = "a"


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
    weights = {
        name: torch.from_numpy(rules.weight(VARIANT, name, empty.shape)) for name, empty in wanted.items()
    }
    torch.save({"epoch": 35, "state_dict": weights}, path)


if __name__ == "__main__":
    from wire.settings import Settings

    write(Path(sys.argv[1]), blazepose_from=assets.directory(Settings()))
