"""The body model: SMPL's arithmetic, the shipped asset, and what is read off a posed body."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from body.model import OPEN_BODY, Body, joint_angles
from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES, SMPL_JOINTS, SMPL_PARENTS
from workers.geometry import rotation_from_vector

vectors = stn.arrays(np.float32, (2, 24, 3), elements=st.floats(-3, 3, width=32))
shapes = stn.arrays(np.float32, (2, 10), elements=st.floats(-3, 3, width=32))

#: Some of the surface, for tests that pose it often.
SPARSE = Body.open().restricted_to(range(0, 6890, 100))


@pytest.fixture(scope="module")
def body():
    return Body.open()


def standing(count=1):
    """Rotations (count, 24, 3, 3) of bodies in the T-pose."""
    return np.tile(np.eye(3, dtype=np.float32), (count, 24, 1, 1))


def test_the_shipped_body_has_smpl_sizes_and_stays_under_a_megabyte(body):
    assert body.template.shape == (6890, 3)
    assert body.faces.shape == (13776, 3)
    assert tuple(body.parents) == SMPL_PARENTS
    assert OPEN_BODY.stat().st_size < 1_000_000


def test_the_shipped_surface_is_one_closed_piece_facing_outward(body):
    edges = np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]])
    each_way = {tuple(edge) for edge in edges.tolist()}
    assert len(each_way) == len(edges), "an edge is walked twice in one direction"
    assert each_way == {(b, a) for a, b in each_way}, "an edge has a face on one side only"
    assert 6890 - len(edges) // 2 + 13776 == 2, "a closed surface without handles has characteristic 2"
    corners = body.template[body.faces].astype(np.float64)
    volume_m3 = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert 0.05 < volume_m3 < 0.1, "an adult weighs 50 to 100 kg, and water as much per cubic decimetre"


def test_skin_weights_are_shares_of_at_most_four_joints(body):
    np.testing.assert_allclose(body.weights.sum(axis=1), 1, atol=1e-6)
    assert body.weights.min() >= 0
    assert np.count_nonzero(body.weights, axis=1).max() <= 4


def test_the_rest_pose_is_smpls_t_pose(body):
    joint = dict(zip(SMPL_JOINTS, body.rest_joints(np.zeros((1, 10), np.float32))[0], strict=True))
    np.testing.assert_allclose(joint["pelvis"], 0, atol=2e-3)
    left_arm = joint["left_wrist"] - joint["left_shoulder"]
    assert left_arm[0] > 0.4 and np.abs(left_arm[1:]).max() < 0.01, "the left arm lies along +x"
    leg = joint["right_ankle"] - joint["right_hip"]
    assert leg[1] < -0.7 and np.abs(leg[[0, 2]]).max() < 0.05, "legs hang straight down"
    assert body.template[body.points["nose"]][2] > 0.1, "the face looks along +z"
    assert body.template[body.points["left_big_toe"]][0] > 0 > body.template[body.points["right_heel"]][0]
    assert 1.6 < np.ptp(body.template[:, 1]) < 1.8


def test_every_joint_lies_inside_its_own_part_of_the_body(body):
    joints = body.rest_joints(np.zeros((1, 10), np.float32))[0]
    for name, position, weights in zip(SMPL_JOINTS, joints, body.weights.T, strict=True):
        part = body.template[weights > 0.05]
        assert np.all(position > part.min(axis=0) - 0.01), name
        assert np.all(position < part.max(axis=0) + 0.01), name


def test_more_of_the_first_shape_makes_a_taller_body_with_longer_legs(body):
    betas = np.array([[0] * 10, [2] + [0] * 9], np.float32)
    mesh = body.mesh(standing(2), betas)
    average, tall = np.ptp(mesh.vertices[..., 1], axis=1)
    assert tall - average > 0.1
    legs = mesh.joints[:, SMPL_JOINTS.index("left_hip")] - mesh.joints[:, SMPL_JOINTS.index("left_ankle")]
    assert legs[1, 1] - legs[0, 1] > 0.05, "joints move with the shape"


def test_a_bent_elbow_moves_the_hand_and_leaves_the_feet(body):
    rotations = standing(2)
    bent = rotation_from_vector(np.array([0, -np.pi / 2, 0], np.float32))
    rotations[1, SMPL_JOINTS.index("left_elbow")] = bent
    straight, flexed = body.mesh(rotations, np.zeros((2, 10), np.float32)).vertices
    tip, toe = body.points["left_middle"], body.points["left_big_toe"]
    assert flexed[tip, 2] - straight[tip, 2] > 0.3, "the forearm points forward"
    np.testing.assert_array_equal(flexed[toe], straight[toe])


def test_nobody_to_pose_gives_nobody(body):
    mesh = body.mesh(standing(0), np.zeros((0, 10), np.float32))
    assert mesh.vertices.shape == (0, 6890, 3)
    assert mesh.joints.shape == (0, 24, 3)
    assert joint_angles(mesh.joints).shape == (0, 9)


def test_keypoints_come_in_coco_order_from_skin_and_joints(body):
    mesh = body.mesh(standing(2), np.zeros((2, 10), np.float32))
    keypoints = dict(zip(COCO_KEYPOINTS, body.keypoints(mesh)[1], strict=True))
    np.testing.assert_array_equal(keypoints["nose"], mesh.vertices[1, body.points["nose"]])
    np.testing.assert_array_equal(keypoints["right_ear"], mesh.vertices[1, body.points["right_ear"]])
    np.testing.assert_array_equal(keypoints["left_knee"], mesh.joints[1, SMPL_JOINTS.index("left_knee")])
    assert keypoints["left_eye"][0] > 0 > keypoints["right_eye"][0]


def test_straight_limbs_measure_180_degrees_and_a_right_angle_90(body):
    rotations = standing()
    quarter = rotation_from_vector(np.array([np.pi / 2, 0, 0], np.float32))
    rotations[0, SMPL_JOINTS.index("right_knee")] = quarter
    angles = dict(
        zip(JOINT_ANGLES, joint_angles(body.joints(rotations, np.zeros((1, 10), np.float32)))[0], strict=True)
    )
    assert angles["left_knee"] == pytest.approx(180, abs=1)
    assert angles["left_elbow"] == pytest.approx(180, abs=1)
    assert angles["right_knee"] == pytest.approx(90, abs=1)


def test_a_body_that_stands_straight_measures_what_smpls_does(body):
    upright = body.rest_joints(np.concatenate([np.zeros((1, 10)), 2 * np.eye(10), -2 * np.eye(10)]))
    angles = dict(zip(JOINT_ANGLES, joint_angles(upright.astype(np.float32)).T, strict=True))
    for side in ("left", "right"):
        # SMPL's mean body: 164, 162 and 178.
        assert angles[f"{side}_hip"][0] >= 160
        assert angles[f"{side}_shoulder"][0] == pytest.approx(162, abs=5)
        assert np.ptp(angles[f"{side}_hip"]) < 5, "whatever the shape"
    assert angles["spine"].min() >= 170


def test_angles_of_joints_that_coincide_are_finite():
    assert np.array_equal(joint_angles(np.zeros((1, 24, 3), np.float32)), np.zeros((1, 9)))


@settings(deadline=None)
@given(vectors, shapes)
def test_turning_the_whole_body_turns_everything_about_the_root(vectors, shapes):
    rotations = rotation_from_vector(vectors).astype(np.float32)
    turn = rotation_from_vector(np.array([0.3, -0.7, 2.0], np.float32)).astype(np.float32)
    turned = rotations.copy()
    turned[:, 0] = turn @ rotations[:, 0]
    before, after = SPARSE.mesh(rotations, shapes), SPARSE.mesh(turned, shapes)
    root = before.joints[:, :1]
    np.testing.assert_allclose(after.vertices - root, (before.vertices - root) @ turn.T, atol=1e-5)
    np.testing.assert_allclose(after.joints - root, (before.joints - root) @ turn.T, atol=1e-5)


@settings(deadline=None)
@given(vectors, shapes)
def test_bones_keep_their_length_in_every_pose(vectors, shapes):
    rotations = rotation_from_vector(vectors).astype(np.float32)
    rest, posed = SPARSE.rest_joints(shapes), SPARSE.joints(rotations, shapes)
    child, parent = np.arange(1, 24), np.array(SMPL_PARENTS[1:])
    lengths = np.linalg.norm(rest[:, child] - rest[:, parent], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(posed[:, child] - posed[:, parent], axis=-1), lengths, atol=1e-5
    )
    assert np.all(np.isfinite(joint_angles(posed)))
