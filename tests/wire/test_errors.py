"""A failure has a name that travels."""

import pytest

from wire.errors import Busy, Internal, PoseError, named

KINDS = PoseError.__subclasses__()


def test_codes_are_distinct():
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_a_code_becomes_its_error_again(kind):
    error = named(kind.code, "because")
    assert type(error) is kind
    assert str(error) == error.message == "because"
    assert 400 <= kind.status < 600


def test_an_unknown_code_is_internal():
    assert type(named("from_the_future", "because")) is Internal


def test_busy_says_when_to_come_back():
    assert named(Busy.code, "full", retry_after_s=1.5).retry_after_s == 1.5
