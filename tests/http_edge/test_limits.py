"""How much a token may ask for, by a clock that the test turns."""

import pytest

from http_edge.limits import Budget, OpenSessions


def test_a_budget_gives_its_rate_in_the_long_run() -> None:
    budget = Budget(10, now=0.0)
    given = sum(budget.take(1, now=tick / 1000) == 0 for tick in range(60_000))

    assert given == pytest.approx(60 * 10, abs=25)  # and what was saved for 2 s at the start


def test_what_was_not_used_is_saved_for_two_seconds_only() -> None:
    budget = Budget(10, now=0.0)
    at_once = sum(budget.take(1, now=3600.0) == 0 for _ in range(100))

    assert at_once == 20


def test_a_cost_larger_than_all_that_is_saved_passes_once_and_is_paid_back() -> None:
    budget = Budget(100, now=0.0)

    assert budget.take(1000, now=0.0) == 0
    assert budget.take(1, now=1.0) == pytest.approx(7.01)  # 1000 less the 200 saved, less 100 since
    assert budget.take(1, now=7.9) > 0
    assert budget.take(1, now=8.1) == 0


def test_no_rate_is_no_limit() -> None:
    budget = Budget(0, now=0.0)
    assert [budget.take(1e12, now=0.0) for _ in range(100)] == [0.0] * 100


def test_a_session_has_its_place_until_it_is_quiet_for_long() -> None:
    sessions = OpenSessions(2, idle_s=300)
    sessions.used("a", now=0)
    sessions.used("b", now=10)

    assert sessions.refusal_s("a", now=20) == 0
    assert sessions.refusal_s("c", now=20) == 280  # when `a` is forgotten
    sessions.used("a", now=20)
    assert sessions.refusal_s("c", now=20) == 290  # `b` now
    assert sessions.refusal_s("c", now=310) == 0
    assert len(sessions) == 1


def test_frames_without_a_session_id_open_one_session_too_many_at_most() -> None:
    sessions = OpenSessions(2, idle_s=300)
    for number in range(3):
        assert sessions.refusal_s(None, now=number) == 0
        sessions.used(f"stream-{number}", now=number)

    assert sessions.refusal_s(None, now=3) > 0
    assert sessions.refusal_s("named", now=3) > 0
    assert sessions.refusal_s("stream-1", now=3) == 0


def test_without_a_limit_sessions_are_not_even_remembered() -> None:
    sessions = OpenSessions(0, idle_s=300)
    for number in range(1000):
        sessions.used(str(number), now=0)

    assert (len(sessions), sessions.refusal_s("one more", now=0)) == (0, 0.0)
