"""What PHALP's tracker promises, person by person and frame by frame, whatever its networks say."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.parity import phalp_networks
from workers.phalp.learned.associate import LooksAsked
from workers.phalp.learned.life import CONFIRMED_HITS, MAX_UNSEEN, PosesAsked
from workers.phalp.learned.state import SessionState
from workers.phalp.learned.tracker import LearnedTracker
from workers.phalp.state import UnreadableState
from workers.texture import Texture
from workers.thumbnail import SIDE, Thumbnail
from workers.tracker import FrameFacts, Tracked
from workers.types import BodyPose, Observation, TrackedPerson

WIDTH, HEIGHT = 641, 360


def alike(asked: Sequence[LooksAsked]) -> list[np.ndarray]:
    """Everybody looks the same."""
    return [np.zeros(len(one.pairs)) for one in asked]


def held(asked: Sequence[PosesAsked]) -> list[np.ndarray]:
    """Everybody stays as he was."""
    return [one.poses[:, -1] for one in asked]


@pytest.fixture
def tracker() -> LearnedTracker:
    return LearnedTracker(looks=alike, poses=held, max_people=4)


def observed(x_m: float, *, depth_m: float = 40.0, score: float = 0.9) -> Observation:
    """Someone who stands `x_m` metres to the right of the camera's axis."""
    middle = WIDTH / 2 + 5000 / 256 * WIDTH * x_m / depth_m
    seen = np.zeros(256 * 256, bool)
    seen[1000:9000] = True
    return Observation(
        pose=BodyPose(
            rotations=np.broadcast_to(np.eye(3, dtype=np.float32), (24, 3, 3)),
            betas=np.zeros(10, np.float32),
            translation=np.array([x_m, 0.1, depth_m], np.float32),
        ),
        box=np.array([middle - 40, 60, middle + 40, 300], np.float32),
        score=score,
        joint_visibility=np.ones(24, np.float32),
        appearance=np.zeros((1, 3), np.float32),
        patch_weight=np.zeros(1, np.float32),
        detected=True,
        proposal=None,
        texture=Texture.of_seen(np.full((3, 8000), 0.1), seen),
    )


def track(
    tracker: LearnedTracker, state: SessionState, facts: FrameFacts, observations: Sequence[Observation]
) -> Tracked[SessionState]:
    """One frame alone."""
    (expected,) = tracker.expect([(state, facts)])
    (tracked,) = tracker.follow([(expected, observations)])
    return tracked


def follow(
    tracker: LearnedTracker,
    frames: Sequence[Sequence[Observation]],
    *,
    state: SessionState | None = None,
    numbers: Sequence[int] | None = None,
    pictures: Sequence[Thumbnail] | None = None,
) -> tuple[SessionState, list[list[TrackedPerson]]]:
    state = state or tracker.start()
    answers = []
    for place, observations in enumerate(frames):
        number = numbers[place] if numbers else place
        picture = pictures[place] if pictures else None
        tracked = track(tracker, state, FrameFacts(number, WIDTH, HEIGHT, picture), observations)
        state = tracked.state
        answers.append(tracked.people)
    return state, answers


def walk(count: int, *, step_m: float = 0.05) -> list[list[Observation]]:
    return [[observed(step_m * frame)] for frame in range(count)]


def ids(people: Sequence[TrackedPerson]) -> list[int]:
    return [person.track_id for person in people]


def test_a_person_is_answered_from_the_first_frame_as_he_was_seen(tracker: LearnedTracker) -> None:
    seen = observed(0.3)
    _, ((person,),) = follow(tracker, [[seen]])
    assert (person.track_id, person.state, person.frames_since_detected) == (1, "detected", 0)
    np.testing.assert_allclose(person.pose.translation, seen.pose.translation, atol=1e-5)
    np.testing.assert_array_equal(person.pose.rotations, seen.pose.rotations)
    np.testing.assert_allclose(person.box, seen.box, atol=1e-2)


