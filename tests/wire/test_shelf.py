"""Memory that is lent is used again, bounded, and let go of where somebody may still be reading it."""

import pytest

from tests import descriptors
from wire import lending
from wire.messages import Status, WorkerStatus
from wire.shelf import Shelf, can_lend

PICTURE = bytes(100_000)


def test_memory_is_used_again_once_it_was_read_and_let_go_of_where_it_may_still_be() -> None:
    shelf = Shelf(128)
    first = shelf.put([PICTURE])
    assert first is not None
    payload = first.reference()

    shelf.take_back(first, read=True)
    again = shelf.put([PICTURE[::-1]])
    assert again is first
    assert lending.look(first.reference()).size_bytes == len(PICTURE)

    shelf.take_back(again, read=False)
    another = shelf.put([PICTURE])
    assert another is not None
    assert lending.reference_in(another.reference()).name != lending.reference_in(payload).name


def test_no_more_memory_is_kept_than_a_few_pictures() -> None:
    before = descriptors.held()
    shelf = Shelf(128)
    slots = [shelf.put([PICTURE]) for _ in range(200)]

    assert 0 < sum(slot is not None for slot in slots) < 200  # the others travel as bytes
    for slot in slots:
        if slot is not None:
            shelf.take_back(slot, read=True)
    slots.clear()
    assert len(shelf._free) <= 16
    shelf.close()
    del slot
    assert descriptors.held() == before


def test_no_more_is_lent_than_may_be() -> None:
    assert Shelf(0).put([PICTURE]) is None
    shelf = Shelf(1)
    slot = shelf.put([PICTURE])
    assert slot is not None
    assert shelf.put([PICTURE]) is None
    shelf.take_back(slot, read=True)
    assert shelf.put([PICTURE]) is slot


def test_small_pictures_are_not_lent() -> None:
    assert Shelf(128).put([b"a picture"]) is None
    assert Shelf(128).put([b""]) is None


def test_who_was_never_read_lends_no_more() -> None:
    shelf = Shelf(128)
    slot = shelf.put([PICTURE])
    assert slot is not None
    shelf.refused(slot)
    assert shelf.put([PICTURE]) is None


def test_who_was_read_before_goes_on_lending() -> None:
    shelf = Shelf(128)
    for _ in range(2):
        slot = shelf.put([PICTURE])
        assert slot is not None
        shelf.take_back(slot, read=True)
    slot = shelf.put([PICTURE])
    assert slot is not None
    shelf.refused(slot)
    assert shelf.put([PICTURE]) is not None


@pytest.mark.parametrize(
    ("endpoint", "memories", "can"),
    [
        ("ipc:///run/frames.ipc", ["ours"], True),
        ("ipc:///run/frames.ipc", ["ours", "ours"], True),
        ("ipc:///run/frames.ipc", ["ours", ""], False),
        ("ipc:///run/frames.ipc", ["theirs"], False),
        ("ipc:///run/frames.ipc", [], False),
        ("tcp://127.0.0.1:7000", ["ours"], False),
    ],
)
def test_only_who_is_read_by_all_workers_lends(endpoint: str, memories: list[str], can: bool) -> None:
    workers = [
        WorkerStatus(
            name="w", state="ready", sessions=0, in_flight=0, device="", models={}, observer="",
            memory=lending.memory() if memory == "ours" else memory,
        )
        for memory in memories
    ]  # fmt: skip
    status = Status(
        request_id=bytes(16), workers=workers, sessions=0, queued_frames=0, queued_bytes=0, in_flight=0,
        counters={}, limits={},
    )  # fmt: skip
    assert can_lend(status, [endpoint]) is can
