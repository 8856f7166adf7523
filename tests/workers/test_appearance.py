"""Colours read off the body in the picture: the right ones, from what is in view."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from body.model import Body
from wire.skeleton import SMPL_JOINTS
from workers.appearance import PARTS, Appearance
from workers.geometry import rotation_from_vector
from workers.types import BodyPose

WIDTH, HEIGHT = 480, 360
FRONT, BACK = 0, 1


@pytest.fixture(scope="module")
def appearance():
    return Appearance(Body.open())


def pose(*, facing=True, translation=(0.0, 0.0, 60.0), **bent):
    """A body upright in front of the camera in its T-pose, but for rotation vectors by joint."""
    rotations = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
    rotations[0] = np.diag([1, -1, -1] if facing else [-1, -1, 1])
    for joint, vector in bent.items():
        rotations[SMPL_JOINTS.index(joint)] = rotation_from_vector(np.array(vector, np.float32))
    return BodyPose(rotations, np.zeros(10, np.float32), np.array(translation, np.float32))


def plain(colour):
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def patch(part, side=0):
    """Number of the patch on one side of a part."""
    sizes = [1 if axis is None else 4 for _, axis in PARTS.values()]
    return sum(sizes[: list(PARTS).index(part)]) + side


def test_there_are_a_few_dozen_patches_and_some_hundred_samples(appearance):
    colours, weights = appearance.sample(plain(0), pose())
    assert colours.shape == (appearance.patch_count, 3)
    assert weights.shape == (appearance.patch_count,)
    assert appearance.patch_count == 52


def test_what_is_in_view_has_the_pictures_colour(appearance):
    colours, weights = appearance.sample(plain((255, 51, 0)), pose())
    seen = colours[weights > 0]
    np.testing.assert_allclose(seen, np.tile([1, 0.2, 0], (len(seen), 1)), atol=1e-6)


@pytest.mark.parametrize("part", ["head", "chest", "hips", "left_thigh", "right_forearm"])
def test_of_a_part_only_the_side_turned_to_the_camera_is_seen(appearance, part):
    _, from_the_front = appearance.sample(plain(0), pose())
    _, from_behind = appearance.sample(plain(0), pose(facing=False))
    assert from_the_front[patch(part, FRONT)] > 0.7 > 0.1 > from_the_front[patch(part, BACK)]
    # The back of the head takes in ears and neck, which face sideways and down.
    assert from_behind[patch(part, BACK)] > 0.6 > 0.1 > from_behind[patch(part, FRONT)]


def test_left_and_right_have_the_colours_of_their_own_places(appearance):
    image = plain((255, 0, 0))
    image[:, WIDTH // 2 :] = (0, 0, 255)  # where the left of someone who faces the camera is
    colours, _ = appearance.sample(image, pose())
    np.testing.assert_allclose(colours[patch("left_forearm", FRONT)], [0, 0, 1])
    np.testing.assert_allclose(colours[patch("right_forearm", FRONT)], [1, 0, 0])


def test_people_outside_the_picture_are_not_seen(appearance):
    colours, weights = appearance.sample(plain(200), pose(translation=(30.0, 0.0, 60.0)))
    assert not weights.any()
    assert np.all(np.isfinite(colours))


def test_half_a_person_in_the_picture_is_half_seen(appearance):
    image = plain(0)
    at_the_edge = pose(translation=(-WIDTH / 2 / (5000 / 256 * WIDTH) * 60, 0.0, 60.0))
    _, weights = appearance.sample(image, at_the_edge)
    assert weights[patch("left_upper_arm", FRONT)] > 0.7
    assert weights[patch("right_upper_arm", FRONT)] == 0


def test_what_a_mask_leaves_out_is_not_seen(appearance):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, WIDTH // 2 :] = True  # the half of the picture in which his left side is, facing us
    image = plain((255, 0, 0))
    image[mask] = (0, 255, 0)
    colours, weights = appearance.sample(image, pose(), mask)
    np.testing.assert_allclose(colours[weights > 0], np.tile([0, 1, 0], ((weights > 0).sum(), 1)), atol=1e-6)
    assert weights[patch("left_thigh", FRONT)] > 0.7 > 0 == weights[patch("right_thigh", FRONT)]
    assert weights[patch("left_forearm")] > 0 == weights[patch("right_forearm")]


def test_an_arm_before_the_chest_keeps_its_colour_off_the_chest(appearance):
    _, open_arms = appearance.sample(plain(0), pose())
    crossed = pose(left_shoulder=(0, -1.2, 0), left_elbow=(0, -1.6, 0))
    _, covered = appearance.sample(plain(0), crossed)
    assert covered[patch("chest", FRONT)] < open_arms[patch("chest", FRONT)] - 0.1


def test_the_same_body_and_picture_give_the_same_numbers():
    image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    first = Appearance(Body.open()).sample(image, pose())
    second = Appearance(Body.open()).sample(image, pose())
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_pose_gives_colours_and_weights_between_0_and_1(appearance, seed):
    random = np.random.default_rng(seed)
    rotations = rotation_from_vector(random.normal(0, 1.5, (24, 3))).astype(np.float32)
    betas = random.normal(0, 1, 10).astype(np.float32)
    translation = random.uniform([-2, -2, 0.1], [2, 2, 80]).astype(np.float32)
    image = random.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for values in appearance.sample(image, BodyPose(rotations, betas, translation)):
        assert np.all((values >= 0) & (values <= 1))