def test_who_is_seen_in_a_box_of_the_callers_is_told_by_its_place_in_his_list(
    tracker: LearnedTracker,
) -> None:
    frame = [replace(observed(0.8), box_index=0), replace(observed(-0.8), box_index=1)]
    _, (*answers, lost) = follow(tracker, [frame] * 12 + [[]])

    for people in answers:
        places = {person.box_index: float(person.pose.translation[0]) for person in people}
        assert places == {0: pytest.approx(0.8), 1: pytest.approx(-0.8)}
    assert [person.box_index for person in lost] == [None, None]


def test_a_person_keeps_his_id_while_he_walks(tracker: LearnedTracker) -> None:
    _, answers = follow(tracker, walk(30))
    assert [ids(people) for people in answers] == [[1]] * 30


def test_who_is_lost_is_answered_where_he_is_expected(tracker: LearnedTracker) -> None:
    _, answers = follow(tracker, walk(12) + [[]] * 4)
    for number, people in enumerate(answers[12:], start=12):
        (person,) = people
        assert (person.state, person.frames_since_detected) == ("predicted", number - 11)
        np.testing.assert_allclose(person.pose.translation[0], 0.05 * number, atol=0.05)
        middle = observed(0.05 * number).box[[0, 2]].mean()
        np.testing.assert_allclose(person.box[[0, 2]].mean(), middle, atol=10)


def test_confidence_falls_while_a_person_is_lost(tracker: LearnedTracker) -> None:
    _, answers = follow(tracker, walk(12) + [[]] * 6)
    believed = [people[0].confidence for people in answers[11:]]
    assert believed == sorted(believed, reverse=True)
    assert len(set(believed)) == len(believed)


def test_a_suspicion_that_nobody_confirms_is_dropped(tracker: LearnedTracker) -> None:
    _, answers = follow(tracker, [*walk(CONFIRMED_HITS - 1), []])
    assert answers[-1] == []


def test_who_was_seen_often_enough_is_remembered_for_so_long_and_no_longer(tracker: LearnedTracker) -> None:
    _, answers = follow(tracker, walk(CONFIRMED_HITS) + [[]] * (MAX_UNSEEN + 1))
    assert [len(people) for people in answers[-2:]] == [1, 0]


def test_who_was_seen_less_than_five_times_is_tentative(tracker: LearnedTracker) -> None:
    _, answers = follow(tracker, walk(CONFIRMED_HITS + 1))
    assert [people[0].tentative for people in answers] == [True] * (CONFIRMED_HITS - 1) + [False] * 2


def views(count: int, *, cut: int | None = None) -> list[Thumbnail]:
    """Pictures of one place that hardly change; from frame `cut` on, of another."""
    draw = np.random.default_rng(0)
    places = draw.integers(60, 200, (2, SIDE, SIDE))
    noise = draw.integers(0, 2, (count, SIDE, SIDE))
    return [
        (places[int(cut is not None and number >= cut)] + noise[number]).astype(np.uint8)
        for number in range(count)
    ]


def test_after_a_cut_people_are_known_by_looks_and_pose_wherever_they_are(tracker: LearnedTracker) -> None:
    elsewhere = [[observed(1.2 + 0.05 * number, depth_m=25.0)] for number in range(6)]
    _, answers = follow(tracker, walk(12) + elsewhere, pictures=views(18, cut=12))
    assert [ids(people) for people in answers] == [[1]] * 18
    np.testing.assert_allclose(answers[-1][0].pose.translation, elsewhere[-1][0].pose.translation, atol=1e-5)
    _, answers = follow(tracker, walk(12) + elsewhere, pictures=views(18))
    assert ids(answers[12]) == [1, 2]  # without a cut nobody is there at once


def test_after_a_cut_the_observer_is_told_that_nobody_need_be_where_he_was(tracker: LearnedTracker) -> None:
    state, _ = follow(tracker, walk(12), pictures=views(12))
    same, other = views(13)[12], views(13, cut=12)[12]
    for picture, continuous in ((same, True), (other, False)):
        (expected,) = tracker.expect([(state, FrameFacts(12, WIDTH, HEIGHT, picture))])
        assert [proposal.continuous for proposal in expected.plan.proposals] == [continuous]


