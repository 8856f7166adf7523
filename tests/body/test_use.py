"""Whatever uses a body works with an official one: it bends with the pose, and its pelvis is no origin."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from body import official
from tests import smpl_files
from tests.fixtures import rules
from wire.camera import project
from wire.messages import Options
from wire.skeleton import SMPL_JOINTS
from workers import png, selftest
from workers.appearance import Appearance
from workers.blazepose import kinematics
from workers.blazepose.fit import Fit
from workers.blazepose.landmarks import Landmarks
from workers.blazepose.markers import attach
from workers.blazepose.region import Region
from workers.geometry import rotation_from_vector
from workers.phalp.tracker import Tracker
from workers.pipeline import Folded, FrameInput, Pipeline
from workers.types import BodyPose, Observation

WIDTH, HEIGHT = 640, 480

#: Where SMPL's origin is, from its pelvis.
ORIGIN_M = (0.002, 0.223, -0.028)


@pytest.fixture(scope="module")
def open_body(tmp_path_factory):
    """A maker of official bodies that look like the open one, their origin somewhere."""

    def made(*, origin_m):
        directory = tmp_path_factory.mktemp("body")
        model = smpl_files.open_body_model(origin_m=origin_m)
        return official.open_body(smpl_files.write(directory / "SMPL_NEUTRAL.pkl", model))

    return made


@pytest.fixture(scope="module")
def central(open_body):
    return open_body(origin_m=(0, 0, 0))


@pytest.fixture(scope="module")
def moved(open_body):
    """The same body with its origin where SMPL's is."""
    return open_body(origin_m=ORIGIN_M)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The body of the recordings: no human shape, joints anywhere."""
    path = tmp_path_factory.mktemp("body") / "SMPL_NEUTRAL.pkl"
    return official.open_body(smpl_files.write(path, smpl_files.smpl_model("a")))


def runner(body, pelvis_m=(0.4, -0.2, 60.0)):
    """Someone who bends, their pelvis at `pelvis_m` before the camera whatever the body's origin."""
    vectors = np.zeros((24, 3))
    for joint, vector in {
        "left_shoulder": (0, 0, -1.2),
        "right_shoulder": (0, 0, 1.2),
        "left_hip": (-0.9, 0, 0.1),
        "left_knee": (1.3, 0, 0),
        "right_elbow": (0, 0.9, 0),
    }.items():
        vectors[SMPL_JOINTS.index(joint)] = vector
    rotations = rotation_from_vector(vectors)
    rotations[0] = np.diag([1.0, -1.0, -1.0]) @ rotation_from_vector(np.array([0.0, 0.3, 0.0]))
    betas = np.zeros(10, np.float32)
    translation = np.array(pelvis_m) - body.rest_joints(betas[None])[0, 0]
    return BodyPose(rotations.astype(np.float32), betas, translation.astype(np.float32))


def landmarks_of(body, pose):
    """What a perfect network would say of `pose`."""
    rest = attach(body.rest_joints(pose.betas[None])[0].astype(np.float64))
    points = kinematics.pose(rest, pose.rotations.astype(np.float64)).markers
    pixels = project(points, pose.translation, WIDTH, HEIGHT)
    region = Region(cx=0.0, cy=0.0, side_px=1.0, angle=0.0)
    ones = np.ones(33, np.float32)
    return Landmarks(np.column_stack([pixels, points[:, 2]]), ones, ones, ones, points, 1.0, region, region)


def camera_joints(body, pose):
    return body.joints(pose.rotations[None], pose.betas[None])[0] + pose.translation


@pytest.mark.parametrize("prior", [False, True], ids=["first seen", "expected"])
def test_a_fitted_body_is_in_the_same_place_wherever_its_origin_is(central, moved, prior):
    fitted = []
    for body in (central, moved):
        pose = runner(body)
        expected = runner(body, (0.42, -0.21, 61.0)) if prior else None
        found = Fit(body).fit(
            landmarks_of(body, pose), width=WIDTH, height=HEIGHT, prior=expected, continuous=True
        )
        fitted.append(camera_joints(body, found.pose))
        across = np.abs(camera_joints(body, found.pose) - camera_joints(body, pose))[:, :2]
        assert across.max() < 0.05
    np.testing.assert_allclose(fitted[0], fitted[1], atol=0.02)


