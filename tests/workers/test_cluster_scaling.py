"""How many workers the queue asks for, played against machines that answer at a known rate."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.cluster.scaling import Bounds, Load, Trend, dismissed, follow

#: Frames a second of one worker in these tests.
RATE = 20.0
BOUNDS = Bounds(least=1, most=16, target_delay_s=0.5, calm_s=60.0)


def played(frames_per_s: list[float], *, bounds: Bounds = BOUNDS, load_s: int = 5) -> list[int]:
    """Workers wanted, second by second, of traffic that lasts as long as the list.

    A worker takes `load_s` to load; those who are no longer wanted end at once.
    """
    trend: Trend | None = None
    ready, loading, queued, answered = bounds.least, [], 0.0, 0.0
    wanted = []
    for second, coming in enumerate(frames_per_s):
        ready += sum(at == second for at in loading)
        loading = [at for at in loading if at > second]
        done = min(queued + coming, ready * RATE)
        queued, answered = queued + coming - done, answered + done
        load = Load(
            now_s=float(second),
            workers=ready,
            queued=int(queued),
            in_flight=math.ceil(done / RATE),
            answered=int(answered),
        )
        trend = follow(trend, load, bounds)
        loading += [second + load_s] * (trend.wanted - ready - len(loading))
        ready = min(ready, trend.wanted)
        wanted.append(trend.wanted)
    return wanted


def test_traffic_that_one_worker_can_serve_is_served_by_one():
    assert set(played([15.0] * 120)) == {1}


def test_enough_workers_come_for_more_and_not_many_too_many():
    wanted = played([100.0] * 120)
    assert 5 <= wanted[-1] <= 10


def test_workers_go_one_by_one_when_it_is_calm():
    wanted = played([100.0] * 60 + [5.0] * 900)
    assert max(wanted) >= 5
    assert wanted[-1] <= 2
    assert all(before - after <= 1 for before, after in pairwise(wanted))


def test_a_pause_in_the_traffic_ends_nobody():
    wanted = played([100.0] * 300 + [0.0] * 30 + [100.0] * 60)
    assert set(wanted[300:]) == {wanted[299]}


def test_the_bounds_hold_however_much_comes():
    assert max(played([1e5] * 60)) == BOUNDS.most


def test_a_broker_that_begins_anew_changes_nothing():
    busy = Load(now_s=0.0, workers=2, queued=10, in_flight=8, answered=1000)
    later = Load(now_s=1.0, workers=2, queued=10, in_flight=8, answered=1040)
    anew = Load(now_s=2.0, workers=2, queued=10, in_flight=8, answered=10)
    trend = follow(follow(None, busy, BOUNDS), later, BOUNDS)
    assert trend.rate == pytest.approx(20)
    assert follow(trend, anew, BOUNDS).rate == trend.rate


@given(st.lists(st.floats(0, 2000), min_size=1, max_size=60), st.integers(1, 4), st.integers(0, 12))
def test_whatever_happens_the_number_is_within_the_bounds(traffic: list[float], least: int, more: int):
    bounds = Bounds(least=least, most=least + more, target_delay_s=0.2, calm_s=3.0)
    assert all(bounds.least <= count <= bounds.most for count in played(traffic, bounds=bounds))


@pytest.mark.parametrize(("least", "most"), [(0, 3), (4, 3)])
def test_bounds_that_make_no_sense_are_refused(least: int, most: int):
    with pytest.raises(ValueError, match="workers"):
        Bounds(least=least, most=most)


def test_of_too_many_those_go_first_who_run_nowhere() -> None:
    staying = ["on a machine that died", "old", "new"]
    assert dismissed(staying, ["old", "new"], 1) == ["on a machine that died"]
    assert dismissed(staying, ["old", "new"], 2) == ["on a machine that died", "new"]
    assert dismissed(staying, staying, 1) == ["new"]