def test_frames_that_were_left_out_count(tracker: LearnedTracker) -> None:
    every_third = [number * 3 for number in range(12)]
    _, answers = follow(tracker, walk(12, step_m=0.15), numbers=every_third)
    assert [ids(people) for people in answers] == [[1]] * 12
    _, answers = follow(tracker, [*walk(12), []], numbers=[*range(12), 20])
    (person,) = answers[-1]
    assert person.frames_since_detected == 9
    np.testing.assert_allclose(person.pose.translation[0], 0.05 * 20, atol=0.1)


def test_a_frame_that_comes_again_counts_as_the_next(tracker: LearnedTracker) -> None:
    _, answers = follow(tracker, walk(10), numbers=[0, 1, 2, 3, 4, 5, 5, 3, 8, 9])
    assert [ids(people) for people in answers] == [[1]] * 10


def test_the_order_of_observations_does_not_matter(tracker: LearnedTracker) -> None:
    frames = [[observed(-0.6 + 0.02 * number), observed(0.6)] for number in range(8)]
    one, _ = follow(tracker, frames)
    other, _ = follow(tracker, [frame[::-1] for frame in frames])
    assert one.to_bytes() == other.to_bytes()


def test_the_observer_is_told_whom_to_expect(tracker: LearnedTracker) -> None:
    state, _ = follow(tracker, walk(12))
    for number in (12, 14):
        (expected,) = tracker.expect([(state, FrameFacts(number, WIDTH, HEIGHT))])
        (proposal,) = expected.plan.proposals
        assert (proposal.track_id, proposal.unseen, proposal.settled) == (1, number - 11, True)
        np.testing.assert_allclose(proposal.pose.translation[0], 0.05 * number, atol=0.05)


def test_an_observation_without_texture_or_with_a_number_that_is_none_shows_nobody(
    tracker: LearnedTracker,
) -> None:
    seen = observed(0.0)
    nowhere = replace(seen.pose, translation=np.array([0, np.nan, 40], np.float32))
    behind = replace(seen.pose, translation=np.array([0, 0, -40], np.float32))
    frame = [replace(seen, texture=None), replace(seen, pose=nowhere), replace(seen, pose=behind)]
    _, answers = follow(tracker, [frame])
    assert answers == [[]]


def test_who_shows_nothing_of_his_surface_is_followed_by_place_and_pose(tracker: LearnedTracker) -> None:
    bare = Texture.of_seen(np.zeros((3, 0)), np.zeros(256 * 256, bool))
    frames = walk(6)
    frames[2:4] = [[replace(frame[0], texture=bare)] for frame in frames[2:4]]
    _, answers = follow(tracker, frames)
    assert [ids(people) for people in answers] == [[1]] * 6
    _, answers = follow(tracker, [[replace(frame[0], texture=bare)] for frame in walk(6)])
    assert [ids(people) for people in answers] == [[1]] * 6


def test_a_gap_counts_by_the_times_of_its_frames(tracker: LearnedTracker) -> None:
    state = tracker.start()
    for number, observations in enumerate(walk(10)):
        facts = FrameFacts(number, WIDTH, HEIGHT, timestamp_ms=40.0 * number)
        state = track(tracker, state, facts, observations).state
    later = track(tracker, state, FrameFacts(10, WIDTH, HEIGHT, timestamp_ms=40.0 * 14), [])
    assert [person.frames_since_detected for person in later.people] == [5]


def test_who_is_named_is_primary_from_then_on(tracker: LearnedTracker) -> None:
    seen = [observed(0.0), observed(3.0, depth_m=60.0)]
    first = track(tracker, tracker.start(), FrameFacts(0, WIDTH, HEIGHT), seen)
    assert first.primary is not None
    other = 1 - first.primary
    x0, y0, x1, y1 = (float(side) for side in first.people[other].box)
    named = FrameFacts(1, WIDTH, HEIGHT, target=(x0, y0, x1, y1))
    second = track(tracker, first.state, named, seen)
    third = track(tracker, second.state, FrameFacts(2, WIDTH, HEIGHT), seen)
    assert (second.primary, third.primary) == (other, other)


