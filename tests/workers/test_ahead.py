"""What waits is made ready in another thread, once, and whoever asks gets it or its failure."""

import threading

import pytest

from wire.errors import InvalidImage
from workers.ahead import Ahead, Once


def test_it_is_made_in_the_other_thread_where_that_has_begun() -> None:
    made_by: list[str] = []
    picture = Once(lambda: made_by.append(threading.current_thread().name))

    Ahead().begin(picture)
    picture()

    assert len(made_by) == 1
    assert made_by[0].startswith("ahead")


def test_it_is_made_once_by_whoever_asks_first() -> None:
    made: list[bytes] = []
    picture = Once(lambda: made.append(b"a picture"))

    picture()
    picture()
    Ahead().begin(picture)

    assert made == [b"a picture"]


@pytest.mark.parametrize("ahead", [True, False])
def test_its_failure_is_raised_where_it_is_asked_for(ahead: bool) -> None:
    def broken() -> None:
        raise InvalidImage("no picture")

    picture = Once(broken)
    if ahead:
        Ahead().begin(picture)

    for _ in range(2):
        with pytest.raises(InvalidImage):
            picture()
