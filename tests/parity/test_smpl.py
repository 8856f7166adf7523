"""Bodies and their joints are those of smplx and 4D-Humans."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from body import official
from body.joint_sets import Hmr2Joints, read_regressor, smplx_joints
from body.model import Body
from tests import smpl_files
from tests.fixtures import rules
from tests.parity.recordings import Recording, recorded

#: Metres.
TOLERANCE_M = 2e-6


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("smpl")


@cache
def body(files: Path, variant: str) -> Body:
    """The variant's model, by way of a file as the official one is."""
    path = smpl_files.write(files / f"SMPL_NEUTRAL_{variant}.pkl", smpl_files.smpl_model(variant))
    return official.open_body(path)


@cache
def regressor(files: Path, variant: str) -> np.ndarray:
    return read_regressor(smpl_files.write(files / f"SMPL_to_J19_{variant}.pkl", rules.j19(variant)))


def pose(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (B, 24, 3, 3) and betas (B, 10)."""
    rotations = np.concatenate([recording["in_go"], recording["in_bp"]], axis=1)
    return rotations, recording["in_betas"]


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE_M)


#: Small turns of the joints, and large ones.
each_size = recorded("smpl_lbs_small", "smpl_lbs_large")


@each_size
def test_a_posed_surface_is_the_recorded_one(recording: Recording, files: Path) -> None:
    vertices = body(files, recording.variant).mesh(*pose(recording)).vertices
    assert_close(vertices[:, ::7], recording["vertices_every7"])
    checks = np.stack([rules.checks(each) for each in vertices])
    np.testing.assert_allclose(checks, recording["vertices_checks"], rtol=0, atol=2e-3)


@each_size
def test_the_45_joints_of_smplx_are_the_recorded_ones(recording: Recording, files: Path) -> None:
    model = body(files, recording.variant)
    assert_close(smplx_joints(model, model.mesh(*pose(recording))), recording["joints45_raw"])


@each_size
@pytest.mark.parametrize("update_hips", [False, True])
def test_the_44_joints_of_hmr2_are_the_recorded_ones(
    recording: Recording, files: Path, update_hips: bool
) -> None:
    model = body(files, recording.variant)
    joints = Hmr2Joints(model, regressor(files, recording.variant), update_hips=update_hips)
    theirs = recording["joints44_update_hips" if update_hips else "joints44"]
    assert_close(joints(model.mesh(*pose(recording))), theirs)


@each_size
def test_joints_without_a_surface_are_the_recorded_ones(recording: Recording, files: Path) -> None:
    assert_close(body(files, recording.variant).joints(*pose(recording)), recording["joints45_raw"][:, :24])


@each_size
def test_a_part_of_a_body_moves_as_it_was_recorded_in_the_whole(recording: Recording, files: Path) -> None:
    part = body(files, recording.variant).restricted_to(range(0, 6890, 7))
    assert_close(part.mesh(*pose(recording)).vertices, recording["vertices_every7"])
