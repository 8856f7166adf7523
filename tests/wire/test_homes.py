"""Where a session's frames go while brokers come and go."""

from wire.homes import Homes
from wire.rendezvous import ranked

BROKERS = ["tcp://a:1", "tcp://b:1", "tcp://c:1"]
KEY = b"session dance"
FIRST, SECOND, THIRD = ranked(KEY, BROKERS)


def there(*brokers: str):
    return lambda broker: broker in brokers


def test_a_session_goes_to_the_first_of_its_rank_that_is_there() -> None:
    homes = Homes(BROKERS)

    assert homes.enter(KEY, is_there=there(*BROKERS)) == FIRST
    homes.leave(KEY)
    assert homes.enter(KEY, is_there=there(SECOND, THIRD)) == SECOND
    homes.leave(KEY)
    assert homes.enter(KEY, is_there=there()) == FIRST, "nobody is there: it waits at home"


def test_what_a_gone_broker_left_goes_on_together() -> None:
    homes = Homes(BROKERS)
    for _ in range(2):
        homes.enter(KEY, is_there=there(*BROKERS))

    assert homes.move(KEY, away_from=FIRST, is_there=there(SECOND, THIRD)) == SECOND
    # Its broker is back before the second request was moved.
    assert homes.move(KEY, away_from=FIRST, is_there=there(*BROKERS)) == SECOND


def test_a_session_goes_home_when_nothing_of_it_is_open() -> None:
    homes = Homes(BROKERS)
    assert homes.enter(KEY, is_there=there(SECOND)) == SECOND
    assert homes.enter(KEY, is_there=there(*BROKERS)) == SECOND, "its other frame is there"
    homes.leave(KEY)
    homes.leave(KEY)

    assert homes.enter(KEY, is_there=there(*BROKERS)) == FIRST