def test_no_more_people_are_followed_than_may_be(tracker: LearnedTracker) -> None:
    old = [[observed(x) for x in (-1.2, -0.6, 0.6, 1.2)]] * CONFIRMED_HITS
    crowd = [[observed(x) for x in (-1.2, -0.6, 0.0, 0.6)]]
    _, answers = follow(tracker, old + crowd)
    assert ids(answers[-1]) == [1, 2, 3, 5]  # who was not seen makes room


def test_a_stored_session_goes_on_as_if_it_had_never_stopped(tracker: LearnedTracker) -> None:
    frames = [*walk(8), [], *walk(3)]
    state, _ = follow(tracker, frames)
    again = tracker.start()
    for number, frame in enumerate(frames):
        again = SessionState.from_bytes(again.to_bytes())
        again = track(tracker, again, FrameFacts(number, WIDTH, HEIGHT), frame).state
    assert again.to_bytes() == state.to_bytes()


def test_a_session_is_the_same_whatever_its_company() -> None:
    networks = phalp_networks.both("a", damping=0.1)
    tracker = LearnedTracker(looks=networks.looks, poses=networks.poses, max_people=4)
    sessions = [
        [[observed(0.05 * number)] for number in range(9)],
        [[observed(0.3), observed(0.32 + 0.001 * number)] for number in range(9)],  # looks decide
        [[observed(-0.6 + 0.4 * place) for place in range(4)] for _ in range(9)],
    ]
    numbers = [0, 1, 2, 3, 4, 5, 8, 9, 10]  # frames that were left out are expected anew
    together = [tracker.start() for _ in sessions]
    for place, number in enumerate(numbers):
        facts = FrameFacts(number, WIDTH, HEIGHT)
        expected = tracker.expect([(state, facts) for state in together])
        frames = zip(expected, (frames[place] for frames in sessions), strict=True)
        together = [tracked.state for tracked in tracker.follow(list(frames))]
    alone = [follow(tracker, frames, numbers=numbers)[0] for frames in sessions]
    assert [state.to_bytes() for state in together] == [state.to_bytes() for state in alone]


def test_in_one_pass_sessions_are_the_same_to_rounding() -> None:
    apart = phalp_networks.both("a", damping=0.1)
    together = phalp_networks.both("a", damping=0.1, one_pass=True)
    states = [
        follow(LearnedTracker(looks=alike, poses=held, max_people=4), walk(count))[0] for count in (3, 9)
    ]
    textures = [track.texture for state in states for track in state.tracks]
    looks = [
        LooksAsked(textures[:1], textures, np.array([[0, 1]])),
        LooksAsked([], textures, np.zeros((0, 2), int)),
        LooksAsked(textures, textures[1:], np.array([[0, 0], [1, 0]])),
    ]
    poses = [
        PosesAsked(track.poses[None], track.times[None], np.array([2]))
        for track in (state.tracks[0] for state in states)
    ]
    for one, other in (
        (apart.looks(looks), together.looks(looks)),
        (apart.poses(poses), together.poses(poses)),
    ):
        assert [len(part) for part in one] == [len(part) for part in other]
        np.testing.assert_allclose(np.concatenate(one), np.concatenate(other), rtol=1e-4, atol=1e-5)
    assert apart.looks([]) == together.looks([]) == apart.poses([]) == together.poses([]) == []


def test_a_state_is_small(tracker: LearnedTracker) -> None:
    frames = [[observed(x) for x in (-1.2, -0.6, 0.6, 1.2)]] * 100
    state, _ = follow(tracker, frames, pictures=views(100))
    textures = 4 * 8000 * 3 * 2
    assert len(state.to_bytes()) < textures + 100 * 1024


@pytest.mark.parametrize("stored", [b"", b"\x93\x02\x80\x90", b"\x93\x01\x80\x91\x80", b"\xc1"])
def test_bytes_that_are_no_session_are_refused(stored: bytes) -> None:
    with pytest.raises(UnreadableState):
        SessionState.from_bytes(stored)
