"""What the tracker promises of one person, frame by frame."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.workers.followed import facts, follow, walk
from tests.workers.stick_people import Person, joints_of, pixels, swapped
from workers.phalp.confidence import USABLE
from workers.phalp.track import CONFIRMED_HITS, MAX_UNSEEN
from workers.phalp.tracker import Tracker


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(joints_of=joints_of, max_people=8)


def test_a_person_is_answered_in_the_first_frame(tracker):
    _, [people], [primary] = follow(tracker, walk(Person(1), 1))
    assert [(one.track_id, one.state, one.frames_since_detected) for one in people] == [(1, "detected", 0)]
    assert primary == 0


def test_a_person_is_tentative_until_seen_often_enough(tracker):
    _, answers, _ = follow(tracker, walk(Person(1), CONFIRMED_HITS + 1))
    assert [people[0].tentative for people in answers] == [True] * (CONFIRMED_HITS - 1) + [False] * 2


def test_found_where_the_tracker_looked_is_recovered_and_believed_a_little_less(tracker):
    person = Person(1)
    frames = walk(person, 10)
    frames.append([replace(person.observed(10), detected=False, proposal=1)])
    _, answers, _ = follow(tracker, frames)
    assert answers[-1][0].state == "recovered"
    assert answers[-1][0].frames_since_detected == 0
    assert USABLE < answers[-1][0].confidence < answers[-2][0].confidence


def test_out_of_sight_a_person_is_predicted_with_falling_confidence_until_given_up(tracker):
    _, answers, primaries = follow(tracker, [*walk(Person(1), 30), *([[]] * (MAX_UNSEEN + 1))])
    hidden = [people[0] for people in answers[30:-1]]
    assert [one.frames_since_detected for one in hidden] == list(range(1, MAX_UNSEEN + 1))
    assert {one.state for one in hidden} == {"predicted"}
    confidences = [one.confidence for one in hidden]
    assert confidences == sorted(confidences, reverse=True)
    assert min(confidences) >= USABLE
    assert answers[-1] == [] and primaries[-1] is None


def test_a_box_seen_once_does_not_linger(tracker):
    _, answers, _ = follow(tracker, [*walk(Person(1), 1), *([[]] * 10)])
    assert [len(people) for people in answers] == [1] * 4 + [0] * 7


@pytest.mark.parametrize("swing", [0.3, 1.0])
def test_a_prediction_comes_to_rest_near_where_the_person_was(tracker, swing):
    runner = Person(3, speed_px=(9.0, -4.0), swing=swing)
    state, _, _ = follow(tracker, walk(runner, 20, noise=0.0))
    x0, y0, x1, y1 = runner.observed(19).box
    for number in range(20, 20 + MAX_UNSEEN):
        state, people, _ = tracker.track(state, facts(number), [])
        if not people:
            break  # ran out of the picture
        points = pixels(people[0].pose)
        beyond = np.maximum(np.maximum([x0, y0] - points, points - [x1, y1]), 0)
        assert np.linalg.norm(beyond, axis=-1).max() < 1.5 * (y1 - y0)
    assert number > 22


def test_the_next_frames_are_predicted_from_the_motion(tracker):
    person = Person(1, speed_px=(5.0, 1.0))
    state, answers, _ = follow(tracker, walk(person, 30, noise=0.0))
    held_error = np.linalg.norm(pixels(answers[-1][0].pose) - pixels(person.pose(31)), axis=-1).mean()
    _, people, _ = tracker.track(state, facts(31), [])
    error = np.linalg.norm(pixels(people[0].pose) - pixels(person.pose(31)), axis=-1).mean()
    assert error < 0.5 * held_error


def test_the_plan_expects_the_person_where_the_motion_leads(tracker):
    person = Person(1, speed_px=(5.0, 1.0))
    state, _, _ = follow(tracker, walk(person, 30, noise=0.0))
    [proposal] = tracker.plan(state, facts(30)).proposals
    assert proposal.track_id == 1
    assert proposal.continuous
    assert np.linalg.norm(pixels(proposal.pose) - pixels(person.pose(30)), axis=-1).mean() < 3


def test_noise_is_smoothed_away(tracker):
    person = Person(1, swing=0.2, height_px=280)
    frames = walk(person, 80, noise=0.03)
    _, answers, _ = follow(tracker, frames)

    def jitter(points):
        return np.abs(np.diff(np.array(points), n=2, axis=0)).mean()

    shown = jitter([pixels(people[0].pose) for people in answers])
    assert shown < 0.4 * jitter([pixels(seen[0].pose) for seen in frames])


def test_how_somebody_was_seen_is_said_beside_what_is_shown(tracker):
    frames = [*walk(Person(1), 30), []]
    _, answers, _ = follow(tracker, frames)

    for people, [seen] in zip(answers[:30], frames[:30], strict=True):
        measured = Rotation.from_quat(people[0].measured.turns).as_matrix()
        np.testing.assert_allclose(measured[0], seen.pose.rotations[0], atol=1e-3)
        np.testing.assert_allclose(
            (measured[0].T @ measured[1]), seen.pose.rotations[1], atol=1e-3
        )  # the left hip below the pelvis
    assert answers[30][0].measured is None


def test_a_fast_motion_is_followed_without_lag(tracker):
    person = Person(2, speed_px=(8.0, 3.0), swing=0.8)
    frames = walk(person, 40, noise=0.0)
    _, answers, _ = follow(tracker, frames)
    lag = [
        np.linalg.norm(pixels(people[0].pose) - pixels(seen[0].pose), axis=-1).mean()
        for people, seen in zip(answers[5:], frames[5:], strict=True)
    ]
    assert np.mean(lag) < 4


def test_a_single_frame_with_left_and_right_mistaken_hardly_shows(tracker):
    person = Person(1)
    frames = walk(person, 40, noise=0.01)
    frames[30] = [swapped(frames[30][0])]
    _, answers, _ = follow(tracker, frames)
    for number in (30, 31):
        shown = joints_of(answers[number][0].pose.rotations[None], np.zeros((1, 10), np.float32))[0]
        true = joints_of(person.pose(number).rotations[None], np.zeros((1, 10), np.float32))[0]
        assert np.linalg.norm(shown - true, axis=-1).mean() < 0.1


def test_a_pose_that_stays_changed_is_believed_after_a_few_frames(tracker):
    person = Person(1)
    frames = walk(person, 40, noise=0.01)
    frames[30:] = [[swapped(seen[0])] for seen in frames[30:]]
    _, answers, _ = follow(tracker, frames)
    error = np.linalg.norm(pixels(answers[-1][0].pose) - pixels(frames[-1][0].pose), axis=-1).mean()
    assert error < 3


def test_a_jump_of_the_picture_keeps_the_person_and_smears_nothing(tracker):
    person = Person(1, speed_px=(2.0, 0.0))
    frames = [*walk(person, 20), *walk(person, 5, first=120)]
    state, answers, _ = follow(tracker, frames[:21])
    assert answers[-1][0].track_id == 1
    difference = pixels(answers[-1][0].pose) - pixels(frames[20][0].pose)
    assert np.abs(difference).max() < 0.5
    assert not tracker.plan(state, facts(21)).proposals[0].continuous

    state, answers, _ = follow(tracker, frames[21:], state=state, first=21)
    assert {one.track_id for people in answers for one in people} == {1}
    assert tracker.plan(state, facts(25)).proposals[0].continuous


def test_frames_in_string_order_show_one_person_throughout(tracker):
    person = Person(1, speed_px=(2.5, 0.0), start_px=(60.0, 180.0))
    order = sorted(range(1, 141), key=str)
    frames = [[person.observed(frame, noise=0.02)] for frame in order]
    _, answers, _ = follow(tracker, frames)
    assert {one.track_id for people in answers for one in people} == {1}
    errors = [
        np.linalg.norm(pixels(people[0].pose) - pixels(seen[0].pose), axis=-1).mean()
        for people, seen in zip(answers, frames, strict=True)
    ]
    assert max(errors) < 10


def test_frames_that_were_stepped_over_count_in_the_motion(tracker):
    person = Person(1, speed_px=(3.0, 0.0))
    state, _, _ = follow(tracker, walk(person, 20, noise=0.0))
    _, people, _ = tracker.track(state, facts(23), [])
    assert people[0].frames_since_detected == 4
    moved = pixels(people[0].pose).mean(axis=0) - pixels(person.pose(19)).mean(axis=0)
    assert 5 < moved[0] <= 12


def test_the_shape_settles_and_then_stays(tracker):
    draw = np.random.default_rng(5)
    person = Person(1, swing=0.2)
    frames = walk(person, 120)
    for seen in frames:
        betas = draw.normal(0.5, 0.3, 10).astype(np.float32)
        seen[0] = replace(seen[0], pose=replace(seen[0].pose, betas=betas))
    _, answers, _ = follow(tracker, frames)
    rest = np.eye(3, dtype=np.float32)[None, None].repeat(24, 1)
    heights = [float(np.ptp(joints_of(rest, people[0].pose.betas[None])[0, :, 1])) for people in answers[30:]]
    assert max(heights) / min(heights) < 1.01


def test_a_shape_that_settles_does_not_move_the_picture(tracker):
    tall = np.array([2.0] + [0.0] * 9, np.float32)
    person = Person(1, swing=0.0, speed_px=(0.0, 0.0))
    frames = walk(person, 2, noise=0.0)
    true = frames[1][0].pose
    rest = np.eye(3, dtype=np.float32)[None, None].repeat(24, 1)
    pelvis = joints_of(rest, true.betas[None])[0, 0] + true.translation
    # The same picture: a body 20 % taller, 20 % farther away.
    farther = (pelvis * 1.2 - joints_of(rest, tall[None])[0, 0]).astype(np.float32)
    frames[1] = [replace(frames[1][0], pose=replace(true, betas=tall, translation=farther))]
    _, answers, _ = follow(tracker, frames)
    assert answers[1][0].pose.betas[0] == pytest.approx(1.0)
    assert np.abs(pixels(answers[1][0].pose) - pixels(true)).max() < 1


def test_a_person_seen_upside_down_for_a_frame_keeps_place_and_size(tracker):
    person = Person(1)
    frames = walk(person, 30, noise=0.01)
    upside_down = frames[20][0].pose.rotations.copy()
    upside_down[0] = np.diag([-1.0, -1.0, 1.0]).astype(np.float32) @ upside_down[0]
    frames[20] = [replace(frames[20][0], pose=replace(frames[20][0].pose, rotations=upside_down))]
    _, answers, _ = follow(tracker, frames)
    for number in (20, 21):
        shown, true = answers[number][0].pose, person.pose(number)
        assert np.linalg.norm(pixels(shown)[0] - pixels(true)[0]) < 10
        assert shown.translation[2] == pytest.approx(true.translation[2], rel=0.1)


def test_an_observation_that_is_no_number_shows_nobody(tracker):
    seen = Person(1).observed(0)
    broken = replace(seen, pose=replace(seen.pose, translation=np.full(3, np.nan, np.float32)))
    _, people, primary = tracker.track(tracker.start(), facts(0), [broken])
    assert (people, primary) == ([], None)
