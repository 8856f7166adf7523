"""Who may come in by which door, and who must leave, without sockets."""

import pytest

from broker.admission import Admission, Doorbook
from wire.keys import PublicKey

CLIENT = PublicKey("client", "edge", b"c" * 40)
WORKER = PublicKey("worker", "gpu", b"w" * 40)


@pytest.fixture
def admission():
    return Admission([CLIENT, WORKER])


@pytest.fixture
def book(admission):
    return Doorbook("client", admission)


@pytest.mark.parametrize(
    ("key", "door", "may"),
    [
        (CLIENT.key, "client", True),
        (CLIENT.key, "worker", False),
        (WORKER.key, "worker", True),
        (WORKER.key, "client", False),
        (b"x" * 40, "client", False),
        (b"", "client", False),
    ],
)
def test_a_key_opens_the_door_of_its_role(admission, key, door, may):
    assert admission.may(key, door) == may


def test_nobody_is_allowed_before_anybody_is_listed():
    assert not Admission().may(CLIENT.key, "client")


def test_who_is_taken_off_the_list_is_unwelcome(book, admission):
    book.came(b"peer", key=CLIENT.key, descriptor=7)
    assert book.welcome(b"peer")
    assert book.unwelcome() == {}
    admission.replace([WORKER])
    assert not book.welcome(b"peer")
    assert book.unwelcome() == {b"peer": 7}


def test_a_key_that_changed_its_role_is_unwelcome_where_it_was(book, admission):
    book.came(b"peer", key=CLIENT.key, descriptor=7)
    admission.replace([CLIENT._replace(role="worker")])
    assert book.unwelcome() == {b"peer": 7}


def test_who_came_where_no_key_is_needed_stays(book, admission):
    book.came(b"near", key=None, descriptor=7)
    admission.replace([])
    assert book.welcome(b"near")
    assert book.unwelcome() == {}


def test_who_is_gone_is_forgotten(book):
    book.came(b"peer", key=CLIENT.key, descriptor=7)
    book.gone(7)
    book.gone(7)
    assert not book.knows(b"peer")


def test_late_messages_of_a_closed_connection_do_not_hide_the_new_one_on_its_descriptor(book, admission):
    book.came(b"new", key=CLIENT.key, descriptor=7)
    book.came(b"old", key=CLIENT.key, descriptor=7)  # read after its connection had closed
    admission.replace([])
    assert book.unwelcome() == {b"new": 7, b"old": 7}
    book.gone(7)
    assert not book.knows(b"new")
    assert not book.knows(b"old")
