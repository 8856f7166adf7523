"""The body that a result was made with: found again by its name and digest, or refused."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from body import stated
from body.model import OPEN_BODY, Body
from body.stated import AnotherBody
from tests import smpl_files
from wire.settings import Settings
from workers.build import build


@pytest.fixture(scope="module")
def smpl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("assets")
    return smpl_files.write(directory / stated.SMPL, smpl_files.smpl_model("a"))


def digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def rest_joints(body: Body) -> np.ndarray:
    return body.rest_joints(np.zeros((1, 10), np.float32))


def test_a_worker_states_the_open_body_and_that_is_opened(tmp_path: Path) -> None:
    said = stated.of_models(build(Settings(runtime_dir=str(tmp_path))).models)

    assert said == f"open_body.npz {digest(OPEN_BODY)}"
    np.testing.assert_array_equal(rest_joints(stated.opened(said, tmp_path)), rest_joints(Body.open()))


def test_where_no_body_is_stated_it_is_the_open_one(tmp_path: Path) -> None:
    assert stated.of_models({"networks": "loaded"}) == ""
    np.testing.assert_array_equal(rest_joints(stated.opened("", tmp_path)), rest_joints(Body.open()))


def test_smpl_is_found_under_any_of_its_names(smpl: Path, tmp_path: Path) -> None:
    said = stated.of_models({"hmr2.ckpt": "sha256:0", stated.SMPL: digest(smpl)})
    other = tmp_path / stated.SMPL_ALSO[0]
    other.write_bytes(smpl.read_bytes())

    assert said == f"SMPL_NEUTRAL.pkl {digest(smpl)}"
    expected = rest_joints(stated.opened(said, smpl.parent))
    np.testing.assert_array_equal(rest_joints(stated.opened(said, tmp_path)), expected)


def test_a_body_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(AnotherBody, match=r"made with SMPL_NEUTRAL\.pkl, which is not in"):
        stated.opened("SMPL_NEUTRAL.pkl sha256:00", tmp_path)


def test_a_body_of_other_contents_is_refused_by_name(smpl: Path) -> None:
    with pytest.raises(AnotherBody, match="is another file"):
        stated.opened("SMPL_NEUTRAL.pkl sha256:00", smpl.parent)
    with pytest.raises(AnotherBody, match="is another file"):
        stated.opened("open_body.npz sha256:00", smpl.parent)


def test_a_body_that_nobody_knows_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(AnotherBody, match=r"made with dog\.npz sha256:00"):
        stated.opened("dog.npz sha256:00", tmp_path)


def test_joints_of_another_body_are_noticed(smpl: Path) -> None:
    body, other = Body.open(), stated.opened("", smpl.parent)
    rotations = np.tile(np.eye(3, dtype=np.float32), (2, 24, 1, 1))
    betas = np.zeros((2, 10), np.float32)
    joints = body.joints(rotations, betas)
    stated.check_joints(other, rotations, betas, joints, stated="")

    joints[1, 5, 0] += 1e-3
    with pytest.raises(AnotherBody, match=r"up to 1\.0 mm from those of open_body\.npz"):
        stated.check_joints(body, rotations, betas, joints, stated="")
