"""Fetching from a publisher: pinned on first use, checked before it is in place, never half there."""

import gzip
import io
import os
import pty
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests.workers import fetch_process, publisher
from tests.workers.publisher import Page, Publisher
from workers import assets
from workers.assets import catalogue, fetching, installed, pins
from workers.assets.asset import Address, Archive, Asset, AssetUnavailable, Digest, FetchError, Hand

CONTENTS = b"\x80" + random.Random(1).randbytes(200_000)
OTHER = b"\x80" + random.Random(2).randbytes(200_000)

SECONDS = 30.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with publisher.running() as server:
        yield server


@pytest.fixture
def assets_dir(tmp_path: Path) -> Path:
    return tmp_path / "assets"


def fetch(assets_dir: Path, *wanted: Asset) -> None:
    fetching.fetch(wanted, assets_dir, lambda _: nullcontext(lambda *_: None))


def weights(url: str, published: bytes | None = None) -> Asset:
    digest = Digest(len(published), sha256(published).hexdigest()) if published else None
    return Asset("weights.pth", "tiny", Address((url,)), "MIT", digest)


def files(assets_dir: Path) -> dict[str, bytes]:
    """What lies in the directory, without the lock and the pins."""
    found = {path.name: path.read_bytes() for path in assets_dir.iterdir()}
    return {name: contents for name, contents in found.items() if name not in (".lock", pins.NAME)}


def test_a_file_without_a_published_digest_is_held_to_what_it_first_was(
    server: Publisher, assets_dir: Path
) -> None:
    asset = weights(server.publish("file", Page(CONTENTS)))
    fetch(assets_dir, asset)
    assert files(assets_dir) == {"weights.pth": CONTENTS}
    assert installed.state(asset, assets_dir) == "ready"

    (assets_dir / "weights.pth").unlink()
    server.publish("file", Page(OTHER, etag='"2"'))
    with pytest.raises(FetchError, match=r"should have the SHA-256 .*recorded when it first came"):
        fetch(assets_dir, asset)
    assert files(assets_dir) == {}

    server.publish("file", Page(CONTENTS, etag='"3"'))
    fetch(assets_dir, asset)
    assert files(assets_dir) == {"weights.pth": CONTENTS}


def test_the_file_of_pins_says_what_came_from_where(server: Publisher, assets_dir: Path) -> None:
    url = server.publish("file", Page(CONTENTS))
    fetch(assets_dir, weights(url))

    pin = pins.read(assets_dir)["weights.pth"]
    assert (pin.size_bytes, pin.sha256, pin.source) == (len(CONTENTS), sha256(CONTENTS).hexdigest(), url)


def test_a_file_of_pins_that_cannot_be_read_is_named(server: Publisher, assets_dir: Path) -> None:
    assets_dir.mkdir()
    (assets_dir / pins.NAME).write_text('{"weights.pth": 1}')

    with pytest.raises(AssetUnavailable, match=r"pins\.json cannot be read"):
        fetch(assets_dir, weights(server.publish("file", Page(CONTENTS))))


def test_a_published_digest_counts_from_the_start(server: Publisher, assets_dir: Path) -> None:
    url = server.publish("file", Page(OTHER))

    with pytest.raises(FetchError, match="damaged on its way, or is not the published file"):
        fetch(assets_dir, weights(url, published=CONTENTS))
    assert files(assets_dir) == {}

    server.publish("file", Page(CONTENTS, etag='"2"'))
    fetch(assets_dir, weights(url, published=CONTENTS))
    assert files(assets_dir) == {"weights.pth": CONTENTS}
    assert pins.read(assets_dir) == {}


def test_a_damaged_file_stays_until_a_right_one_is_there(server: Publisher, assets_dir: Path) -> None:
    asset = weights(server.publish("file", Page(OTHER)), published=CONTENTS)
    assets_dir.mkdir()
    (assets_dir / "weights.pth").write_bytes(b"old")

    with pytest.raises(FetchError):
        fetch(assets_dir, asset)

    assert files(assets_dir) == {"weights.pth": b"old"}


def test_a_web_page_is_not_taken_for_a_model(server: Publisher, assets_dir: Path) -> None:
    page = b"\n<!DOCTYPE html><title>Please log in to this network</title>"

    with pytest.raises(FetchError, match=r"weights\.pth: the server sent a web page"):
        fetch(assets_dir, weights(server.publish("file", Page(page))))

    assert (files(assets_dir), pins.read(assets_dir)) == ({}, {})


