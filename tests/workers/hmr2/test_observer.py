"""From boxes and HMR2's numbers to observations, with a detector and a network that say what is true.

The published weights are not ours to ship: a network stands in for them that knows the bodies which
were drawn. What a detector and the crops do to them is real.
"""

import numpy as np
import pytest

from body.drawing import Figure, overlay
from body.model import Body
from wire.camera import crop_camera, crop_square, focal_length_px, project
from workers.appearance import Appearance
from workers.detectors.person import DetectedPerson
from workers.geometry import rotation_from_vector
from workers.hmr2.observer import Bodies, Hmr2Observer
from workers.types import BodyPose, Plan, Proposal

WIDTH, HEIGHT = 640, 480
EMPTY = Plan((), 0)


def body_pose(x_px=0.0, size_px=300.0, turn=0.0):
    """A body upright in the picture, facing the camera but for `turn` radians."""
    rotations = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
    upright = np.diag([1, -1, -1]).astype(np.float32)
    rotations[0] = upright @ rotation_from_vector(np.array([0, turn, 0], np.float32))
    depth = focal_length_px(WIDTH, HEIGHT) * 1.7 / size_px
    x = x_px * depth / focal_length_px(WIDTH, HEIGHT)
    return BodyPose(rotations, np.zeros(10, np.float32), np.array([x, 0.2, depth], np.float32))


def drawn(body, poses):
    """A picture of the bodies before a grey wall."""
    meshes = [body.mesh(pose.rotations[None], pose.betas[None]) for pose in poses]
    wall = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    figures = [
        Figure(mesh.vertices[0], mesh.joints[0], pose.translation)
        for mesh, pose in zip(meshes, poses, strict=True)
    ]
    return overlay(wall, figures, body.faces)


def box_around(body, pose):
    mesh = body.mesh(pose.rotations[None], pose.betas[None])
    pixels = project(mesh.vertices[0], pose.translation, WIDTH, HEIGHT)
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]).astype(np.float32)


def detected(body, pose, *, mask=None, expected=None, found=True):
    return DetectedPerson(box_around(body, pose), 0.9, mask, expected, found)


class TellingDetector:
    """Says of each look what it was told."""

    name = "told"

    def __init__(self, people):
        self.told = people
        self.looks = []

    def people(self, looks, on_progress):
        self.looks += looks
        on_progress()
        return self.told[: len(looks)]


class TellingNetwork:
    """Says of each crop the body that it was told, seen by the camera of that crop."""

    def __init__(self, body, poses):
        self.poses = poses
        self.boxes = [box_around(body, pose) for pose in poses]
        self.crops = None

    def estimate(self, crops, on_progress):
        self.crops = crops
        on_progress()
        cameras = []
        for pose, box in zip(self.poses, self.boxes, strict=True):
            center, side = crop_square(box)
            cameras.append(
                crop_camera(pose.translation, box_center=center, box_size=side, width=WIDTH, height=HEIGHT)
            )
        return Bodies(
            rotations=np.stack([pose.rotations for pose in self.poses]),
            betas=np.stack([pose.betas for pose in self.poses]),
            camera=np.array(cameras, np.float32),
        )


@pytest.fixture(scope="module")
def body():
    return Body.open()


def observer(body, people, poses):
    network = TellingNetwork(body, poses)
    detector = TellingDetector(people)
    made = Hmr2Observer(
        detector=detector, estimator=network, appearance=Appearance(body), body=body, model_version="told"
    )
    return made, detector, network


