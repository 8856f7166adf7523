"""Frames that come in any order but the true one: who is found again, and where motion goes on."""

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.stick_people import HEIGHT, WIDTH, Person, joints_of, looks, pixels
from workers.phalp import recall
from workers.phalp.state import Memory, SessionState
from workers.phalp.tracker import Tracker
from workers.thumbnail import SIDE, Thumbnail, thumbnail
from workers.tracker import FrameFacts
from workers.types import TrackedPerson

WALKER = Person(1, speed_px=(2.5, 0.0), start_px=(100.0, 180.0), swing=0.5)
LENGTH = 140

#: The order in which files named `frame-1.png`, `frame-2.png`, ... are sent.
STRING_ORDER = [int(name) - 1 for name in sorted(map(str, range(1, LENGTH + 1)))]


@cache
def look(frame: int) -> Thumbnail:
    return looks([WALKER], frame)


def fold(
    order: list[int], *, unseen: frozenset[int] = frozenset(), noise: float = 0.01, stored: bool = False
) -> tuple[SessionState, dict[int, list[TrackedPerson]]]:
    """Fold frames of the walker, numbered as they come; `stored`: from bytes to bytes."""
    tracker = Tracker(joints_of=joints_of, max_people=4)
    state, answers = tracker.start(), {}
    for number, frame in enumerate(order):
        seen = [] if frame in unseen else [WALKER.observed(frame, noise=noise)]
        state, answers[frame], _ = tracker.track(
            SessionState.from_bytes(state.to_bytes()) if stored else state,
            FrameFacts(number, WIDTH, HEIGHT, look(frame)),
            seen,
        )
    return state, answers


def distance_m(people: list[TrackedPerson], others: list[TrackedPerson]) -> float:
    """Mean distance between the joints of two answers' only people, body-centred."""
    one, other = (
        joints_of(people[0].pose.rotations[None], people[0].pose.betas[None])[0]
        for people in (people, others)
    )
    return float(np.linalg.norm((one - one[0]) - (other - other[0]), axis=-1).mean())


def numbers_of(people: list[TrackedPerson]) -> list[object]:
    return [
        (
            one.track_id,
            one.state,
            one.confidence,
            one.pose.rotations.tobytes(),
            one.pose.translation.tobytes(),
        )
        for one in people
    ]


# ------------------------------------------------------------------ people


def test_frames_in_string_order_give_nearly_the_poses_of_the_true_order():
    _, true = fold(list(range(LENGTH)), noise=0.05)
    _, answers = fold(STRING_ORDER, noise=0.05)
    assert [len(people) for people in answers.values()] == [1] * LENGTH
    assert {people[0].track_id for people in answers.values()} == {1}
    apart = [distance_m(answers[frame], true[frame]) for frame in range(LENGTH)]
    assert np.mean(apart) < 0.01


def test_pictures_change_nothing_while_a_video_goes_on():
    tracker = Tracker(joints_of=joints_of, max_people=4)
    with_pictures = without = tracker.start()
    for frame in range(60):
        seen = [WALKER.observed(frame, noise=0.05)] if frame % 7 else []
        blind = FrameFacts(frame, WIDTH, HEIGHT)
        with_pictures, people, _ = tracker.track(with_pictures, replace(blind, thumbnail=look(frame)), seen)
        without, expected, _ = tracker.track(without, blind, seen)
        assert numbers_of(people) == numbers_of(expected)


def test_a_run_that_a_stranger_interrupted_goes_on_with_its_motion():
    order = [*range(40), 100, 40]
    _, true = fold(list(range(41)))
    _, answers = fold(order, unseen=frozenset({40}))
    error = np.linalg.norm(pixels(answers[40][0].pose) - pixels(true[40][0].pose), axis=-1).mean()
    held = np.linalg.norm(pixels(answers[39][0].pose) - pixels(true[40][0].pose), axis=-1).mean()
    assert error < 0.6 * held
    assert answers[40][0].state == "predicted"


