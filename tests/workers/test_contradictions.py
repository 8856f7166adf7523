"""Frames that contradict a person's motion: what is noticed, what is taken back, what stays."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bench.disturbances import leaped, legs_swapped, mirrored, swapped, upper_mirrored
from tests.workers.stick_people import HEIGHT, WIDTH, Person, joints_of
from wire.skeleton import SMPL_JOINTS
from workers.geometry import rotation_from_vector
from workers.phalp.tracker import Tracker
from workers.phalp.turns import rotations_of, turns_of
from workers.tracker import FrameFacts
from workers.types import BodyPose, Observation, TrackedPerson

WALKER = Person(1, swing=0.3)
RANDOM = np.random.default_rng(3)
LEFT_ARM = [SMPL_JOINTS.index(f"left_{name}") for name in ("shoulder", "elbow", "wrist", "hand")]

Frames = list[list[Observation]]


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(joints_of=joints_of, max_people=8)


def walk(count: int) -> Frames:
    return [[WALKER.observed(frame, noise=0.01)] for frame in range(count)]


def answers(tracker: Tracker, frames: Frames) -> list[list[TrackedPerson]]:
    state, answered = tracker.start(), []
    for number, seen in enumerate(frames):
        state, people, _ = tracker.track(state, FrameFacts(number, WIDTH, HEIGHT), seen)
        answered.append(people)
    return answered


def error_m(shown: BodyPose, true: BodyPose) -> float:
    one, other = (joints_of(pose.rotations[None], pose.betas[None])[0] for pose in (shown, true))
    return float(np.linalg.norm((one - one[0]) - (other - other[0]), axis=-1).mean())


def with_left_arm(seen: Observation, vector: tuple[float, float, float]) -> Observation:
    """The same with the left arm turned."""
    turns = turns_of(seen.pose.rotations.astype(np.float64))
    turns[LEFT_ARM] = rotation_from_vector(np.array(vector)) @ turns[LEFT_ARM]
    return replace(seen, pose=replace(seen.pose, rotations=rotations_of(turns).astype(np.float32)))


# ------------------------------------------------------------------ single frames


@pytest.mark.parametrize("disturb", [mirrored, swapped, upper_mirrored])
def test_a_frame_with_left_and_right_taken_for_each_other_is_read_back_and_counted(tracker, disturb):
    frames = walk(40)
    undisturbed = answers(tracker, frames)
    frames[30] = [disturb(frames[30][0], RANDOM)]
    assert error_m(frames[30][0].pose, WALKER.pose(30)) > 0.15
    shown = answers(tracker, frames)
    assert shown[30][0].contradictions["mirrored"] >= 1
    for number in range(30, 34):
        assert error_m(shown[number][0].pose, undisturbed[number][0].pose) < 0.02
    assert all(not people[0].contradictions for people in shown[:30] + shown[31:])


def test_legs_that_are_taken_for_each_other_are_read_back_alone(tracker):
    person = Person(1, swing=0.6)
    frames = [[person.observed(frame, noise=0.005)] for frame in range(40)]
    frames[30] = [legs_swapped(frames[30][0], RANDOM)]
    shown = answers(tracker, frames)
    assert shown[30][0].contradictions == {"mirrored": 1}
    assert error_m(shown[30][0].pose, person.pose(30)) < 0.05


def test_an_arm_that_leaps_for_a_frame_hardly_shows_and_the_rest_is_followed(tracker):
    frames = walk(40)
    undisturbed = answers(tracker, frames)
    frames[30] = [with_left_arm(frames[30][0], (0.0, 0.0, 2.0))]
    shown = answers(tracker, frames)
    assert shown[30][0].contradictions == {"leaped": 1}
    assert error_m(shown[30][0].pose, undisturbed[30][0].pose) < 0.01
    left, right = (
        shown[30][0].joint_confidence[SMPL_JOINTS.index(f"{side}_wrist")] for side in ("left", "right")
    )
    assert left < right


def test_somebody_elses_arm_is_told_from_one_that_leaps(tracker):
    # Two who stand so near that the arm of one reaches the other's; for a frame it is taken for it.
    size = 150.0
    one = Person(1, start_px=(300.0, 180.0), speed_px=(0.0, 0.0), height_px=size, swing=0.05)
    other = Person(2, start_px=(300.0 + 0.55 * size, 180.0), speed_px=(0.0, 0.0), height_px=size, swing=0.05)
    frames = [[one.observed(frame), other.observed(frame)] for frame in range(30)]
    frames[20][0] = with_left_arm(frames[20][0], (0.0, 0.9, 0.0))
    shown = answers(tracker, frames)
    assert sum(shown[20][0].contradictions.values()) == 1
    assert not shown[20][1].contradictions


# ------------------------------------------------------------------ what stays


@pytest.mark.parametrize(
    "disturb", [mirrored, upper_mirrored, lambda seen, _: with_left_arm(seen, (0, 0, 2.0))]
)
def test_what_stays_is_believed_in_the_end(tracker, disturb: Callable[..., Observation]):
    frames = walk(50)
    frames[25:] = [[disturb(seen[0], RANDOM)] for seen in frames[25:]]
    shown = answers(tracker, frames)
    assert shown[25][0].contradictions
    assert not shown[-1][0].contradictions
    assert error_m(shown[-1][0].pose, frames[-1][0].pose) < 0.06


def test_a_person_who_turns_round_is_followed_and_nothing_is_taken_back(tracker):
    frames = []
    for frame in range(60):
        seen = WALKER.observed(frame, noise=0.01)
        rotations = seen.pose.rotations.copy()
        rotations[0] = rotations[0] @ rotation_from_vector(
            np.array([0, np.clip(frame - 20, 0, 20) * np.pi / 20, 0])
        )
        frames.append([replace(seen, pose=replace(seen.pose, rotations=rotations.astype(np.float32)))])
    shown = answers(tracker, frames)
    assert not any(people[0].contradictions for people in shown)
    assert error_m(shown[-1][0].pose, frames[-1][0].pose) < 0.03


def test_no_limb_contradicts_a_motion_that_is_not_known_yet(tracker):
    frames = walk(10)
    frames[1] = [with_left_arm(frames[1][0], (0.0, 0.0, 2.0))]
    assert not answers(tracker, frames)[1][0].contradictions


def test_a_body_that_is_elsewhere_for_a_frame_is_counted(tracker):
    frames = walk(40)
    seen = frames[30][0]
    away = replace(seen.pose, translation=seen.pose.translation * np.array([0.2, 1, 1], np.float32))
    frames[30] = [replace(seen, pose=away, detected=False)]
    assert answers(tracker, frames)[30][0].contradictions == {"leaped": 1}


def test_what_the_observer_took_back_is_counted_as_well(tracker):
    frames = walk(12)
    frames[10] = [replace(frames[10][0], sides_swapped=True)]
    shown = answers(tracker, frames)
    assert [people[0].contradictions for people in shown[9:]] == [{}, {"mirrored": 1}, {}]


def test_people_who_are_read_together_are_read_as_they_are_alone(tracker):
    crowd = [Person(seed, start_px=(80.0 + 120 * seed, 180.0), swing=0.3) for seed in range(4)]
    frames = [[person.observed(frame, noise=0.01) for person in crowd] for frame in range(25)]
    frames[20][1] = mirrored(frames[20][1], RANDOM)
    frames[20][2] = leaped(frames[20][2], np.random.default_rng(5))
    together = answers(tracker, frames)[20]
    for index, person in enumerate(together):
        alone = answers(tracker, [[seen[index]] for seen in frames])[20][0]
        assert person.contradictions == alone.contradictions
        np.testing.assert_array_equal(person.pose.rotations, alone.pose.rotations)
    assert [bool(person.contradictions) for person in together] == [False, True, True, False]
