"""Time: by the clock of the frames where they have one, else by their numbers."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.workers.followed import numbers_of
from tests.workers.stick_people import HEIGHT, WIDTH, Person, joints_of
from workers.phalp.pace import LONGEST_STEP, NO_TIMES, Pace
from workers.phalp.state import SessionState
from workers.phalp.tracker import Tracker
from workers.tracker import FrameFacts
from workers.types import TrackedPerson

Stamp = tuple[int, float | None]  # number and time of a frame


def steps(frames: Sequence[Stamp], *, fps: float | None = None) -> list[tuple[int, bool]]:
    """The step to each of `frames` from the one before."""
    pace, taken = Pace(None, None, NO_TIMES), []
    for number, time_ms in frames:
        facts = FrameFacts(number, WIDTH, HEIGHT, timestamp_ms=time_ms, fps=fps)
        taken.append(pace.step_to(facts))
        pace = pace.after(facts)
    return taken[1:]


NEXT, CUT = (1, True), (1, False)


@pytest.mark.parametrize(
    ("frames", "fps", "expected"),
    [
        pytest.param([(0, None), (1, None), (4, None), (4, None), (2, None)], None,
                     [NEXT, (3, True), CUT, CUT], id="numbers alone"),
        pytest.param([(0, 0), (1, 33), (2, 67), (3, 100)], None, [NEXT] * 3, id="a steady rate, in whole ms"),
        pytest.param([(0, 0), (5, 167), (10, 333)], None, [(5, True)] * 2, id="every fifth frame"),
        pytest.param([(0, 0), (1, 40), (2, 80), (3, 280), (4, 320)], None,
                     [NEXT, NEXT, (5, True), NEXT], id="a dropped span"),
        pytest.param([(0, 0), (1, 200), (2, 240), (3, 280)], 25, [(5, True), NEXT, NEXT], id="fps"),
        pytest.param([(0, 0), (1, 40), (9, 80)], 25, [NEXT] * 2, id="numbers leap, time does not"),
        pytest.param([(0, 0), (1, 33), (2, 83), (3, 116), (4, 166)], 30,
                     [NEXT, (2, True), NEXT, (2, True)], id="a variable rate"),
        pytest.param([(0, 0), (1, 40), (2, 41)], None, [NEXT] * 2, id="less than half a frame"),
        pytest.param([(0, 7), (1, 7), (4, 7)], None, [NEXT, (3, True)], id="a clock that stands still"),
        pytest.param([(0, 900), (1, 940), (2, 100), (3, 140)], None, [NEXT, CUT, NEXT], id="back in time"),
        pytest.param([(0, 0), (1, 40), (2, 40 + 40 * LONGEST_STEP)], None,
                     [NEXT, (LONGEST_STEP, True)], id="the longest step"),
        pytest.param([(0, 0), (1, 40), (2, 9e15), (3, 9e15 + 40)], None, [NEXT, CUT, NEXT], id="absurd"),
        pytest.param([(0, 0), (1, None), (2, 400)], None, [NEXT] * 2, id="a frame without a time"),
    ],
)  # fmt: skip
def test_a_step_is_what_the_clock_says_where_it_says_something(
    frames: list[Stamp], fps: float | None, expected: list[tuple[int, bool]]
) -> None:
    assert steps(frames, fps=fps) == expected


def follow(
    facts: Sequence[FrameFacts], *, seen: int | None = None
) -> tuple[SessionState, list[list[TrackedPerson]]]:
    """One walking person through frames; observed in the first `seen`."""
    person = Person(1, speed_px=(3.0, 0.0))
    tracker = Tracker(joints_of=joints_of, max_people=8)
    state, answers = tracker.start(), []
    for index, one in enumerate(facts):
        observed = [person.observed(index, noise=0.02)] if seen is None or index < seen else []
        state, people, _ = tracker.track(state, one, observed)
        answers.append(people)
    return state, answers


def test_times_at_a_steady_rate_change_no_bit_of_the_answers() -> None:
    bare = [FrameFacts(number, WIDTH, HEIGHT) for number in range(0, 60, 2)]
    timed = [replace(one, timestamp_ms=1e6 + round(one.frame_number * 1001 / 30)) for one in bare]
    _, expected = follow(bare)
    for facts in (timed, [replace(one, fps=30.0) for one in timed]):
        _, answers = follow(facts)
        assert [numbers_of(people) for people in answers] == [numbers_of(people) for people in expected]


def test_a_gap_of_five_frame_times_is_predicted_five_frames_ahead() -> None:
    before = [FrameFacts(number, WIDTH, HEIGHT, timestamp_ms=40.0 * number) for number in range(20)]
    after = FrameFacts(20, WIDTH, HEIGHT, timestamp_ms=40.0 * 24)
    _, by_time = follow([*before, after], seen=20)
    _, by_number = follow([*before, FrameFacts(24, WIDTH, HEIGHT)], seen=20)
    assert by_time[-1][0].frames_since_detected == 5
    assert numbers_of(by_time[-1]) == numbers_of(by_number[-1])


def test_time_that_goes_back_keeps_the_person_and_carries_no_motion_on() -> None:
    before = [FrameFacts(number, WIDTH, HEIGHT, timestamp_ms=9000 + 40.0 * number) for number in range(20)]
    _, answers = follow([*before, FrameFacts(20, WIDTH, HEIGHT, timestamp_ms=0.0)], seen=20)
    last, cut = answers[-2][0], answers[-1][0]
    assert (cut.track_id, cut.state) == (last.track_id, "predicted")
    assert (cut.pose.translation == last.pose.translation).all()


def test_what_is_known_of_time_goes_with_the_stored_session() -> None:
    facts = [FrameFacts(number, WIDTH, HEIGHT, timestamp_ms=40.0 * number) for number in range(8)]
    state, _ = follow(facts)
    stored = SessionState.from_bytes(state.to_bytes())
    assert (stored.last_ms, stored.frame_ms.tolist()) == (280.0, [40.0] * 7)
    assert stored.to_bytes() == state.to_bytes()