def test_between_two_pictures_that_were_seen_a_person_is_expected_between_his_poses():
    order = [frame for frame in range(61) if frame % 4 != 2] + [110, 30]
    _, true = fold(list(range(61)))
    _, answers = fold(order, unseen=frozenset({30}))
    error = np.linalg.norm(pixels(answers[30][0].pose) - pixels(true[30][0].pose), axis=-1).mean()
    nearest = np.linalg.norm(pixels(answers[31][0].pose) - pixels(true[30][0].pose), axis=-1).mean()
    assert error < 0.5 * nearest


def test_a_plan_goes_on_from_the_true_neighbour():
    tracker = Tracker(joints_of=joints_of, max_people=4)
    state, _ = fold([*range(40), 100])
    [proposal] = tracker.plan(state, FrameFacts(41, WIDTH, HEIGHT, look(40))).proposals
    assert proposal.continuous
    assert np.linalg.norm(pixels(proposal.pose) - pixels(WALKER.pose(40)), axis=-1).mean() < 4


@pytest.mark.parametrize("seed", range(3))
def test_in_a_shuffled_video_one_person_stays_one_and_no_prediction_flies_off(seed):
    order = list(range(100))
    random.Random(seed).shuffle(order)
    unseen = frozenset(order[30::9])
    _, answers = fold(order, unseen=unseen, noise=0.02)
    assert {one.track_id for people in answers.values() for one in people} == {1}
    for frame in sorted(unseen):
        points = pixels(answers[frame][0].pose)
        x0, y0, x1, y1 = WALKER.observed(frame).box
        beyond = np.maximum(np.maximum([x0, y0] - points, points - [x1, y1]), 0)
        assert np.linalg.norm(beyond, axis=-1).max() < 0.5 * (y1 - y0)


def test_who_is_lost_in_a_jump_of_the_first_frames_is_still_himself_when_it_jumps_back():
    away = frozenset(range(90, 110))
    _, answers = fold([0, 9, *range(90, 110), 10, 11], unseen=away)
    assert {people[0].track_id for people in answers.values() if people} == {1}
    assert all(answers.values())
    assert answers[10][0].state == "detected"


def test_the_only_one_who_is_missing_after_a_jump_is_found_anywhere_and_in_any_light():
    tracker = Tracker(joints_of=joints_of, max_people=4)
    state, _ = fold([0, 9, *range(90, 93)], unseen=frozenset(range(90, 93)))
    [proposal] = tracker.plan(state, FrameFacts(5, WIDTH, HEIGHT, look(93))).proposals
    assert proposal.anywhere
    seen = WALKER.observed(93)
    dark = replace(seen, appearance=np.zeros_like(seen.appearance))
    _, people, _ = tracker.track(state, FrameFacts(5, WIDTH, HEIGHT, look(93)), [dark])
    assert [(one.track_id, one.state) for one in people] == [(1, "detected")]


def test_nobody_may_be_anywhere_while_a_video_goes_on():
    tracker = Tracker(joints_of=joints_of, max_people=4)
    state, _ = fold(list(range(30)), unseen=frozenset(range(27, 30)))
    [proposal] = tracker.plan(state, FrameFacts(30, WIDTH, HEIGHT, look(30))).proposals
    assert not proposal.anywhere


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=3, max_size=20, unique=True), st.frozensets(st.integers(0, 60)))
def test_any_order_gives_the_same_answers_from_stored_bytes(order, unseen):
    state, answers = fold(order, unseen=unseen)
    again, answers_again = fold(order, unseen=unseen, stored=True)
    assert {frame: numbers_of(people) for frame, people in answers.items()} == {
        frame: numbers_of(people) for frame, people in answers_again.items()
    }
    assert state.to_bytes() == again.to_bytes()


