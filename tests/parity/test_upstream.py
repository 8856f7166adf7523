"""Our modules and the originals, side by side on the same weights: 4D-Humans' `hmr2` and PHALP's `phalp`.

For machines that have them (requirements-upstream.txt). Elsewhere every test here is skipped, and the
report says that nothing was compared.
"""

import importlib
import importlib.util
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from body import official
from body.joint_sets import Hmr2Joints, read_regressor
from tests import smpl_files
from tests.fixtures import rules
from tests.parity import networks
from tests.parity.pictures import crop_points
from tests.parity.recordings import COPIES
from workers.hmr2 import crop, demo_crop
from workers.hmr2.architecture import CROP_PX, DROPPED_PX, Architecture
from workers.hmr2.camera import crop_translation, full_translation
from workers.hmr2.network import Hmr2, rotation_from_6d

#: What the originals warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

VARIANT = "upstream"

#: As for the recorded numbers.
NETWORK_TOLERANCE = 2e-4
BODY_TOLERANCE_M = 2e-6

#: Within the example and across its edges; the demo blurs the second, which is larger than 563 pixels.
BOXES = np.array([[60, 100, 300, 700], [-40, 500, 500, 1300], [200, 200, 330, 290]], np.float32)


def original(module: str) -> ModuleType:
    """A module of the originals. One that is there and cannot be imported is a failure, not a skip."""
    package = module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(
            f"NOTHING WAS COMPARED WITH UPSTREAM: `{package}` is not installed (requirements-upstream.txt)"
        )
    return importlib.import_module(module)


def configuration(architecture: Architecture, mean_params: Path) -> Any:
    """What 4D-Humans' modules read of its `model_config.yaml`."""
    head = architecture.head
    return original("yacs.config").CfgNode(
        {
            "MODEL": {
                "IMAGE_SIZE": CROP_PX,
                "IMAGE_MEAN": [0.485, 0.456, 0.406],
                "IMAGE_STD": [0.229, 0.224, 0.225],
                "BBOX_SHAPE": [192, 256],
                "BACKBONE": {"TYPE": "vit"},
                "SMPL_HEAD": {
                    "TYPE": "transformer_decoder",
                    "IN_CHANNELS": 2048,
                    "TRANSFORMER_DECODER": {
                        "dim": head.dim,
                        "depth": head.depth,
                        "heads": head.heads,
                        "dim_head": head.head_dim,
                        "mlp_dim": head.mlp_dim,
                        "dropout": 0.0,
                        "emb_dropout": 0.0,
                        "norm": "layer",
                        "context_dim": head.context_dim,
                    },
                },
            },
            "SMPL": {"NUM_BODY_JOINTS": 23, "MEAN_PARAMS": str(mean_params)},
        }
    )


@pytest.fixture(params=networks.ARCHITECTURES)
def kind(request: pytest.FixtureRequest) -> str:
    original("hmr2")
    return request.param


@pytest.fixture
def ours(kind: str) -> Hmr2:
    return networks.hmr2(kind, VARIANT)


@pytest.fixture
def crops(kind: str) -> torch.Tensor:
    return torch.from_numpy(rules.hmr2_image(VARIANT, kind))


def same_weights(theirs: torch.nn.Module, ours: torch.nn.Module) -> torch.nn.Module:
    """`theirs` with our weights: every name and shape must be the same."""
    theirs.load_state_dict(ours.state_dict(), strict=True)
    theirs.eval()  # returns None for their backbone
    return theirs


def assert_close(ours: torch.Tensor | np.ndarray, theirs: Any, tolerance: float = NETWORK_TOLERANCE) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=0, atol=tolerance)


def test_upstream_backbone_sees_the_same(kind: str, ours: Hmr2, crops: torch.Tensor) -> None:
    shape = networks.ARCHITECTURES[kind].backbone
    theirs = same_weights(
        original("hmr2.models.backbones.vit").ViT(
            img_size=(CROP_PX, CROP_PX - 2 * DROPPED_PX),
            patch_size=shape.patch_px,
            embed_dim=shape.dim,
            depth=shape.depth,
            num_heads=shape.heads,
            ratio=1,
            use_checkpoint=False,
            mlp_ratio=shape.mlp_dim // shape.dim,
            qkv_bias=True,
            drop_path_rate=0.55,
        ),
        ours.backbone,
    )
    narrow = crops[..., DROPPED_PX:-DROPPED_PX]

    with torch.inference_mode():
        assert_close(ours.backbone(narrow), theirs(narrow).flatten(2).transpose(1, 2))


def test_upstream_head_reads_the_same_body(kind: str, ours: Hmr2, tmp_path: Path) -> None:
    architecture = networks.ARCHITECTURES[kind]
    means = tmp_path / "smpl_mean_params.npz"
    np.savez(means, pose=np.zeros(144), shape=np.zeros(10), cam=np.zeros(3))
    module = original("hmr2.models.heads.smpl_head")
    theirs = same_weights(
        module.SMPLTransformerDecoderHead(configuration(architecture, means)), ours.smpl_head
    )
    shape = architecture.backbone
    features = torch.from_numpy(rules.normal(VARIANT, "features", (2, shape.tokens, shape.dim)))

    with torch.inference_mode():
        readout = ours.smpl_head(features)
        grid = features.transpose(1, 2).unflatten(2, (shape.rows, shape.columns))
        parameters, camera, *_ = theirs(grid)

    rotations = rotation_from_6d(readout.pose_6d.unflatten(-1, (24, 6)))
    assert_close(rotations[:, :1], parameters["global_orient"].reshape(2, 1, 3, 3))
    assert_close(rotations[:, 1:], parameters["body_pose"].reshape(2, 23, 3, 3))
    assert_close(readout.betas, parameters["betas"])
    assert_close(readout.camera, camera)


