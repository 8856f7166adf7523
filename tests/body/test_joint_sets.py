"""The joints that are read off a mesh, and the file of the regressor for some of them."""

import numpy as np
import pytest

from body.joint_sets import SURFACE_POINTS, Hmr2Joints, RegressorRefused, read_regressor, smplx_joints
from body.model import Body, Mesh
from tests import smpl_files
from tests.fixtures import rules


@pytest.fixture(scope="module")
def body():
    return Body.open()


@pytest.fixture(scope="module")
def regressor():
    return rules.j19("a").astype(np.float32)


def mesh(body, count):
    """Different bodies."""
    return body.mesh(rules.rotmats("a", "pose", (count, 24), 0.3), rules.normal("a", "shape", (count, 10)))


def test_each_joint_comes_from_its_own_place(body, regressor):
    vertices = np.arange(6890, dtype=np.float32)[None, :, None].repeat(3, axis=2)
    marked = Mesh(vertices, -1 - np.arange(24, dtype=np.float32)[None, :, None].repeat(3, axis=2))
    joints = Hmr2Joints(body, regressor)(marked)[0, :, 0]
    assert joints[0] == body.points["nose"]
    assert joints[1] == -1 - 12, "the neck"
    assert joints[8] == -1 - 0, "the middle hip is the pelvis"
    assert joints[24] == body.points["right_heel"]
    np.testing.assert_allclose(joints[25:], regressor @ vertices[0, :, 0], rtol=1e-6)


def test_a_person_has_the_same_joints_alone_and_in_company(body, regressor):
    together = mesh(body, 3)
    joints = Hmr2Joints(body, regressor, update_hips=True)
    for person, expected in enumerate(joints(together)):
        one = slice(person, person + 1)
        alone = joints(Mesh(together.vertices[one], together.joints[one]))
        np.testing.assert_allclose(alone[0], expected, rtol=0, atol=1e-6)


def test_nobody_has_no_joints(body, regressor):
    nobody = body.mesh(np.zeros((0, 24, 3, 3), np.float32), np.zeros((0, 10), np.float32))
    assert Hmr2Joints(body, regressor)(nobody).shape == (0, 44, 3)
    assert smplx_joints(body, nobody).shape == (0, 45, 3)
    assert len(SURFACE_POINTS) == 21


def test_updated_hips_are_half_as_far_again_from_each_other_and_the_rest_stays(body, regressor):
    people = mesh(body, 2)
    before, after = (Hmr2Joints(body, regressor, update_hips=update)(people) for update in (False, True))
    moved = np.abs(after - before).max(axis=(0, 2)) > 0
    assert np.flatnonzero(moved).tolist() == [9, 12]
    np.testing.assert_allclose(
        after[:, 9] - after[:, 12], 1.5 * (before[:, 9] - before[:, 12]), rtol=0, atol=1e-6
    )


def test_joints_keep_their_numbers_in_float32(body, regressor):
    assert Hmr2Joints(body, regressor.astype(np.float64), update_hips=True)(mesh(body, 1)).dtype == np.float32


def test_the_regressor_is_read_from_its_pickle(tmp_path, regressor):
    read = read_regressor(smpl_files.write(tmp_path / "SMPL_to_J19.pkl", rules.j19("a")))
    np.testing.assert_array_equal(read, regressor)
    assert read.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(np.zeros((24, 10)), r"\(24, 10\)", id="other joints"),
        pytest.param(np.zeros(19), r"\(19,\)", id="a row"),
        pytest.param({"J": 1}, "dict", id="no array"),
        pytest.param(smpl_files.Object("os", "system", {}), r"os\.system", id="a program"),
    ],
)
def test_what_is_no_regressor_is_refused_by_name(tmp_path, content, why):
    path = smpl_files.write(tmp_path / "SMPL_to_J19.pkl", content)
    with pytest.raises(RegressorRefused, match=rf"SMPL_to_J19\.pkl.*{why}"):
        read_regressor(path)


def test_a_missing_regressor_is_named(tmp_path):
    with pytest.raises(RegressorRefused, match=r"SMPL_to_J19\.pkl is missing"):
        read_regressor(tmp_path / "SMPL_to_J19.pkl")
