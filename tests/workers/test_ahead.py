"""What waits is made ready in another thread, once, and whoever asks gets it or its failure."""

import threading
from collections.abc import Iterator

import pytest

from tests.broker.running import PATIENCE_S
from wire.errors import InvalidImage
from workers.ahead import Ahead, Once


@pytest.fixture
def ahead() -> Iterator[Ahead]:
    thread = Ahead()
    yield thread
    thread.close()


def test_it_is_made_in_the_other_thread_where_that_has_begun(ahead: Ahead) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def made_by() -> str:
        begun.set()
        assert may_end.wait(PATIENCE_S)
        return threading.current_thread().name

    picture = Once(made_by)
    ahead.put(picture.make)
    ahead.begin()
    assert begun.wait(PATIENCE_S)
    threading.Timer(0.01, may_end.set).start()

    assert picture() == "ahead"


def test_who_asks_does_not_wait_for_a_thread_that_has_not_begun(ahead: Ahead) -> None:
    asked = threading.Event()
    picture = Once(lambda: threading.current_thread().name)
    ahead.put(lambda: asked.wait(PATIENCE_S), picture.make)
    ahead.begin()

    assert picture() == threading.current_thread().name
    asked.set()


def test_it_is_made_once_by_whoever_comes_first(ahead: Ahead) -> None:
    made: list[bytes] = []
    picture = Once(lambda: made.append(b"a picture"))

    picture()
    picture()
    ahead.put(picture.make)
    ahead.close()

    assert made == [b"a picture"]


def test_what_was_put_is_done_before_it_closes_whatever_fails(ahead: Ahead) -> None:
    done: list[int] = []
    ahead.put(lambda: done.append(1), lambda: 1 // 0, lambda: done.append(2))
    ahead.close()

    assert done == [1, 2]


@pytest.mark.parametrize("is_begun", [True, False])
def test_its_failure_is_raised_where_it_is_asked_for(ahead: Ahead, is_begun: bool) -> None:
    def broken() -> None:
        raise InvalidImage("no picture")

    picture = Once(broken)
    if is_begun:
        ahead.put(picture.make)
        ahead.begin()

    for _ in range(2):
        with pytest.raises(InvalidImage):
            picture()