def test_a_body_lies_where_the_crops_camera_puts_it(body):
    pose = body_pose(x_px=120, turn=0.4)
    made, _, network = observer(body, [[detected(body, pose)]], [pose])
    image = drawn(body, [pose])

    ((seen,),) = made.observe([(image, EMPTY)])

    np.testing.assert_allclose(seen.pose.translation, pose.translation, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(seen.pose.rotations, pose.rotations)
    assert network.crops.shape == (1, 256, 256, 3)
    # The crop shows the person in its middle, whole, and wall at its sides.
    assert network.crops[0, 128, 128].std() > 0
    assert (network.crops[0, :, 4] == 200).all()
    assert (seen.detected, seen.proposal, seen.score) == (True, None, 0.9)


def test_people_of_many_frames_go_to_the_network_at_once_and_come_back_to_their_own(body):
    left, right, alone = body_pose(-150), body_pose(150, turn=1.0), body_pose(40)
    people = [[detected(body, left), detected(body, right)], [], [detected(body, alone)]]
    made, _, network = observer(body, people, [left, right, alone])
    pictures = [drawn(body, [left, right]), drawn(body, []), drawn(body, [alone])]
    told = []

    seen = made.observe([(picture, EMPTY) for picture in pictures], lambda: told.append(1))

    assert [len(one) for one in seen] == [2, 0, 1]
    for got, meant in zip([*seen[0], *seen[2]], [left, right, alone], strict=True):
        np.testing.assert_allclose(got.pose.translation, meant.translation, rtol=1e-4, atol=1e-4)
    assert len(network.crops) == 3
    assert told


def test_nobody_anywhere_asks_the_network_nothing(body):
    made, _, network = observer(body, [[], []], [])
    assert made.observe([(drawn(body, []), EMPTY)] * 2) == [[], []]
    assert network.crops is None


def test_the_detector_is_told_where_people_are_expected(body):
    pose = body_pose(x_px=-80)
    plan = Plan((Proposal(7, pose, continuous=True),), 3)
    made, detector, _ = observer(body, [[detected(body, pose, expected=0, found=False)]], [pose])

    ((seen,),) = made.observe([(drawn(body, [pose]), plan)])

    assert (seen.proposal, seen.detected) == (7, False)
    (look,) = detector.looks
    assert look.turn == 3
    around = box_around(body, pose)
    # Within a twelfth of the person's height of the box around the whole surface.
    np.testing.assert_allclose(look.expected[0], around, atol=(around[3] - around[1]) / 12)


def test_where_the_caller_says_who_is_there_no_detector_is_asked(body):
    told, found = body_pose(-150), body_pose(150)
    made, detector, _ = observer(body, [[detected(body, found)]], [told, found])
    plan = Plan((Proposal(7, told, continuous=True),), 3, boxes=box_around(body, told)[None])

    (given,), (looked_for,) = made.observe([(drawn(body, [told]), plan), (drawn(body, [found]), EMPTY)])

    assert len(detector.looks) == 1
    assert (given.box_index, given.proposal, given.detected) == (0, 7, True)
    np.testing.assert_allclose(given.pose.translation, told.translation, rtol=1e-4, atol=1e-4)
    assert looked_for.box_index is None


def test_joints_outside_the_picture_count_for_less(body):
    pose = body_pose(size_px=900)  # head and feet are beyond the picture
    made, *_ = observer(body, [[detected(body, pose)]], [pose])
    ((seen,),) = made.observe([(drawn(body, [pose]), EMPTY)])
    pelvis, left_foot = seen.joint_visibility[0], seen.joint_visibility[10]
    assert pelvis == pytest.approx(0.9)
    assert 0 < left_foot < 0.3


def test_what_covers_a_person_is_not_his_looks(body):
    pose = body_pose()
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[HEIGHT // 2 :] = False  # a wall before his legs
    made, *_ = observer(body, [[detected(body, pose, mask=mask)]], [pose])
    ((seen,),) = made.observe([(drawn(body, [pose]), EMPTY)])
    bare, *_ = observer(body, [[detected(body, pose)]], [pose])
    ((whole,),) = bare.observe([(drawn(body, [pose]), EMPTY)])
    assert 0 < seen.patch_weight.sum() < 0.8 * whole.patch_weight.sum()
    assert seen.joint_visibility[10] < 0.3 < whole.joint_visibility[10]
