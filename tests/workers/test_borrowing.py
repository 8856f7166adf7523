"""Lent pictures are read where they lie, or named as gone; nothing else is opened."""

import fcntl
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator

import pytest

from tests import descriptors
from wire import lending
from wire.errors import PictureGone, ProtocolError
from wire.lending import Reference
from wire.shelf import Shelf, Slot
from workers.borrowing import Borrowing, Handed

PICTURE = bytes(range(256)) * 1000
MAX_BYTES = 2**20
NAME = "everyframe-0123456789abcdef0123456789abcdef"


@pytest.fixture
def slot() -> Iterator[Slot]:
    shelf = Shelf(128)
    slot = shelf.put([PICTURE[:9], memoryview(PICTURE)[9:]])
    assert slot is not None
    yield slot
    shelf.take_back(slot, read=False)


def borrowed(payload: bytes) -> Handed:
    return Borrowing(max_bytes=MAX_BYTES).picture([payload])


def of_descriptor(descriptor: int, *, size: int = len(PICTURE)) -> bytes:
    reference = Reference(
        process=os.getpid(), descriptor=descriptor, name=NAME, size=size, digest=zlib.crc32(PICTURE)
    )
    return lending.payload(reference)


def test_a_lent_picture_is_read_without_being_sent(slot: Slot) -> None:
    payload = slot.reference()

    handed = borrowed(payload)

    assert len(payload) < 200
    assert bytes(handed.encoded) == PICTURE
    assert handed.digest() == zlib.crc32(PICTURE)


def test_nobody_can_write_into_what_is_lent(slot: Slot) -> None:
    assert memoryview(borrowed(slot.reference()).encoded).readonly


def test_a_picture_whose_bytes_came_is_itself() -> None:
    handed = borrowed(PICTURE)
    assert handed.encoded is PICTURE
    assert handed.digest() == zlib.crc32(PICTURE)


def test_memory_that_holds_another_picture_by_now_is_noticed(slot: Slot) -> None:
    handed = borrowed(slot.reference())
    slot.fill([PICTURE[::-1]])
    with pytest.raises(PictureGone):
        handed.digest()


def test_what_is_not_held_any_more_is_gone() -> None:
    shelf = Shelf(128)
    slot = shelf.put([PICTURE])
    assert slot is not None
    payload = slot.reference()
    shelf.take_back(slot, read=False)
    with pytest.raises(PictureGone):
        borrowed(payload)


def test_a_picture_that_was_opened_outlives_who_lent_it() -> None:
    lends = (
        "import os, time; from wire.shelf import Shelf; slot = Shelf(128).put([bytes(100_000)]);"
        "os.write(1, slot.reference()); os.close(1); time.sleep(60)"
    )
    lender = subprocess.Popen([sys.executable, "-c", lends], stdout=subprocess.PIPE)
    assert lender.stdout is not None
    payload = lender.stdout.read()
    handed = borrowed(payload)

    lender.send_signal(signal.SIGKILL)
    lender.communicate()

    assert handed.digest() == zlib.crc32(bytes(100_000))
    with pytest.raises(PictureGone):
        borrowed(payload)


def test_memory_that_could_shrink_is_not_read() -> None:
    descriptor = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(descriptor, PICTURE)
        with pytest.raises(ProtocolError):
            borrowed(of_descriptor(descriptor))
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        assert bytes(borrowed(of_descriptor(descriptor)).encoded) == PICTURE
        with pytest.raises(ProtocolError):
            borrowed(of_descriptor(descriptor, size=len(PICTURE) + 1))
        with pytest.raises(ProtocolError):
            borrowed(of_descriptor(descriptor, size=MAX_BYTES + 1))
    finally:
        os.close(descriptor)


def test_only_memory_of_that_name_is_opened(tmp_path) -> None:
    reading, writing = os.pipe()
    other = os.memfd_create("everyframe-another", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    file = os.open(tmp_path / f"memfd:{NAME} (deleted)", os.O_CREAT | os.O_RDWR)
    try:
        for descriptor in (reading, other, file):
            with pytest.raises(PictureGone):
                borrowed(of_descriptor(descriptor))
    finally:
        for descriptor in (reading, writing, other, file):
            os.close(descriptor)


def test_memory_that_is_used_again_is_not_opened_again(slot: Slot) -> None:
    borrowing = Borrowing(max_bytes=MAX_BYTES)
    first = borrowing.picture([slot.reference()])
    before = descriptors.held()
    slot.fill([PICTURE[::-1]])

    again = borrowing.picture([slot.reference()])

    assert bytes(again.encoded) == PICTURE[::-1]
    assert again.digest() == zlib.crc32(PICTURE[::-1])
    assert descriptors.held() == before
    with pytest.raises(PictureGone):
        first.digest()


def test_who_is_gone_is_gone_with_what_was_read_before() -> None:
    borrowing, shelf = Borrowing(max_bytes=MAX_BYTES), Shelf(128)
    slot = shelf.put([PICTURE])
    assert slot is not None
    borrowing.picture([slot.reference()])
    shelf.take_back(slot, read=False)
    with pytest.raises(PictureGone):
        borrowing.picture([slot.reference()])


def test_what_is_not_read_any_more_is_let_go_of(slot: Slot) -> None:
    before = descriptors.held()
    borrowing = Borrowing(max_bytes=MAX_BYTES)
    handed: Handed | None = borrowing.picture([slot.reference()])
    for _ in range(3):
        borrowing.let_go()
        assert handed is not None
        assert handed.digest() == zlib.crc32(PICTURE)  # as long as somebody reads it

    handed = None

    assert descriptors.held() == before


def test_no_more_memory_is_mapped_than_a_worker_has_descriptors_for() -> None:
    borrowing, shelf = Borrowing(max_bytes=MAX_BYTES), Shelf(128)
    before = descriptors.held()
    for _ in range(500):
        slot = shelf.put([PICTURE])
        assert slot is not None
        borrowing.picture([slot.reference()])
        shelf.take_back(slot, read=False)
        del slot
    assert descriptors.held() - before <= 128


def test_a_frame_has_one_payload() -> None:
    for payload in ([], [PICTURE, PICTURE]):
        with pytest.raises(ProtocolError):
            Borrowing(max_bytes=MAX_BYTES).picture(payload)
