"""HMR2 gives the numbers that 4D-Humans gave with the same weights on the same crops."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from body.joint_sets import Hmr2Joints
from tests import smpl_files
from tests.fixtures import rules
from tests.parity import networks
from tests.parity.pictures import crop_points
from tests.parity.recordings import Recording, recordings
from workers import compute
from workers.compute import DeviceUnavailable
from workers.hmr2.camera import crop_translation
from workers.hmr2.network import Estimate, Hmr2

#: Largest difference of a rotation's entry, a feature or a coefficient. Between float64 and float32 the
#: original itself differs by 6e-6.
TOLERANCE = 2e-4

#: Metres: what `TOLERANCE` leaves of a vertex's place.
TOLERANCE_M = 1e-4


@dataclass(frozen=True)
class Run:
    """A network's answer to the recorded crops, and what its parts answered on the way."""

    recording: Recording
    estimate: Estimate
    inside: dict[str, torch.Tensor]  # module name -> its output

    def __getitem__(self, module: str) -> np.ndarray:
        return self.inside[module].cpu().numpy()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((kind, recording), id=recording.file.stem)
        for kind in networks.ARCHITECTURES
        for recording in recordings(f"hmr2_{kind}")
    ],
)
def run(request: pytest.FixtureRequest) -> Run:
    kind, recording = request.param
    network = networks.hmr2(kind, recording.variant)
    inside: dict[str, torch.Tensor] = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda _, __, output, name=name: inside.update({name: output}))
    device = wanted_device()
    with torch.inference_mode():
        crops = torch.from_numpy(rules.hmr2_image(recording.variant, kind))
        estimate = network.to(device)(crops.to(device))
    return Run(recording, Estimate(*(part.cpu() for part in estimate)), inside)


def wanted_device() -> torch.device:
    """The device that `POSE_DEVICE` names, else the CPU; where it is not here, nothing is compared."""
    try:
        where = compute.decide(os.environ.get("POSE_DEVICE", "cpu"), "float32")
    except DeviceUnavailable as error:
        pytest.skip(f"NOTHING WAS COMPARED: {error}")
    compute.settle(where, threads=torch.get_num_threads())
    return where.device


def blocks(run: Run) -> Iterator[np.ndarray]:
    for number in range(len(run.recording["block_std"])):
        yield run[f"backbone.blocks.{number}"]


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def assert_same_checks(ours: np.ndarray, checks: np.ndarray) -> None:
    """The sums over an array agree as far as `TOLERANCE` for each of its entries allows.

    Errors of entries are independent, so those of a sum grow with the root of how many there are.
    """
    noise = TOLERANCE * np.sqrt(ours.size) * np.array([1, 2 * np.sqrt(checks[1] / ours.size), 1])
    assert (np.abs(rules.checks(ours) - checks) <= noise).all()


def test_hmr2_cuts_the_crop_into_the_recorded_patches(run: Run) -> None:
    patches = run["backbone.patch_embed"]
    assert_close(patches[0, :4, :8], run.recording["patch_tokens_first"])
    assert_same_checks(patches, run.recording["patch_tokens_checks"])


def test_hmr2_has_the_recorded_tokens_after_every_block(run: Run) -> None:
    for tokens, checks, deviation in zip(
        blocks(run), run.recording["block_checks"], run.recording["block_std"], strict=True
    ):
        assert_same_checks(tokens, checks)
        assert tokens.std(ddof=1) == pytest.approx(deviation, rel=1e-4)


def test_hmr2_sees_the_recorded_features(run: Run) -> None:
    features = run["backbone"].transpose(0, 2, 1).reshape(run.recording["feat_shape"])
    assert_same_checks(features, run.recording["feat_checks"])
    if "feat" in run.recording:
        assert_close(features, run.recording["feat"])
    else:
        assert_close(features.ravel()[::613], run.recording["feat_every613"])


def test_hmr2_decodes_the_recorded_token(run: Run) -> None:
    assert_close(run["smpl_head.transformer"], run.recording["token_out"])
    assert_close(run["smpl_head.decpose"], run.recording["decpose_out"])


def test_hmr2_estimates_the_recorded_body(run: Run) -> None:
    theirs = np.concatenate([run.recording["pred_global_orient"], run.recording["pred_body_pose"]], axis=1)
    assert_close(run.estimate.rotations.numpy(), theirs)
    assert_close(run.estimate.betas.numpy(), run.recording["pred_betas"])


def test_hmr2_estimates_the_recorded_camera(run: Run) -> None:
    camera = run.estimate.camera.numpy()
    assert_close(camera, run.recording["pred_cam"])
    np.testing.assert_allclose(crop_translation(camera), run.recording["pred_cam_t"], rtol=1e-5, atol=1e-5)


def test_hmr2_poses_the_recorded_body(run: Run) -> None:
    variant = run.recording.variant
    body = smpl_files.smpl_body(variant)
    mesh = body.mesh(run.estimate.rotations.numpy(), run.estimate.betas.numpy())
    joints = Hmr2Joints(body, rules.j19(variant).astype(np.float32))(mesh)
    np.testing.assert_allclose(
        mesh.vertices[:, ::53], run.recording["pred_vertices_every53"], rtol=0, atol=TOLERANCE_M
    )
    np.testing.assert_allclose(joints, run.recording["pred_keypoints_3d"], rtol=0, atol=TOLERANCE_M)


def test_hmr2_projects_the_joints_where_they_were_recorded(run: Run) -> None:
    seen = crop_points(run.recording["pred_keypoints_3d"], run.estimate.camera.numpy())
    np.testing.assert_allclose(seen, run.recording["pred_keypoints_2d"], rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def tiny() -> Hmr2:
    return networks.hmr2("tiny", "a")


def test_a_crop_gives_the_same_body_alone_and_in_a_batch(tiny: Hmr2) -> None:
    crops = torch.from_numpy(rules.normal("a", "batch", (5, 3, 256, 256)))
    with torch.inference_mode():
        together = tiny(crops)
        alone = [tiny(crop[None]) for crop in crops]
    for field, values in together._asdict().items():
        torch.testing.assert_close(
            values, torch.cat([getattr(each, field) for each in alone]), rtol=0, atol=1e-5
        )
