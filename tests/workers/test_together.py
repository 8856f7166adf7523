"""Two calls at a time: both end, both are heard, and where there is one thread there is only one."""

import threading

import pytest

from workers.blazepose.together import Together

_PATIENCE_S = 60.0


def test_both_results_come_back_in_their_order() -> None:
    for threads in (1, 2, 4):
        assert Together(threads=threads)(lambda: "one", lambda: 2) == ("one", 2)


def test_with_two_threads_both_run_at_once() -> None:
    meeting = threading.Barrier(2, timeout=_PATIENCE_S)
    Together(threads=2)(meeting.wait, meeting.wait)  # one after the other they would wait for ever


def test_with_one_thread_both_run_here() -> None:
    here = threading.current_thread()
    assert Together(threads=1)(threading.current_thread, threading.current_thread) == (here, here)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_of_either_is_raised(threads: int) -> None:
    together = Together(threads=threads)

    def fail() -> None:
        raise LookupError("nobody")

    with pytest.raises(LookupError):
        together(fail, lambda: None)
    with pytest.raises(LookupError):
        together(lambda: None, fail)
    assert together(lambda: 1, lambda: 2) == (1, 2)


def test_a_failure_waits_for_the_other_call() -> None:
    failing, ended = threading.Event(), threading.Event()

    def slow() -> None:
        assert failing.wait(_PATIENCE_S)
        ended.set()

    def fail() -> None:
        failing.set()
        raise LookupError("nobody")

    with pytest.raises(LookupError):
        Together(threads=2)(slow, fail)
    assert ended.is_set()