def test_colours_are_read_in_the_same_places_wherever_the_origin_is(central, moved):
    image = rules.gen("a", "use.picture").integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    image = image.repeat(8, axis=0).repeat(8, axis=1)
    (colours, weights), (other_colours, other_weights) = (
        Appearance(body).sample(image, runner(body)) for body in (central, moved)
    )
    assert (weights > 0.5).sum() > 5
    np.testing.assert_allclose(weights, other_weights, atol=0.2)
    np.testing.assert_allclose(np.mean(colours, axis=0), np.mean(other_colours, axis=0), atol=0.02)


def test_a_body_of_any_form_has_patches_and_colours(generated):
    appearance = Appearance(generated)
    colours, weights = appearance.sample(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), runner(generated))
    assert colours.shape == (appearance.patch_count, 3)
    assert ((weights >= 0) & (weights <= 1)).all() and weights.any()
    assert (colours[weights > 0] == 1).all()


def test_the_mannequin_is_the_same_wherever_the_origin_is(central, moved):
    pictures = [
        np.asarray(PillowImage.open(io.BytesIO(selftest.mannequin(body)))) for body in (central, moved)
    ]
    assert (pictures[0] != pictures[1]).mean() < 1e-3


class Eyes:
    """An observer that sees one person, walking."""

    name = "eyes"
    model_version = "test"

    def __init__(self, body):
        self._body = body

    def observe(self, frames, _on_progress=None):
        return [[self._person(plan.turn)] for _, plan in frames]

    def _person(self, turn):
        pose = runner(self._body, (0.1 * turn, 0.0, 60.0))
        box = np.array([200, 100, 440, 400], np.float32)
        ones = np.ones(24, np.float32)
        return Observation(pose, box, 0.9, ones, np.full((52, 3), 0.5), np.ones(52), True, None)


def answers(body, frames=4, *, meshes=True):
    """What the whole pipeline says of a few frames, with a picture of the last."""
    pipeline = Pipeline(
        observer=Eyes(body),
        tracker=Tracker(joints_of=body.joints, max_people=4),
        body=body,
        max_image_pixels=1 << 20,
    )
    state = pipeline.start()
    picture = png.encoded(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    folded = []
    for number in range(frames):
        options = Options(visualize=number == frames - 1, full_people=True, meshes=meshes)
        (outcome,) = pipeline.fold([(state, FrameInput(number, picture, options))])
        assert isinstance(outcome, Folded), outcome
        state = outcome.state
        folded.append(outcome)
    return folded


def test_tracked_people_are_in_the_same_place_wherever_the_origin_is(central, moved):
    for one, other in zip(answers(central), answers(moved), strict=True):
        ours, theirs = one.answer.arrays, other.answer.arrays
        for name in ("keypoints_2d", "joint_confidence", "angles", "boxes", "rotations"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-2, err_msg=name)
        np.testing.assert_allclose(
            ours["joints"] + ours["translation"], theirs["joints"] + theirs["translation"], atol=1e-3
        )
        np.testing.assert_allclose(
            one.drawn.vertices + ours["translation"],
            other.drawn.vertices + theirs["translation"],
            atol=1e-3,
        )


def test_the_mesh_of_an_answer_is_bent_by_the_pose_and_its_keypoints_lie_on_it(moved):
    last = answers(moved)[-1]
    arrays = last.answer.arrays
    mesh = moved.mesh(arrays["rotations"], arrays["betas"])
    np.testing.assert_allclose(last.drawn.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_allclose(arrays["keypoints"], moved.keypoints(mesh), atol=1e-6)
    assert last.drawn.png is not None


def test_meshes_that_nobody_wants_are_not_made_and_change_nothing_else(central):
    *_, wanted = answers(central)
    *others, last = answers(central, meshes=False)

    assert all(len(answer.drawn.vertices) == 0 for answer in [*others, last])
    assert last.drawn.png == wanted.drawn.png
    for name, array in wanted.answer.arrays.items():
        np.testing.assert_array_equal(last.answer.arrays[name], array, err_msg=name)


def test_a_generated_body_goes_through_the_whole_pipeline(generated):
    last = answers(generated)[-1]
    assert all(np.isfinite(array).all() for array in last.answer.arrays.values())
    assert last.drawn.vertices.shape == (1, 6890, 3)
    assert last.drawn.png is not None
