"""Following people is a fold: pure, the same to the bit however it is stored, looked ahead or shuffled."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.followed import Frames, facts, follow, numbers_of, walk
from tests.workers.stick_people import Person, joints_of, swapped
from workers.phalp.confidence import USABLE
from workers.phalp.state import STATE_VERSION, SessionState, UnreadableState
from workers.phalp.track import MAX_UNSEEN
from workers.phalp.tracker import Tracker


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(joints_of=joints_of, max_people=8)


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
