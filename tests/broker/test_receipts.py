"""Receipts count the frames that time went on without, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.receipts import Receipts


def counted(*numbers, **begun_with):
    """The receipts of a video whose frames went out in this order; negative: expired."""
    receipts = Receipts(**begun_with)
    for number in numbers:
        if number < 0:
            receipts.gave_up(-number, expired=True)
        else:
            receipts.went_out(number)
    return receipts.skipped, receipts.expired


@pytest.mark.parametrize(
    ("numbers", "skipped", "expired"),
    [
        pytest.param([], 0, 0, id="nothing"),
        pytest.param([0, 1, 2, 3], 0, 0, id="all"),
        pytest.param([0, 1, 4], 2, 0, id="a gap"),
        pytest.param([5, 6, 7], 0, 0, id="a video that begins later"),
        pytest.param([0, 5, 10, 15], 0, 0, id="every fifth"),
        pytest.param([0, 5, 15], 1, 0, id="every fifth, and one is missing"),
        pytest.param([0, 2, 3, 4], 1, 0, id="the second one"),
        pytest.param([0, 1, 3, 2], 0, 0, id="one that comes late"),
        pytest.param([1, 0, 2], 0, 0, id="an overtaken 0"),
        pytest.param([0, 1, 1, 0, 2], 0, 0, id="repeats"),
        pytest.param([0, -1, 2], 1, 1, id="expired"),
        pytest.param([0, -1, 2, 1], 0, 0, id="expired, and sent again"),
        pytest.param([0, 1, -1, 2], 1, 1, id="expired with a worker that was lost"),
        pytest.param([0, 3, -1], 2, 1, id="expired when it was late"),
    ],
)
def test_what_is_missing(numbers, skipped, expired):
    assert counted(*numbers) == (skipped, expired)


@pytest.mark.parametrize(
    ("numbers", "skipped"),
    [
        pytest.param([6, 7], 3, id="nothing more"),
        pytest.param([8], 5, id="a gap"),
        pytest.param([4, 5], 3, id="repeats"),
        pytest.param([1, 6], 3, id="a repeat from long ago"),
    ],
)
def test_a_recalled_video_goes_on(numbers, skipped):
    assert counted(*numbers, skipped=3, expired=1, numbers=[3, 4, 5]) == (skipped, 1)


@given(st.permutations(range(12)), st.data())
def test_in_any_order_exactly_those_are_missing_that_did_not_go_out(order, data):
    lost = data.draw(st.sets(st.sampled_from(range(2, 11))))
    expired = data.draw(st.sets(st.sampled_from(sorted(lost)))) if lost else set()
    numbers = [-number if number in expired else number for number in order if number not in lost - expired]
    assert counted(*numbers) == (len(lost), len(expired))


@given(st.sets(st.integers(1, 3000), max_size=60))
def test_a_long_video_is_counted_to_its_end_in_bounded_memory(lost):
    receipts = Receipts()
    for number in range(3002):
        if number not in lost:
            receipts.went_out(number)
    assert receipts.skipped == len(lost)