def test_a_zip_that_was_damaged_on_its_way_is_seen_without_a_digest(
    server: Publisher, assets_dir: Path
) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        file.writestr("archive/data/0", bytes(10_000))
    damaged = bytearray(written.getvalue())
    damaged[5_000] = 1

    with pytest.raises(FetchError, match=r"wrong checksum \(archive/data/0\)"):
        fetch(assets_dir, weights(server.publish("file", Page(bytes(damaged)))))

    assert (files(assets_dir), pins.read(assets_dir)) == ({}, {})


def test_a_file_that_was_there_before_is_held_to_what_it_is_and_not_called_its_publishers(
    server: Publisher, assets_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = weights(server.url("nothing"))
    monkeypatch.setattr(catalogue, "_BY_NAME", {asset.name: asset})
    assets_dir.mkdir()
    (assets_dir / "weights.pth").write_bytes(CONTENTS)
    assert assets.state(asset, assets_dir) == "unproven"

    fetch(assets_dir, asset)

    assert assets.state(asset, assets_dir) == "ready"
    assert not assets.comes_from_its_publisher(asset.name, sha256(CONTENTS).hexdigest(), assets_dir)
    (assets_dir / "weights.pth").write_bytes(OTHER)
    assert assets.state(asset, assets_dir) == "corrupt"


def test_a_fetched_file_is_its_publishers(
    server: Publisher, assets_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = weights(server.publish("file", Page(CONTENTS)))
    monkeypatch.setattr(catalogue, "_BY_NAME", {asset.name: asset})
    fetch(assets_dir, asset)

    assert assets.comes_from_its_publisher(asset.name, sha256(CONTENTS).hexdigest(), assets_dir)
    assert not assets.comes_from_its_publisher(asset.name, sha256(OTHER).hexdigest(), assets_dir)


def test_what_one_publisher_does_not_give_keeps_nobody_from_the_others(
    server: Publisher, assets_dir: Path
) -> None:
    gone, there = weights(server.url("gone")), weights(server.publish("file", Page(CONTENTS)))

    with pytest.raises(FetchError, match="gone: HTTP 404"):
        fetch(assets_dir, gone, replace(there, name="other.pth"))

    assert files(assets_dir) == {"other.pth": CONTENTS}


# -- archives


def packed(**members: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as file:
        for name, contents in members.items():
            info = tarfile.TarInfo(f"run/{name}")
            info.size = len(contents)
            file.addfile(info, io.BytesIO(contents))
    return written.getvalue()


def run_of(url: str) -> tuple[Asset, Asset]:
    """Two files of one archive."""
    source = Archive((url,))
    return (
        Asset("weights.pth", "tiny", source, "MIT", None, "run/weights", 2**20),
        Asset("config.yaml", "tiny", source, "MIT", None, "run/config", 2**10),
    )


def test_an_archive_is_loaded_once_and_gives_its_files(server: Publisher, assets_dir: Path) -> None:
    url = server.publish("data.tar.gz", Page(packed(weights=CONTENTS, config=b"A: 1", log=b"...")))

    fetch(assets_dir, *run_of(url))

    assert len(server.requests) == 1
    assert files(assets_dir) == {"weights.pth": CONTENTS, "config.yaml": b"A: 1"}
    assert pins.read(assets_dir).keys() == {"weights.pth", "config.yaml"}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        pytest.param({"weights": CONTENTS}, "holds no run/config", id="without one of the files"),
        pytest.param({"weights": CONTENTS, "config": bytes(2000)}, "more than the 1024", id="one too large"),
        pytest.param({"config": b"A: 1", "weights": b"<html>"}, "web page", id="one is something else"),
    ],
)
def test_an_archive_that_is_not_right_leaves_nothing(
    server: Publisher, assets_dir: Path, members: dict[str, bytes], reason: str
) -> None:
    url = server.publish("data.tar.gz", Page(packed(**members)))

    with pytest.raises(FetchError, match=reason):
        fetch(assets_dir, *run_of(url))

    assert (files(assets_dir), pins.read(assets_dir)) == ({}, {})


# -- users' own files


def test_a_users_file_is_taken_under_its_publishers_name_too(assets_dir: Path) -> None:
    asset = Asset("SMPL.pkl", "tiny", Hand(also=("official.pkl",), how="register at ..."), "its own")
    fetch(assets_dir, asset)
    assert installed.state(asset, assets_dir) == "missing"

    (assets_dir / "official.pkl").write_bytes(b"body")

    assert installed.state(asset, assets_dir) == "ready"
    assert installed.find(asset, assets_dir) == assets_dir / "official.pkl"


# -- accidents


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a fetch in a process of its own."""
    started = []

    def starting(directory: Path, url: str, most_bytes: int = 0, *member: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.workers.fetch_process", directory, url, str(most_bytes)]
        command += member
        environment = {**os.environ, "no_proxy": "127.0.0.1"}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield starting
    for process in started:
        process.kill()
        process.communicate(timeout=SECONDS)


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_a_fetch_that_was_killed_is_gone_on_with(
    server: Publisher, assets_dir: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    large = CONTENTS * 20
    page = Page(large, held_at=3 * 2**20)
    url = server.publish("file", page)
    part = assets_dir / f".{fetch_process.NAME}.part"
    process = start(assets_dir, url)
    wait_for(lambda: size(part) >= 2 * 2**20)

    process.send_signal(signal.SIGKILL)
    assert process.wait(SECONDS) == -signal.SIGKILL
    page.released.set()
    page.held_at = None
    kept_bytes = size(part)
    fetch(assets_dir, weights(url))

    assert files(assets_dir) == {"weights.pth": large}
    assert server.requests[-1] == ("file", f"bytes={kept_bytes}-", '"1"')


def test_a_full_disk_is_named_and_what_has_arrived_is_kept(
    server: Publisher, assets_dir: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    large = CONTENTS * 20
    url = server.publish("file", Page(large))
    process = start(assets_dir, url, most_bytes=2**20)

    _, complaint = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert (
        f"refused: {fetch_process.NAME}: File too large in {assets_dir}; what has arrived is kept"
        in complaint
    )
    assert size(assets_dir / f".{fetch_process.NAME}.part") == 2**20
    fetch(assets_dir, weights(url))
    assert files(assets_dir) == {"weights.pth": large}
    assert server.requests[-1] == ("file", f"bytes={2**20}-", '"1"')


def test_a_disk_that_is_full_while_unpacking_keeps_the_archive(
    server: Publisher, assets_dir: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    large = bytes(2 * 2**20)
    url = server.publish("data.tar.gz", Page(gzip.compress(packed(weights=large, config=b"A: 1"))))
    process = start(assets_dir, url, 2**20, "run/weights")

    _, complaint = process.communicate(timeout=SECONDS)

    assert f"{fetch_process.NAME}: File too large" in complaint
    assert files(assets_dir).keys() == {".data.tar.gz.part", ".data.tar.gz.part.json"}
    fetch(assets_dir, replace(run_of(url)[0], most_bytes=2**22))
    assert files(assets_dir) == {"weights.pth": large}
    assert len(server.requests) == 1


def test_a_terminal_shows_how_far_it_is_and_a_file_only_what_is_fetched(
    server: Publisher, assets_dir: Path
) -> None:
    url = server.publish("file", Page(CONTENTS))
    ours, terminal = pty.openpty()
    command = [sys.executable, "-m", "tests.workers.fetch_process"]
    environment = {**os.environ, "no_proxy": "127.0.0.1", "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([*command, assets_dir, url, "0"], stdout=terminal, env=environment)
    os.close(terminal)
    shown = b""
    # The terminal's last reader gets EIO, where it has no writer any more.
    with suppress(OSError):
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait(SECONDS) == 0
    assert b"200.0/200.0 kB" in shown

    plain = subprocess.run(
        [*command, assets_dir.with_name("other"), url, "0"],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    assert plain.stdout.strip() == b"fetching weights.pth from 127.0.0.1"


def test_only_one_fetch_is_at_work_in_a_directory(server: Publisher, assets_dir: Path) -> None:
    page = Page(CONTENTS, held_at=10)
    url = server.publish("file", page)
    first = threading.Thread(target=fetch, args=(assets_dir, weights(url)))
    first.start()
    wait_for(lambda: bool(server.requests))

    with pytest.raises(FetchError, match="another fetch is at work"):
        fetch(assets_dir, weights(url))

    page.released.set()
    first.join(SECONDS)
    assert files(assets_dir) == {"weights.pth": CONTENTS}
