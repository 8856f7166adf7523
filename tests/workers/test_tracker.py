"""What the tracker promises, person by person and frame by frame."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.workers.stick_people import HEIGHT, WIDTH, Person, box_of, joints_of, pixels, swapped
from workers.geometry import rotation_from_vector
from workers.phalp.confidence import USABLE
from workers.phalp.state import STATE_VERSION, SessionState, UnreadableState
from workers.phalp.track import CONFIRMED_HITS, MAX_UNSEEN
from workers.phalp.tracker import Tracker
from workers.tracker import FrameFacts
from workers.types import Observation, TrackedPerson

Frames = list[list[Observation]]


def facts(number: int) -> FrameFacts:
    return FrameFacts(number, WIDTH, HEIGHT)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(joints_of=joints_of, max_people=8)


def follow(
    tracker: Tracker, frames: Frames, *, state: SessionState | None = None, first: int = 0
) -> tuple[SessionState, list[list[TrackedPerson]], list[int | None]]:
    """Fold frames `first`, `first` + 1, ... and collect what is answered."""
    state = state or tracker.start()
    answers, primaries = [], []
    for number, observations in enumerate(frames, start=first):
        state, people, primary = tracker.track(state, facts(number), observations)
        answers.append(people)
        primaries.append(primary)
    return state, answers, primaries


def walk(person: Person, count: int, *, noise: float = 0.02, first: int = 0) -> Frames:
    return [[person.observed(frame, noise=noise)] for frame in range(first, first + count)]


def numbers_of(people: list[TrackedPerson]) -> list[object]:
    """Everything in an answer, comparable bit by bit."""
    return [
        (
            one.track_id,
            one.state,
            one.frames_since_detected,
            one.confidence,
            *(
                array.tobytes()
                for array in (
                    one.pose.rotations,
                    one.pose.betas,
                    one.pose.translation,
                    one.box,
                    one.joint_confidence,
                )
            ),
        )
        for one in people
    ]


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


# ------------------------------------------------------------------ a fold


@st.composite
def clips(draw: st.DrawFn) -> tuple[list[int], Frames]:
    """Rising or jumping frame numbers, and what was seen: up to three people who come and go."""
    people = [Person(seed, start_px=(120.0 + 180 * seed, 180.0)) for seed in range(3)]
    count = draw(st.integers(2, 14))
    numbers, frames = [], []
    number = 0
    for _ in range(count):
        number = max(0, number + draw(st.sampled_from([1, 1, 1, 1, 2, 5, 0, -3, 70])))
        seen = [
            person.observed(number, noise=draw(st.sampled_from([0.0, 0.05, 0.3])))
            for person in people
            if draw(st.booleans())
        ]
        seen = [swapped(one) if draw(st.integers(0, 9)) == 0 else one for one in seen]
        seen = [replace(one, detected=draw(st.booleans()), score=draw(st.floats(0, 1))) for one in seen]
        numbers.append(number)
        frames.append(seen)
    return numbers, frames


def fold(tracker: Tracker, numbers: list[int], frames: Frames) -> tuple[SessionState, list[list[object]]]:
    state, answers = tracker.start(), []
    for number, observations in zip(numbers, frames, strict=True):
        state, people, primary = tracker.track(state, facts(number), observations)
        answers.append([primary, *numbers_of(people)])
    return state, answers


@settings(max_examples=25, deadline=None)
@given(clips())
def test_the_same_frames_give_the_same_answers_bit_by_bit(clip):
    tracker = Tracker(joints_of=joints_of, max_people=8)
    state, answers = fold(tracker, *clip)
    again, answers_again = fold(Tracker(joints_of=joints_of, max_people=8), *clip)
    assert answers == answers_again
    assert state.to_bytes() == again.to_bytes()


@settings(max_examples=25, deadline=None)
@given(clips())
def test_a_session_that_goes_on_from_stored_bytes_is_bit_identical(clip):
    numbers, frames = clip
    tracker = Tracker(joints_of=joints_of, max_people=8)
    undisturbed, stored = tracker.start(), tracker.start()
    for number, observations in zip(numbers, frames, strict=True):
        stored = SessionState.from_bytes(stored.to_bytes())
        undisturbed, people, primary = tracker.track(undisturbed, facts(number), observations)
        stored, people_again, primary_again = tracker.track(stored, facts(number), observations)
        assert (numbers_of(people), primary) == (numbers_of(people_again), primary_again)
    assert undisturbed.to_bytes() == stored.to_bytes()


@settings(max_examples=25, deadline=None)
@given(clips())
def test_looking_ahead_once_for_plan_and_track_changes_no_bit(clip):
    tracker = Tracker(joints_of=joints_of, max_people=8)
    twice, once = tracker.start(), tracker.start()
    for number, observations in zip(*clip, strict=True):
        view = tracker.look_ahead(once, facts(number))
        plans = tracker.plan(twice, facts(number)), tracker.plan(once, facts(number), view)
        planned, planned_again = ([one.pose.rotations.tobytes() for one in plan.proposals] for plan in plans)
        assert planned == planned_again
        twice, people, _ = tracker.track(twice, facts(number), observations)
        once, people_again, _ = tracker.track(once, facts(number), observations, view)
        assert numbers_of(people) == numbers_of(people_again)
    assert once.to_bytes() == twice.to_bytes()


@settings(max_examples=25, deadline=None)
@given(clips())
def test_a_fold_leaves_its_state_and_observations_as_they_were(clip):
    numbers, frames = clip
    tracker = Tracker(joints_of=joints_of, max_people=8)
    state, _ = fold(tracker, numbers, frames)
    before = state.to_bytes()
    seen_before = [one.pose.rotations.tobytes() + one.appearance.tobytes() for one in frames[-1]]

    tracker.plan(state, facts(numbers[-1] + 1))
    tracker.track(state, facts(numbers[-1] + 1), frames[-1])

    assert state.to_bytes() == before
    assert [one.pose.rotations.tobytes() + one.appearance.tobytes() for one in frames[-1]] == seen_before


@settings(max_examples=25, deadline=None)
@given(clips(), st.randoms(use_true_random=False))
def test_the_order_of_observations_does_not_matter(clip, shuffler):
    numbers, frames = clip
    tracker = Tracker(joints_of=joints_of, max_people=2)
    shuffled = [shuffler.sample(seen, len(seen)) for seen in frames]
    assert fold(tracker, numbers, frames)[1] == fold(tracker, numbers, shuffled)[1]


@settings(max_examples=25, deadline=None)
@given(clips())
def test_every_answer_is_finite_orthonormal_bounded_and_known_by_its_id(clip):
    numbers, frames = clip
    tracker = Tracker(joints_of=joints_of, max_people=2)
    state = tracker.start()
    dead: set[int] = set()
    alive: set[int] = set()
    for number, observations in zip(numbers, frames, strict=True):
        plan = tracker.plan(state, facts(number))
        remembered = {track.track_id for track in state.asleep}
        state, people, primary = tracker.track(state, facts(number), observations)
        ids = {one.track_id for one in people}
        # Who comes back under an old id is somebody remembered by their looks.
        assert ids & dead <= remembered
        dead = (dead | alive) - ids
        alive = ids
        assert len(people) <= 2
        assert (primary is None) == (not people)
        for pose in [one.pose for one in people] + [proposal.pose for proposal in plan.proposals]:
            assert np.isfinite(pose.rotations).all() and np.isfinite(pose.translation).all()
            assert np.isfinite(pose.betas).all()
            identity = np.swapaxes(pose.rotations, -1, -2) @ pose.rotations
            assert np.allclose(identity, np.eye(3), atol=1e-5)
        for one in people:
            assert np.isfinite(one.box).all()
            assert 0 <= one.confidence <= 1
            assert one.joint_confidence.min() >= 0 and one.joint_confidence.max() <= 1
            assert one.joint_confidence.mean() >= USABLE - 1e-6
            assert one.frames_since_detected <= MAX_UNSEEN
            assert (one.state == "predicted") == (one.frames_since_detected > 0)


def test_a_state_stays_small_however_long_the_session(tracker):
    state, _, _ = follow(tracker, walk(Person(1), 150))
    assert len(state.to_bytes()) < 64 * 1024


@pytest.mark.parametrize("stored", [b"", b"\x00", b"\x93\x63\x80\x90", b"\xff" * 40], ids=repr)
def test_bytes_that_are_no_state_are_refused(stored):
    with pytest.raises(UnreadableState):
        SessionState.from_bytes(stored)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([{}, [], []], id="one too few"),
        pytest.param([{}, [3], [], {}], id="a track that is a number"),
        pytest.param([{}, [{}], [], {}], id="a track of nothing"),
        pytest.param([{"frame_ms": [99, [0], b""]}, [], [], {}], id="an array of no known kind"),
        pytest.param([{"frame_ms": [0]}, [], [], {}], id="an array without numbers"),
    ],
)
def test_values_that_make_no_state_are_refused(parts):
    with pytest.raises(UnreadableState):
        SessionState.from_bytes(msgspec.msgpack.encode([STATE_VERSION, *parts]))


# ------------------------------------------------------------------ one person


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


# ------------------------------------------------------------------ several people


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
