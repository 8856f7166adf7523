"""Sessions spread evenly over brokers, wherever it is worked out, and only those move that have to."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import Frame, Source
from wire.rendezvous import key_of, ranked

BROKERS = st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=8, unique=True)


def keys(count: int) -> list[bytes]:
    return [b"session %d" % number for number in range(count)]


def test_the_order_is_the_same_in_every_version() -> None:
    assert ranked(b"session dance", ["tcp://a:1", "tcp://b:1", "tcp://c:1"]) == [
        "tcp://b:1",
        "tcp://c:1",
        "tcp://a:1",
    ]


@given(key=st.binary(max_size=64), brokers=BROKERS, seed=st.randoms())
def test_the_order_in_which_brokers_are_named_is_of_no_matter(key, brokers, seed) -> None:
    shuffled = list(brokers)
    seed.shuffle(shuffled)
    assert ranked(key, shuffled) == ranked(key, brokers)
    assert sorted(ranked(key, brokers)) == sorted(brokers)


@given(key=st.binary(max_size=64), brokers=BROKERS, data=st.data())
def test_without_a_broker_the_others_keep_their_order(key, brokers, data) -> None:
    gone = data.draw(st.sampled_from(brokers))
    left = [broker for broker in brokers if broker != gone]
    assert ranked(key, left) == [broker for broker in ranked(key, brokers) if broker != gone]


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_each_broker_gets_its_share_and_a_lost_ones_is_spread_over_all(count: int) -> None:
    brokers = [f"tcp://broker-{number}:5555" for number in range(count)]
    sessions = keys(20_000)
    home = {key: ranked(key, brokers) for key in sessions}
    share = len(sessions) / count
    spread = Counter(order[0] for order in home.values())
    assert max(abs(spread[broker] - share) for broker in brokers) < 5 * share**0.5

    heirs = Counter(order[1] for order in home.values() if order[0] == brokers[0])
    assert brokers[0] not in heirs
    assert max(abs(heirs[b] - spread[brokers[0]] / (count - 1)) for b in brokers[1:]) < 5 * share**0.5

    more = [*brokers, "tcp://another:5555"]
    moved = [key for key in sessions if ranked(key, more)[0] != home[key][0]]
    assert all(ranked(key, more)[0] == more[-1] for key in moved)
    assert abs(len(moved) - len(sessions) / (count + 1)) < 5 * share**0.5


def test_all_that_one_caller_sends_without_a_session_stays_together() -> None:
    def frame(**more) -> Frame:
        return Frame(request_id=bytes(16), frame_number=0, deadline_ms=1, **more)

    small = frame(source=Source(client="10.0.0.1", width_px=640, height_px=360))
    large = frame(source=Source(client="10.0.0.1", width_px=1920, height_px=1080))
    assert key_of(small) == key_of(large) != key_of(frame(source=Source(client="10.0.0.2")))
    assert key_of(frame(session_id="10.0.0.1")) != key_of(small)
