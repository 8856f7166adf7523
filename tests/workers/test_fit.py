"""The fit: landmarks made from a known body give that body back, and no landmarks break it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from body.model import Body
from wire.camera import project
from wire.skeleton import SMPL_JOINTS
from workers.blazepose import kinematics
from workers.blazepose.fit import Fit, FittedBody
from workers.blazepose.flips import faces_one_way
from workers.blazepose.habits import habits
from workers.blazepose.landmarks import Landmarks
from workers.blazepose.markers import INDEX, LANDMARK_NAMES, OWNERS, SWAPPED, attach
from workers.blazepose.region import Region
from workers.geometry import rotation_from_vector, vector_from_rotation
from workers.types import BodyPose

WIDTH, HEIGHT = 1920, 1080
TINY = np.float32(1e-20)
REGION = Region(cx=0.0, cy=0.0, side_px=1.0, angle=0.0)

BODY = Body.open()
FIT = Fit(BODY)


def body_pose(*, bends: dict[str, tuple[float, float, float]], facing_rad: float = 0.3) -> BodyPose:
    """A standing person with some joints bent (rotation vectors in rest axes), 40 m from a long lens."""
    vectors = np.zeros((24, 3))
    vectors[SMPL_JOINTS.index("left_shoulder"), 2] = -1.2
    vectors[SMPL_JOINTS.index("right_shoulder"), 2] = 1.2
    for joint, vector in bends.items():
        vectors[SMPL_JOINTS.index(joint)] += vector
    rotations = rotation_from_vector(vectors)
    upright = np.diag([1.0, -1.0, -1.0])  # body axes to camera axes, seen from the front
    rotations[0] = upright @ rotation_from_vector(np.array([0.0, facing_rad, 0.0]))
    return BodyPose(
        rotations.astype(np.float32), np.zeros(10, np.float32), np.array([0.4, -0.2, 60.0], np.float32)
    )


RUNNER = body_pose(
    bends={
        "left_hip": (-0.9, 0.0, 0.1),
        "left_knee": (1.3, 0.0, 0.0),
        "right_hip": (0.3, 0.0, -0.1),
        "right_knee": (0.4, 0.0, 0.0),
        "left_elbow": (0.0, -1.2, 0.0),
        "right_elbow": (0.0, 0.9, 0.0),
        "spine2": (0.2, 0.1, 0.0),
        "head": (0.1, 0.2, 0.0),
    }
)
STANDING = body_pose(bends={})


def markers(pose: BodyPose) -> np.ndarray:
    rest = attach(BODY.rest_joints(pose.betas[None])[0].astype(float))
    return kinematics.pose(rest, pose.rotations.astype(float)).markers


def landmarks_of(pose: BodyPose) -> Landmarks:
    """What a perfect network would say of `pose`."""
    points = markers(pose)
    pixels = project(points, pose.translation, WIDTH, HEIGHT)
    hips = (points[INDEX["left_hip"]] + points[INDEX["right_hip"]]) / 2
    return Landmarks(
        pixels=np.column_stack([pixels, points[:, 2]]).astype(np.float32),
        visibility=np.ones(33, np.float32),
        presence=np.ones(33, np.float32),
        clarity=np.ones(33, np.float32),
        world=(points - hips).astype(np.float32),
        score=1.0,
        region=REGION,
        following=REGION,
    )


def fit(landmarks: Landmarks, *, prior: BodyPose | None = None, continuous: bool = True) -> FittedBody:
    return FIT.fit(landmarks, width=WIDTH, height=HEIGHT, prior=prior, continuous=continuous)


def pixel_error(fitted: FittedBody, landmarks: Landmarks) -> np.ndarray:
    """(33,) distance of each marker of the fitted body from its landmark."""
    seen = project(markers(fitted.pose), fitted.pose.translation, WIDTH, HEIGHT)
    return np.linalg.norm(seen - landmarks.pixels[:, :2], axis=1)


def turned_apart(first: BodyPose, second: BodyPose) -> np.ndarray:
    """(24,) degrees between the rotations of two poses."""
    between = np.swapaxes(first.rotations, -1, -2) @ second.rotations
    return np.degrees(np.linalg.norm(vector_from_rotation(between.astype(float)), axis=1))


def shaken(pose: BodyPose, seed: int) -> BodyPose:
    shake = rotation_from_vector(np.random.default_rng(seed).normal(0, 0.1, (24, 3)))
    return replace(pose, rotations=(pose.rotations @ shake).astype(np.float32))


def swapped(landmarks: Landmarks) -> Landmarks:
    """The same picture with every left taken for the right."""
    return replace(landmarks, pixels=landmarks.pixels[SWAPPED], world=landmarks.world[SWAPPED])


POSES = pytest.mark.parametrize("pose", [STANDING, RUNNER], ids=["standing", "running"])


@POSES
def test_a_known_body_is_found_again_without_an_expected_pose(pose):
    found = fit(landmarks_of(pose))
    assert pixel_error(found, landmarks_of(pose)).mean() < 1
    assert np.median(turned_apart(found.pose, pose)) < 5


@POSES
def test_a_known_body_is_found_again_from_an_expected_pose(pose):
    found = fit(landmarks_of(pose), prior=shaken(pose, seed=1))
    assert np.linalg.norm(markers(found.pose) - markers(pose), axis=1).mean() < 0.008
    assert np.median(turned_apart(found.pose, pose)) < 3
    assert found.pose.translation == pytest.approx(pose.translation, abs=0.1)


@POSES
def test_the_expected_poses_shape_is_kept(pose):
    betas = np.linspace(-1, 1, 10, dtype=np.float32)
    found = fit(landmarks_of(pose), prior=replace(pose, betas=betas))
    assert found.pose.betas.tolist() == betas.tolist()


def test_the_shape_of_a_tall_person_is_seen_in_one_frame():
    tall = replace(STANDING, betas=np.array([1.5, *[0] * 9], np.float32))
    assert fit(landmarks_of(tall)).shape_estimate[0] == pytest.approx(1.5, abs=0.2)
    assert fit(landmarks_of(STANDING)).shape_estimate[0] == pytest.approx(0, abs=0.1)


@POSES
def test_half_of_the_landmarks_may_be_hidden_and_wrong(pose):
    seen = landmarks_of(pose)
    hidden = np.arange(33) % 2 == 0
    noise = np.random.default_rng(3).normal(0, 15, (33, 3)) * hidden[:, None]
    broken = replace(
        seen,
        pixels=(seen.pixels + noise).astype(np.float32),
        visibility=np.where(hidden, 0.01, 1).astype(np.float32),
    )
    found = fit(broken, prior=shaken(pose, seed=2))
    assert pixel_error(found, seen)[~hidden].mean() < 3
    assert pixel_error(found, seen).mean() < 8


def test_a_swap_of_left_and_right_is_undone():
    # Feet that point to the side leave open which way the swapped person faces.
    pose = body_pose(bends={}, facing_rad=1.0)
    found = fit(swapped(landmarks_of(pose)), prior=pose)
    assert found.flipped
    assert pixel_error(found, landmarks_of(pose)).mean() < 2


def test_a_swap_with_mirrored_depth_is_undone():
    seen = swapped(landmarks_of(RUNNER))
    found = fit(replace(seen, world=seen.world * np.float32([1, 1, -1])), prior=RUNNER)
    assert found.flipped
    assert pixel_error(found, landmarks_of(RUNNER)).mean() < 2
    assert np.linalg.norm(markers(found.pose) - markers(RUNNER), axis=1).mean() < 0.03


@POSES
def test_what_was_not_swapped_is_left_alone(pose):
    assert not fit(landmarks_of(pose), prior=pose).flipped
    assert not fit(swapped(landmarks_of(pose)), prior=pose, continuous=False).flipped


def test_a_swapped_expectation_does_not_hold_a_person_who_faces_one_way():
    seen = landmarks_of(STANDING)
    found = fit(swapped(seen))
    for _ in range(3):
        found = fit(seen, prior=found.pose)
        assert not found.flipped
    assert pixel_error(found, seen).mean() < 5
    assert turned_apart(found.pose, STANDING)[0] < 20


def test_a_swap_that_moved_the_expectation_half_way_round_does_not_win_by_staying():
    # Shoulders and hips are seen from behind, feet from in front; the expectation has turned by 80 degrees.
    seen = landmarks_of(STANDING)
    trunk_turned = swapped(seen)
    half_way = body_pose(bends={}, facing_rad=np.deg2rad(80))
    found = fit(trunk_turned, prior=half_way)
    assert found.flipped
    assert turned_apart(found.pose, STANDING)[0] < 60


@pytest.mark.parametrize("part", ["shoulder", "hip", "foot_index"])
def test_nobody_faces_one_way_of_whom_a_part_is_turned_round(part):
    points = landmarks_of(STANDING).world.astype(np.float64)
    assert faces_one_way(points)
    one, other = (LANDMARK_NAMES.index(f"{side}_{part}") for side in ("left", "right"))
    heels = [LANDMARK_NAMES.index(f"{side}_heel") for side in ("left", "right")]
    if part == "foot_index":
        points[[one, other]] = 2 * points[heels] - points[[one, other]]
    else:
        points[[one, other]] = points[[other, one]]
    assert not faces_one_way(points)


def test_an_expected_pose_from_elsewhere_in_the_film_hardly_counts():
    seen = landmarks_of(RUNNER)
    found = fit(seen, prior=STANDING, continuous=False)
    assert pixel_error(found, seen).mean() < 3


def test_joints_are_as_visible_as_the_landmarks_around_them():
    seen = landmarks_of(STANDING)
    visibility = np.array([0.25 if name.startswith("left") else 1 for name in LANDMARK_NAMES], np.float32)
    shown = dict(zip(SMPL_JOINTS, fit(replace(seen, visibility=visibility)).joint_visibility, strict=True))
    assert shown["left_elbow"] == pytest.approx(0.25)
    assert shown["right_hand"] == pytest.approx(1)
    assert shown["pelvis"] == pytest.approx(0.625)


def is_sound(found: FittedBody) -> bool:
    """Finite everywhere, rotations proper, in front of the camera."""
    rotations = found.pose.rotations.astype(float)
    numbers = np.concatenate([found.pose.betas, found.pose.translation, found.shape_estimate])
    return bool(
        np.isfinite(numbers).all()
        and np.allclose(rotations @ np.swapaxes(rotations, -1, -2), np.eye(3), atol=1e-5)
        and np.all(np.linalg.det(rotations) > 0)
        and found.pose.translation[2] > 0
    )


@settings(max_examples=60, deadline=None)
@given(
    pixels=arrays(np.float32, (33, 3), elements=st.floats(-1e4, 1e4, width=32)),
    world=arrays(np.float32, (33, 3), elements=st.floats(-3, 3, width=32)),
    visibility=arrays(np.float32, 33, elements=st.floats(0, 1, width=32)),
    expected=st.sampled_from([None, STANDING, RUNNER]),
    continuous=st.booleans(),
)
def test_no_landmarks_break_the_fit(pixels, world, visibility, expected, continuous):
    seen = replace(landmarks_of(STANDING), pixels=pixels, world=world, visibility=visibility)
    assert is_sound(fit(seen, prior=expected, continuous=continuous))


@pytest.mark.parametrize(
    "change",
    [
        lambda seen: replace(seen, pixels=np.full_like(seen.pixels, 7), world=np.zeros_like(seen.world)),
        lambda seen: replace(seen, pixels=seen.pixels * np.float32(1e20)),
        lambda seen: replace(
            seen, pixels=seen.pixels * np.float32(1e-20), world=seen.world * np.float32(1e-20)
        ),
        lambda seen: replace(seen, world=-seen.world),
        lambda seen: replace(seen, visibility=np.zeros_like(seen.visibility)),
        lambda seen: replace(seen, pixels=np.full_like(seen.pixels, np.nan)),
        lambda seen: replace(seen, world=np.full_like(seen.world, np.inf)),
    ],
    ids=["all in one point", "huge", "tiny", "mirrored", "nothing visible", "no numbers", "infinite"],
)
@pytest.mark.parametrize("expected", [None, RUNNER], ids=["unexpected", "expected"])
def test_degenerate_landmarks_give_a_sound_body(change, expected):
    assert is_sound(fit(change(landmarks_of(STANDING)), prior=expected))


def test_the_same_landmarks_give_the_same_bits():
    first, second = (fit(landmarks_of(RUNNER), prior=shaken(RUNNER, seed=4)) for _ in range(2))
    assert first.pose.rotations.tobytes() == second.pose.rotations.tobytes()
    assert first.pose.translation.tobytes() == second.pose.translation.tobytes()


@given(vectors=arrays(np.float64, (24, 3), elements=st.floats(-1.5, 1.5)))
@settings(max_examples=30, deadline=None)
def test_markers_move_with_turns_as_their_derivative_says(vectors):
    rest = attach(BODY.rest_joints(np.zeros((1, 10), np.float32))[0].astype(float))
    local = rotation_from_vector(vectors)
    posed = kinematics.pose(rest, local)
    turns = 1e-6 * np.cos(np.arange(72.0)).reshape(24, 3)
    moved = kinematics.pose(rest, kinematics.turn(posed, local, rotation_from_vector(turns))).markers
    slope = kinematics.marker_derivative(posed, kinematics.carries(OWNERS))
    said = np.einsum("mijk,jk->mi", slope, turns)
    assert np.allclose(moved - posed.markers, said, atol=1e-9)


@given(vectors=arrays(np.float64, (24, 3), elements=st.floats(-1.2, 1.2)))
@settings(max_examples=30, deadline=None)
def test_the_pull_to_rest_falls_along_its_slope_as_it_says(vectors):
    rest = attach(BODY.rest_joints(np.zeros((1, 10), np.float32))[0].astype(float))
    pull, local = habits(), rotation_from_vector(vectors)
    posed = kinematics.pose(rest, local)
    strain = pull.strain(local)
    _, slopes = strain.normal_equations(posed)
    turns = -1e-6 * slopes / np.linalg.norm(slopes)
    moved = kinematics.turn(posed, local, rotation_from_vector(turns))
    assert pull.strain(moved).cost - strain.cost == pytest.approx(2 * np.sum(slopes * turns), rel=0.02)
