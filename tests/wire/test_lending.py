"""References to pictures look as the page says, and only who can read whose memory has its name."""

import hashlib
import os
import zlib
from pathlib import Path

import msgpack
import pytest

from wire import lending
from wire.errors import ProtocolError

REFERENCE = {"process": 7, "descriptor": 0, "name": "x" * 32, "size": 3, "digest": 5}


def test_a_reference_is_read_as_the_page_says() -> None:
    reference = lending.reference_in(b"EFMEM1\n" + msgpack.packb({**REFERENCE, "newer": True}))

    assert reference == lending.Reference(**REFERENCE)
    assert msgpack.unpackb(lending.payload(reference)[7:]) == REFERENCE
    assert lending.look(lending.payload(reference)) == (3, 5)


@pytest.mark.parametrize("picture", [b"P6\n1 1\n255\nabc", b"\xff\xd8", b"EFMEM2\n", b"E"])
def test_a_picture_is_no_reference(picture: bytes) -> None:
    assert lending.reference_in(memoryview(picture)) is None
    assert lending.look(picture) == (len(picture), zlib.crc32(picture))


@pytest.mark.parametrize(
    "told",
    [
        {name: value for name, value in REFERENCE.items() if name != "digest"},
        {**REFERENCE, "process": 0},
        {**REFERENCE, "process": -1},
        {**REFERENCE, "descriptor": "0/../../7"},
        {**REFERENCE, "size": 0},
        {**REFERENCE, "name": "guessed"},
    ],
    ids=["no digest", "no process", "a process group", "a path", "nothing", "a short name"],
)
def test_what_cannot_be_a_reference_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        lending.look(b"EFMEM1\n" + msgpack.packb(told))


def test_memory_is_named_as_the_page_says() -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    links = [Path(f"/proc/self/ns/{kind}").readlink() for kind in ("pid", "user")]
    text = f"{boot} {links[0]} {links[1]} {os.geteuid()}"

    assert lending.memory() == hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def test_another_user_has_another_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = lending.memory()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert lending.memory() != ours


def test_where_there_are_no_memory_files_nobody_can_read_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    assert lending.memory() == ""
