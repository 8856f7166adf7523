"""A frame waits for a missing one only while it can still come; nobody waits twice for nothing."""

import pytest

from broker.order import FrameOrder

GAP_WAIT_S = 0.25


@pytest.fixture
def order():
    return FrameOrder(gap_wait_s=GAP_WAIT_S)


def arrives(order, number, *, outstanding=1):
    """How long the frame waits at its arrival."""
    order.arrived(number, outstanding=outstanding)
    return order.wait_s(number, outstanding=outstanding)


def send_one_by_one(order, numbers):
    """How long each frame waits when its client waits for each answer."""
    waits = []
    for number in numbers:
        waits.append(arrives(order, number))
        order.handed_out(number, outstanding=1)
    return waits


@pytest.mark.parametrize(
    ("numbers", "delays"),
    [
        pytest.param(range(50), 0, id="counting"),
        pytest.param(range(60, 110), 1, id="beginning late"),
        pytest.param(range(0, 100, 2), 1, id="strided"),
        pytest.param([0, 1, 2, 5, 6, 9, 20, 21, 30], 1, id="gaps"),
        pytest.param([*range(40), 45, 46, 60], 0, id="gaps after long counting"),
        pytest.param([100, 50, 20, 0], 1, id="backwards"),
        pytest.param([0] * 20, 0, id="always 0"),
        pytest.param([2**53 - 1, 0, 2**53 - 2], 1, id="anything"),
    ],
)
def test_a_client_with_one_request_open_is_delayed_once_at_most(order, numbers, delays):
    waits = send_one_by_one(order, numbers)
    assert sum(wait > 0 for wait in waits) == delays
    assert max(waits) <= GAP_WAIT_S


def test_a_frame_waits_for_one_that_was_overtaken(order):
    order.arrived(0, outstanding=1)
    order.handed_out(0, outstanding=1)
    assert arrives(order, 2, outstanding=2) == GAP_WAIT_S
    assert arrives(order, 1, outstanding=3) == 0.0


def pool_of_four(order):
    """Teach that the client keeps four requests open; the last frame handed out is 39."""
    for number in range(40):
        order.arrived(number, outstanding=min(number + 1, 4))
        order.handed_out(number, outstanding=4)


def test_a_client_that_has_all_its_requests_open_cannot_send_what_is_missing(order):
    pool_of_four(order)
    assert arrives(order, 41, outstanding=4) == 0.0


def test_a_client_that_has_one_request_less_open_may_be_sending_it(order):
    pool_of_four(order)
    assert arrives(order, 41, outstanding=3) == GAP_WAIT_S


def test_a_client_that_opens_more_requests_than_ever_is_learned_anew(order):
    send_one_by_one(order, range(40))
    assert arrives(order, 41, outstanding=2) == GAP_WAIT_S


def test_a_pool_that_became_a_client_with_one_request_open_is_delayed_once(order):
    pool_of_four(order)
    waits = send_one_by_one(order, [*range(40, 50), 55, 60, 70, 75])
    assert sum(wait > 0 for wait in waits) == 1


def test_the_step_is_learned(order):
    for number in range(0, 50, 5):
        order.arrived(number, outstanding=3)
        order.handed_out(number, outstanding=3)
    assert arrives(order, 50, outstanding=1) == 0.0
    assert arrives(order, 55, outstanding=1) == GAP_WAIT_S


def test_one_missing_frame_does_not_change_the_step(order):
    pool_of_four(order)
    order.handed_out(41, outstanding=4)
    assert arrives(order, 43, outstanding=3) == GAP_WAIT_S


def test_nobody_waits_for_a_frame_that_was_stepped_over(order):
    send_one_by_one(order, range(3))
    order.stepped_over(3)
    assert arrives(order, 4, outstanding=2) == 0.0


def test_a_new_video_begins_at_0_again(order):
    pool_of_four(order)
    order.restart()
    assert order.newest is None
    assert arrives(order, 1, outstanding=2) == GAP_WAIT_S
    assert arrives(order, 0, outstanding=3) == 0.0
