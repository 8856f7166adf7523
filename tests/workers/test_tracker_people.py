"""What the tracker promises where there are several people."""

from dataclasses import replace

import numpy as np
import pytest

from tests.workers.followed import Frames, follow, walk
from tests.workers.stick_people import Person, box_of, joints_of, pixels
from workers.geometry import rotation_from_vector
from workers.phalp.track import MAX_UNSEEN
from workers.phalp.tracker import Tracker
from workers.types import Observation


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(joints_of=joints_of, max_people=8)


def test_who_is_seen_in_a_box_of_the_callers_is_told_by_its_place_in_his_list(tracker: Tracker) -> None:
    left, right = Person(0, start_px=(120.0, 180.0)), Person(1, start_px=(420.0, 180.0))
    frames = [
        [
            replace(right.observed(number, noise=0.0), box_index=0),
            replace(left.observed(number, noise=0.0), box_index=1),
        ]
        for number in range(3)
    ]
    _, answers, _ = follow(tracker, [*frames, frames[2][:1]])

    told = [
        {one.box_index: float(one.box[0]) for one in people if one.frames_since_detected == 0}
        for people in answers
    ]
    assert [told[number].keys() for number in range(4)] == [{0, 1}, {0, 1}, {0, 1}, {0}]
    assert all(boxes[0] > boxes[1] for boxes in told[:3])
    assert {one.box_index for one in answers[3] if one.frames_since_detected} == {None}


def test_a_hidden_person_comes_back_with_their_id(tracker):
    walker, waiter = Person(1, speed_px=(1.0, 0.0)), Person(2, start_px=(450.0, 180.0), speed_px=(0.0, 0.0))
    frames = [
        [
            one.observed(number, noise=0.02)
            for one in (walker, waiter)
            if one is waiter or not 20 <= number < 45
        ]
        for number in range(60)
    ]
    _, answers, _ = follow(tracker, frames)
    assert {one.track_id for people in answers for one in people} == {1, 2}
    assert [one.state for one in answers[-1]] == ["detected", "detected"]
    assert np.abs(pixels(answers[-1][0].pose) - pixels(frames[-1][0].pose)).mean() < 10


def test_who_turns_over_out_of_sight_is_found_again_at_once_and_predicted_from_there(tracker):
    jumper = Person(1, speed_px=(3.0, 0.0), swing=0.3)
    over = rotation_from_vector(np.array([0.0, 0.0, 2.5]))

    def landed(number: int) -> Observation:
        seen = jumper.observed(number, noise=0.01)
        pose = replace(seen.pose, rotations=seen.pose.rotations.copy())
        pose.rotations[0] = over @ pose.rotations[0]
        pose.translation[:2] += 0.3
        return replace(seen, pose=pose, box=box_of(pose))

    frames: Frames = [*walk(jumper, 20, noise=0.01), [], [], [], [], [landed(24)], [], []]
    _, answers, _ = follow(tracker, frames)
    assert {one.track_id for people in answers for one in people} == {1}
    shown = pixels(landed(24).pose)
    assert np.abs(pixels(answers[24][0].pose) - shown).max() < 8
    assert np.abs(pixels(answers[26][0].pose) - shown).max() < 8


def test_a_limb_that_moves_at_once_is_believed_at_once(tracker):
    person = Person(1, swing=0.1, speed_px=(0.0, 0.0))
    frames = walk(person, 32, noise=0.0)
    for seen in frames[30:]:
        for joint in (1, 2, 16, 17):  # crouches, arms up
            seen[0].pose.rotations[joint] = rotation_from_vector(np.array([-1.6, 0.0, 0.0]))
    _, answers, _ = follow(tracker, frames)
    assert np.abs(pixels(answers[30][0].pose) - pixels(frames[30][0].pose)).mean() < 2


def test_people_who_cross_keep_their_ids(tracker):
    right = Person(1, start_px=(150.0, 180.0), speed_px=(4.0, 0.0))
    left = Person(2, start_px=(450.0, 180.0), speed_px=(-4.0, 0.0))
    frames: Frames = []
    for number in range(76):
        seen = [one.observed(number, noise=0.02) for one in (right, left)]
        # Where they meet, the one behind is not seen.
        frames.append(seen[:1] if 32 <= number <= 43 else seen)
    _, answers, _ = follow(tracker, frames)
    assert {one.track_id for people in answers for one in people} == {1, 2}
    for number in (0, 20, 50, 75):
        by_id = {one.track_id: pixels(one.pose)[0, 0] for one in answers[number]}
        assert by_id[1] == pytest.approx(pixels(right.pose(number))[0, 0], abs=8)
        assert by_id[2] == pytest.approx(pixels(left.pose(number))[0, 0], abs=8)


def test_two_observations_of_one_person_make_one_track(tracker):
    person = Person(1)
    frames = [
        [person.observed(number, noise=0.01, noise_seed=seed) for seed in (0, 1)] for number in range(5)
    ]
    _, answers, _ = follow(tracker, frames)
    assert {len(people) for people in answers} == {1}


def test_a_limb_taken_for_a_body_where_the_tracker_looked_makes_way_for_the_person(tracker):
    person = Person(1)
    frames = walk(person, 20, noise=0.01)
    for number in range(15, 20):
        whole = frames[number][0]
        low, high = whole.box[:2], whole.box[2:]
        middle = np.concatenate([low + 0.3 * (high - low), high - 0.1 * (high - low)]).astype(np.float32)
        pose = replace(whole.pose, translation=whole.pose.translation + np.float32([0.3, 0.3, 0]))
        limb = replace(whole, box=middle, pose=pose, detected=False, proposal=1)
        frames[number] = [limb, whole]
    _, answers, _ = follow(tracker, frames)
    assert {len(people) for people in answers} == {1}
    assert np.abs(pixels(answers[-1][0].pose) - pixels(frames[-1][1].pose)).mean() < 3


def test_the_primary_person_is_the_most_prominent_and_stays(tracker):
    small = Person(1, start_px=(100.0, 200.0), speed_px=(0.0, 0.0), height_px=80)
    big = Person(2, start_px=(330.0, 180.0), speed_px=(0.0, 0.0), height_px=180)
    bigger = Person(3, start_px=(500.0, 180.0), speed_px=(0.0, 0.0), height_px=300)
    both = [[one.observed(number) for one in (small, big)] for number in range(10)]
    all_three = [[one.observed(number) for one in (small, big, bigger)] for number in range(10, 20)]
    without = [[one.observed(number) for one in (small, bigger)] for number in range(20, 75)]
    _, answers, primaries = follow(tracker, [*both, *all_three, *without])
    shown = [people[primary].track_id for people, primary in zip(answers, primaries, strict=True)]
    assert shown == [2] * (20 + MAX_UNSEEN) + [3] * 5


def test_no_more_people_are_followed_than_allowed(tracker):
    tracker = Tracker(joints_of=joints_of, max_people=2)
    crowd = [Person(seed, start_px=(80.0 + 120 * seed, 180.0)) for seed in range(5)]
    _, answers, _ = follow(tracker, [[one.observed(number) for one in crowd] for number in range(5)])
    assert {tuple(one.track_id for one in people) for people in answers} == {(1, 2)}
