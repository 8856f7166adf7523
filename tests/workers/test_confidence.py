"""What poses say of themselves: how far off they are expected to be, and how much to believe them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.stick_people import HEIGHT, WIDTH, Person, joints_of
from workers.phalp.confidence import CALIBRATION, FARTHEST_MM, USABLE, confidence, expected_error, growth
from workers.phalp.innovation import MOST, NEWCOMER, running_mean
from workers.phalp.state import SessionState
from workers.phalp.tracker import Tracker
from workers.tracker import FrameFacts
from workers.types import Observation, TrackedPerson


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(joints_of=joints_of, max_people=8)


def follow(
    tracker: Tracker, frames: list[list[Observation]], *, size: int = 1
) -> tuple[SessionState, list[TrackedPerson]]:
    """The state after the frames, and the first person of each; `size` scales the picture's sides."""
    state, shown = tracker.start(), []
    for number, seen in enumerate(frames):
        facts = FrameFacts(number, size * WIDTH, size * HEIGHT)
        state, people, _ = tracker.track(state, facts, seen)
        shown.append(people[0])
    return state, shown


def walk(count: int, *, noise: float = 0.02) -> list[list[Observation]]:
    person = Person(1)
    return [[person.observed(frame, noise=noise)] for frame in range(count)]


def test_the_longer_a_person_is_unseen_the_farther_off_and_the_less_believed(tracker):
    _, shown = follow(tracker, [*walk(30), *([[]] * 40)])
    hidden = shown[29:]
    for name in ("expected_error_mm", "expected_error_px"):
        errors = [getattr(one, name) for one in hidden]
        assert errors == sorted(errors) and errors[-1] > 2 * errors[0]
    believed = [one.confidence for one in hidden]
    assert believed == sorted(set(believed), reverse=True)
    assert believed[-1] > USABLE


def test_who_is_hard_to_predict_states_more_error_at_the_same_score(tracker):
    _, calm = follow(tracker, walk(30, noise=0.01))
    _, jittery = follow(tracker, walk(30, noise=0.15))
    assert jittery[-1].expected_error_mm > 1.5 * calm[-1].expected_error_mm
    assert jittery[-1].expected_error_px > 1.5 * calm[-1].expected_error_px
    assert jittery[-1].confidence < calm[-1].confidence


def test_who_calms_down_is_believed_again(tracker):
    person = Person(1)
    frames = [[person.observed(frame, noise=0.15 if frame < 30 else 0.01)] for frame in range(60)]
    _, shown = follow(tracker, frames)
    assert shown[-1].expected_error_mm < 0.7 * shown[29].expected_error_mm


def test_pixels_grow_with_the_picture_and_millimetres_do_not(tracker):
    frames = walk(20)
    larger = [
        [replace(one, box=2 * one.box, pose=one.pose) for one in seen] for seen in frames
    ]  # a pose's camera follows the picture's longer side
    _, small = follow(tracker, frames)
    _, large = follow(tracker, larger, size=2)
    assert large[-1].expected_error_px == pytest.approx(2 * small[-1].expected_error_px, rel=1e-6)
    assert large[-1].expected_error_mm == pytest.approx(small[-1].expected_error_mm, rel=1e-6)


def test_a_joint_out_of_view_earns_less_than_the_others(tracker):
    frames = walk(20)
    hidden = np.ones(24, np.float32)
    hidden[7] = 0.0
    _, shown = follow(tracker, [[replace(one, joint_visibility=hidden) for one in seen] for seen in frames])
    of_joints = shown[-1].joint_confidence
    assert of_joints[7] == pytest.approx(USABLE, abs=1e-3)
    assert np.delete(of_joints, 7).min() > 0.5


def test_a_jump_of_the_picture_is_no_surprise_about_the_person(tracker):
    person = Person(1, speed_px=(2.0, 0.0))
    frames = [[person.observed(frame, noise=0.01)] for frame in [*range(20), 140]]
    state, shown = follow(tracker, frames[:-1])
    jumped, _ = follow(tracker, frames)
    assert np.array_equal(jumped.tracks[0].innovation, state.tracks[0].innovation)
    assert shown[-1].state == "detected"


@settings(max_examples=50, deadline=None)
@given(
    innovations=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e3), st.integers(1, 1000)), max_size=30),
    unseen=st.integers(0, 1000),
    changes=st.none() | st.tuples(st.floats(0, 1e4), st.floats(0, 1e6)),
    trust=st.floats(USABLE, 1),
)
def test_whatever_happened_errors_are_finite_bounded_and_confidence_within_its_range(
    innovations, unseen, changes, trust
):
    mean = NEWCOMER[None]
    for off_mm, off_lengths, frames in innovations:
        mean = running_mean(mean, np.array([[off_mm, off_lengths]]), frames=np.array([frames]))
    assert (mean <= np.maximum(NEWCOMER, MOST)).all()
    known = None if changes is None else np.array([changes])
    errors = expected_error(mean, np.array([unseen]), changes=known)
    assert np.isfinite(errors).all() and (errors > 0).all()
    most = np.maximum(CALIBRATION.predicted.most, CALIBRATION.observed.most)
    most[0] = max(most[0], FARTHEST_MM)
    assert (errors <= most * (1 + 1e-9)).all()  # but for rounding
    assert USABLE <= confidence(trust, error_mm=float(errors[0, 0])) <= trust


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 300), st.floats(1e-4, 0.3), st.integers(0, 60))
def test_a_prediction_is_never_better_than_an_observation(off_mm, off_lengths, unseen):
    innovation = np.array([[off_mm, off_lengths]])
    sooner, later = (expected_error(innovation, np.array([frames])) for frames in (unseen, unseen + 1))
    assert (later >= sooner).all()


def test_surprise_over_a_gap_counts_as_much_as_the_same_over_one_frame_grown():
    one_frame = np.array([[40.0, 0.02]])
    over_a_gap = one_frame * growth(np.array([9]))
    before = NEWCOMER[None]
    assert running_mean(before, over_a_gap, frames=np.array([9])) == pytest.approx(
        running_mean(before, one_frame, frames=np.array([1]))
    )


def test_an_exact_pose_of_a_certain_person_alone_has_full_confidence():
    assert confidence(1.0, error_mm=0.0) == 1.0
    assert confidence(1.0, error_mm=5.0) < 1.0
    assert confidence(0.9, error_mm=0.0) == pytest.approx(0.9)