def test_upstream_rotations_are_the_same() -> None:
    six = torch.from_numpy(rules.normal(VARIANT, "six", (100, 6)))
    theirs = original("hmr2.utils.geometry").rot6d_to_rotmat(six)
    assert_close(rotation_from_6d(six), theirs, 1e-6)


def test_upstream_cameras_see_the_same() -> None:
    geometry = original("hmr2.utils.geometry")
    camera = np.float32([0.9, 0.02, -0.1]) + 0.05 * rules.normal(VARIANT, "camera", (8, 3))
    points = 0.5 * rules.normal(VARIANT, "points", (8, 44, 3))

    theirs = geometry.perspective_projection(
        torch.from_numpy(points),
        translation=torch.from_numpy(crop_translation(camera).astype(np.float32)),
        focal_length=torch.full((8, 2), 5000 / CROP_PX),
    )

    np.testing.assert_allclose(crop_points(points, camera), theirs, rtol=0, atol=1e-5)


def test_upstream_cameras_are_the_same_in_the_whole_picture() -> None:
    renderer = original("hmr2.utils.renderer")
    camera = np.float32([0.9, 0.02, -0.1]) + 0.05 * rules.normal(VARIANT, "camera", (8, 3))
    center = 300 + 100 * rules.normal(VARIANT, "center", (8, 2))
    side = 200 + 20 * np.abs(rules.normal(VARIANT, "side", (8,)))
    size = np.tile(np.float32([1920, 1080]), (8, 1))
    focal_px = 5000 / CROP_PX * 1920

    theirs = renderer.cam_crop_to_full(*map(torch.from_numpy, (camera, center, side, size)), focal_px)

    ours = full_translation(camera, center=center, side=side, size=size, focal_px=focal_px)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("update_hips", [False, True])
def test_upstream_body_has_the_same_surface_and_joints(tmp_path: Path, update_hips: bool) -> None:
    wrapper = original("hmr2.models.smpl_wrapper")
    # Theirs unpickles, and so it gets plain arrays; ours gets the file as its publisher has it.
    (tmp_path / "theirs.pkl").write_bytes(pickle.dumps(rules.smpl(VARIANT)))
    (tmp_path / "j19.pkl").write_bytes(pickle.dumps(rules.j19(VARIANT)))
    theirs = wrapper.SMPL(
        model_path=str(tmp_path / "theirs.pkl"),
        gender="neutral",
        num_body_joints=23,
        joint_regressor_extra=str(tmp_path / "j19.pkl"),
        update_hips=update_hips,
    )
    body = official.open_body(smpl_files.write(tmp_path / "SMPL_NEUTRAL.pkl", smpl_files.smpl_model(VARIANT)))
    joints = Hmr2Joints(
        body,
        read_regressor(smpl_files.write(tmp_path / "SMPL_to_J19.pkl", rules.j19(VARIANT))),
        update_hips=update_hips,
    )
    six = torch.from_numpy(rules.normal(VARIANT, "pose", (4, 24, 6)))
    rotations = rotation_from_6d(six)
    betas = rules.normal(VARIANT, "betas", (4, 10))

    said = theirs(
        global_orient=rotations[:, :1],
        body_pose=rotations[:, 1:],
        betas=torch.from_numpy(betas),
        pose2rot=False,
    )

    mesh = body.mesh(rotations.numpy(), betas)
    assert_close(mesh.vertices, said.vertices, BODY_TOLERANCE_M)
    assert_close(joints(mesh), said.joints, BODY_TOLERANCE_M)


@pytest.fixture
def picture() -> np.ndarray:
    """The example, BGR, as the originals read it."""
    return cv2.imread(str(COPIES / "skates.png"))


def test_upstream_demo_makes_the_same_crops(picture: np.ndarray, tmp_path: Path) -> None:
    module = original("hmr2.datasets.vitdet_dataset")
    theirs = module.ViTDetDataset(configuration(networks.TINY, tmp_path), picture, BOXES)

    squares = demo_crop.demo_squares(BOXES)
    ours = demo_crop.demo_crops(np.ascontiguousarray(picture[..., ::-1]), squares)

    assert len(theirs) == len(BOXES)
    for number in range(len(BOXES)):
        item = theirs[number]
        np.testing.assert_array_equal(squares.center[number], item["box_center"])
        assert squares.side[number] == item["box_size"]
        np.testing.assert_array_equal(ours[number], item["img"])


def test_upstream_tracker_makes_the_same_crops(picture: np.ndarray) -> None:
    module = original("phalp.utils.utils_dataset")
    squares = crop.tracking_squares(BOXES)

    pixels = crop.tracking_crops(np.ascontiguousarray(picture[..., ::-1]), squares)

    for ours, center, side in zip(crop.normalised(pixels), squares.center, squares.side, strict=True):
        theirs = module.process_image(picture, center, side)
        assert_close(ours, theirs, 1e-6)