def test_a_long_video_in_any_order_is_remembered_in_bounds_and_bit_by_bit():
    order = sorted(range(170), key=lambda frame: (frame % 10, frame))
    state, _ = fold(order)
    again, _ = fold(order, stored=True)
    assert state.to_bytes() == again.to_bytes()
    assert len(state.memory.pictures) == recall.MAX_PICTURES
    assert len(state.to_bytes()) < 64 * 1024


# ------------------------------------------------------------------ pictures


def walk_by(pictures: list[Thumbnail]) -> tuple[Memory, list[int | None]]:
    """Remember pictures; for each the one that it turned back to, None where it did not."""
    memory, back = recall.blank(), []
    for turn, picture in enumerate(pictures):
        at = recall.place(memory, picture)
        turned = at is not None and at.turns_back
        back.append(int(memory.turns[at.away.argmin()]) if at and turned else None)
        memory = recall.remember(memory, picture, at, turn=turn, jumped=False)
    return memory, back


def test_a_video_in_true_order_never_turns_back():
    _, back = walk_by([look(frame) for frame in range(LENGTH)])
    assert back == [None] * LENGTH


def test_in_string_order_pictures_turn_back_to_their_true_neighbours():
    _, back = walk_by([look(frame) for frame in STRING_ORDER])
    found = {STRING_ORDER[turn]: STRING_ORDER[there] for turn, there in enumerate(back) if there is not None}
    jumps = [now for now, before in zip(STRING_ORDER[1:], STRING_ORDER, strict=False) if now != before + 1]
    assert set(found) <= set(jumps)
    assert len(found) >= len(jumps) - 2  # 1 -> 10 -> 100 lead where nothing was seen
    assert all(abs(frame - there) == 1 for frame, there in found.items())


def test_a_light_that_flashes_turns_nothing_back():
    lit = {50, 53, 54, 58}
    pictures = [looks([WALKER], frame, light=40.0 if frame in lit else 0.0) for frame in range(45, 75)]
    assert walk_by(pictures)[1] == [None] * len(pictures)


def test_a_place_that_was_never_seen_is_no_place_to_turn_back_to():
    elsewhere = [thumbnail(np.full((90, 160, 3), grey, np.uint8)) for grey in (0, 250)]
    memory, _ = walk_by([look(frame) for frame in range(20)])
    for picture in elsewhere:
        at = recall.place(memory, picture)
        assert at is not None and at.broken and not at.turns_back


def test_a_picture_that_is_only_nearer_than_the_last_one_is_no_neighbour():
    memory, _ = walk_by([look(frame) for frame in range(20)])
    stranger = look(110)
    memory = recall.remember(memory, stranger, recall.place(memory, stranger), turn=20, jumped=True)
    for frame, turns_back in ((20, True), (27, False)):
        at = recall.place(memory, look(frame))
        assert at is not None and 2 * at.away.min() < at.away[-1]
        assert at.turns_back is turns_back


def test_the_memory_keeps_pictures_that_differ_and_always_the_last():
    memory, _ = walk_by([look(frame) for frame in range(3 * recall.MAX_PICTURES // 2)])
    assert len(memory.pictures) == recall.MAX_PICTURES
    assert memory.turns[-1] == 3 * recall.MAX_PICTURES // 2 - 1
    for row, picture in enumerate(memory.pictures):
        others = recall.distances(np.delete(memory.pictures, row, axis=0), picture)
        assert memory.nearest[row] == others.min()


def test_thumbnails_are_alike_for_every_size_of_a_picture():
    ramp = np.linspace(0, 255, 1920)[None, :, None] * np.linspace(0.3, 1, 1080)[:, None, None]
    large = np.broadcast_to(ramp, (1080, 1920, 3)).astype(np.uint8)
    small = large[1::3, 1::3]
    assert thumbnail(large).shape == (SIDE, SIDE)
    assert np.abs(thumbnail(large).astype(int) - thumbnail(small)).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (1080, 7)], ids=str)
def test_a_picture_smaller_than_its_thumbnail_has_one(size):
    assert (thumbnail(np.full((*size, 3), 77, np.uint8)) == 77).all()
