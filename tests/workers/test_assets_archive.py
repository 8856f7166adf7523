"""Single files out of archives, of which nothing is believed."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.assets import archive
from workers.assets.archive import Wanted
from workers.assets.asset import FetchError

WEIGHTS = bytes(range(256)) * 300


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "out" / ".weights.new"


@pytest.fixture
def unpack(tmp_path: Path, place: Path) -> Callable[..., None]:
    """Write bytes as an archive and take `run/weights` out of it."""
    place.parent.mkdir()

    def unpacking(contents: bytes, *, most_bytes: int = 2**20) -> None:
        path = tmp_path / "data.tar.gz"
        path.write_bytes(contents)
        archive.unpack(path, {"run/weights": Wanted(place, most_bytes)})

    return unpacking


def tar(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """A plain tar of files, given as (name, contents), and of what has no contents."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
    return written.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("name", ["run/weights", "./run/weights"])
def test_the_wanted_file_comes_out_and_no_other(
    unpack: Callable[..., None], place: Path, pack: Callable[[bytes], bytes], name: str
) -> None:
    unpack(pack(tar(("README", b"hello"), (name, WEIGHTS), ("run/log", b"x" * 5000))))

    assert place.read_bytes() == WEIGHTS
    assert list(place.parent.iterdir()) == [place]


def test_names_that_lead_out_lead_nowhere(unpack: Callable[..., None], place: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    unpack(
        tar(
            ("../outside", b"bad"),
            (str(outside), b"bad"),
            special("run", tarfile.SYMTYPE, str(tmp_path)),
            ("run/outside", b"bad"),
            ("run/weights", WEIGHTS),
        )
    )

    assert not outside.exists()
    assert place.read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["../run/weights", "/run/weights", "x/../run/weights"])
def test_a_name_that_only_resolves_to_the_wanted_one_is_another_name(
    unpack: Callable[..., None], place: Path, name: str
) -> None:
    with pytest.raises(FetchError, match="holds no run/weights"):
        unpack(tar((name, WEIGHTS)))

    assert not place.exists()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(tarfile.SYMTYPE, id="symbolic link"),
        pytest.param(tarfile.LNKTYPE, id="hard link"),
        pytest.param(tarfile.FIFOTYPE, id="fifo"),
        pytest.param(tarfile.CHRTYPE, id="device"),
        pytest.param(tarfile.DIRTYPE, id="directory"),
        pytest.param(tarfile.GNUTYPE_SPARSE, id="sparse file"),
    ],
)
def test_what_is_no_plain_file_is_refused(unpack: Callable[..., None], place: Path, kind: bytes) -> None:
    with pytest.raises(FetchError, match="run/weights is no plain file"):
        unpack(tar(special("run/weights", kind, "/etc/passwd")))

    assert not place.exists()


def test_a_file_beyond_its_bound_is_refused_unread(unpack: Callable[..., None], place: Path) -> None:
    with pytest.raises(FetchError, match="run/weights has 76800 bytes, more than the 1000 it may have"):
        unpack(tar(("run/weights", WEIGHTS)), most_bytes=1000)

    assert not place.exists()


def test_a_bomb_is_not_unpacked_to_its_end(unpack: Callable[..., None]) -> None:
    bomb = gzip.compress(tar(("zeros", bytes(20 * 2**20)), ("run/weights", WEIGHTS)))

    with pytest.raises(FetchError, match="more than 3145728 bytes unpacked"):
        unpack(bomb, most_bytes=2**20)


def test_a_header_that_would_fill_the_memory_is_refused(unpack: Callable[..., None]) -> None:
    header = special("name", tarfile.XHDTYPE)
    header.size = 2**40

    with pytest.raises(FetchError, match="a header of"):
        unpack(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))


def test_an_archive_of_countless_members_is_refused(
    unpack: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MOST_MEMBERS", 10)

    with pytest.raises(FetchError, match="more than 10 members"):
        unpack(tar(*[(f"{number}", b"") for number in range(20)]))


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param(tar(("run/weights", WEIGHTS))[:5000], id="truncated"),
        pytest.param(gzip.compress(tar(("run/weights", WEIGHTS)))[:-500], id="truncated and gzipped"),
        pytest.param(b"\x1f\x8b" + bytes(1000), id="no gzip after all"),
        pytest.param(b"<html>" * 1000, id="no tar at all"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_damaged_archive_is_named(unpack: Callable[..., None], contents: bytes) -> None:
    with pytest.raises(FetchError, match=r"data\.tar\.gz (is damaged|holds no)"):
        unpack(contents)
