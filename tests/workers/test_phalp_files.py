"""PHALP's official files become networks, or are refused with a word about what is wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.fixtures import rules
from tests.parity import phalp_networks
from tests.phalp_files import encoder_weights, transformer_weights, write_networks
from workers.checkpoint import CheckpointRefused
from workers.phalp.learned.networks.files import open_encoder, open_networks, open_transformer
from workers.phalp.learned.unfold import Atlas, AtlasRefused

#: Float32 networks agree with recorded features to this.
FEATURE_TOLERANCE = 2e-4


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    write_networks(tmp_path)
    return {
        "encoder": tmp_path / "hmar_v2_weights.pth",
        "transformer": tmp_path / "pose_predictor.pth",
        "config": tmp_path / "pose_predictor.yaml",
        "mean_std": tmp_path / "mean_std.npy",
    }


def opened(files: dict[str, Path]) -> None:
    open_networks(**files, device=torch.device("cpu"))


def test_the_networks_of_the_files_are_those_that_were_saved(files: dict[str, Path]) -> None:
    maps = torch.from_numpy(rules.app_uv("a", 0)[None])
    opened_one, saved_one = open_encoder(files["encoder"]), phalp_networks.appearance_encoder("a")
    for (name, weight), saved in zip(opened_one.state_dict().items(), saved_one.parameters(), strict=True):
        assert torch.equal(weight, saved), name
    # Not to the bit: how the weights lie in memory decides by which kernel they are multiplied.
    torch.testing.assert_close(opened_one(maps), saved_one(maps), rtol=0, atol=FEATURE_TOLERANCE)
    poses = torch.from_numpy(rules.normal("a", "poses", (2, 7, 229)))
    times, ahead = torch.arange(7).expand(2, -1), torch.tensor([1, 5])
    found = open_transformer(files["transformer"], config=files["config"], mean_std=files["mean_std"])
    ours = found(poses, times, ahead)
    torch.testing.assert_close(ours, phalp_networks.pose_transformer("a")(poses, times, ahead))


@pytest.mark.parametrize("name", ["pose_shape_encoder.0.weight", "mask_token", "conv_de.bias"])
def test_a_weight_that_is_missing_is_named(files: dict[str, Path], name: str) -> None:
    weights = transformer_weights()
    del weights[f"encoder.{name}"]
    torch.save({"state_dict": weights}, files["transformer"])
    with pytest.raises(CheckpointRefused, match=rf"{name} is missing"):
        opened(files)


def test_a_network_that_is_deeper_than_its_configuration_says_is_refused(files: dict[str, Path]) -> None:
    weights = transformer_weights() | {"encoder.transformer1.layers.2.0.norm.weight": torch.ones(64)}
    torch.save({"state_dict": weights}, files["transformer"])
    with pytest.raises(CheckpointRefused, match=r"layers\.2.*another shape"):
        opened(files)


def test_an_encoder_that_lacks_a_weight_is_refused(files: dict[str, Path]) -> None:
    weights = encoder_weights()
    del weights["hmar.encoding_head.conv3.bias"]
    torch.save({"model": weights}, files["encoder"])
    with pytest.raises(CheckpointRefused, match=r"0 weights are called encoding_head\.conv3\.bias"):
        opened(files)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mask_type_test": "random"}, "only 'zero' is known"),
        ({"num_smpl_heads": 2}, "2 heads"),
        ({"in_feat": 128}, "not 229 128"),
        (
            {"extra_feat": {"enable": "joints_3D", "pose_shape": {"dim": 229, "mid_dim": 229, "en_dim": 64}}},
            "also wants joints_3D",
        ),
        ({"transformer": {}}, "does not describe"),
    ],
)
def test_a_configuration_of_another_network_is_refused(
    files: dict[str, Path], change: dict[str, object], complaint: str
) -> None:
    files["config"].write_text(yaml.safe_dump({"configs": rules.POSE_PREDICTOR_CFG | change}))
    with pytest.raises(CheckpointRefused, match=complaint):
        opened(files)


def test_a_configuration_that_names_objects_makes_none(files: dict[str, Path]) -> None:
    files["config"].write_text("configs: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(CheckpointRefused, match="does not describe"):
        opened(files)


@pytest.mark.parametrize("name", ["encoder", "transformer", "config", "mean_std"])
def test_a_file_that_is_not_there_is_named(files: dict[str, Path], name: str) -> None:
    files[name].unlink()
    with pytest.raises(CheckpointRefused, match=files[name].name):
        opened(files)


@pytest.fixture
def atlas_files(tmp_path: Path) -> dict[str, Path]:
    shares, face_of = rules.uv_atlas()
    np.save(tmp_path / "bmap_256.npy", shares)
    np.save(tmp_path / "fmap_256.npy", face_of)
    np.savez(tmp_path / "texture.npz", smpl_faces=rules.faces(), vt=np.zeros((7576, 2)))
    return {
        "shares": tmp_path / "bmap_256.npy",
        "faces": tmp_path / "fmap_256.npy",
        "texture": tmp_path / "texture.npz",
    }


def test_an_atlas_is_read_from_its_files(atlas_files: dict[str, Path]) -> None:
    Atlas.open(**atlas_files)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("shares", np.zeros((256, 256))),
        ("faces", np.full((256, 256), 13776)),
        ("faces", np.array([{}])),
    ],
)
def test_an_atlas_of_something_else_is_refused(
    atlas_files: dict[str, Path], name: str, values: np.ndarray
) -> None:
    np.save(atlas_files[name], values)
    with pytest.raises(AtlasRefused, match=atlas_files[name].name):
        Atlas.open(**atlas_files)
    atlas_files[name].unlink()
    with pytest.raises(AtlasRefused, match=atlas_files[name].name):
        Atlas.open(**atlas_files)
