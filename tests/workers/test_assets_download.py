"""Loading one file over HTTP from servers that break off, lie, change their mind or have nothing."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from urllib3 import HTTPResponse, Retry
from urllib3.util.retry import RequestHistory

from tests.workers import publisher
from tests.workers.publisher import Page, Publisher
from workers.assets import download
from workers.assets.asset import FetchError
from workers.assets.download import TRIES, Download

CONTENTS = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)


@pytest.fixture
def server() -> Iterator[Publisher]:
    with publisher.running() as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / ".file.part"


def nobody(*_: float) -> None:
    """Told of progress, or to pause."""


def load(part: Path, *urls: str, size_bytes: int | None = None, most_bytes: int = 2**20) -> str:
    """Load a file without waiting between attempts."""
    return Download(part, size_bytes, most_bytes, unpacks=False, tell=nobody, pause=nobody).run(urls)


def test_a_file_arrives_whole_and_says_how_far_it_is(server: Publisher, part: Path) -> None:
    told = []
    url = server.publish("file", Page(CONTENTS))

    came_from = Download(part, None, 2**20, False, lambda done, total: told.append((done, total))).run([url])

    assert came_from == url
    assert part.read_bytes() == CONTENTS
    assert told[0] == (0, len(CONTENTS))
    assert told[-1] == (len(CONTENTS), len(CONTENTS))


def test_a_broken_connection_is_gone_on_from(server: Publisher, part: Path) -> None:
    url = server.publish("file", Page(CONTENTS, cuts=[100_000, 50_000]))

    load(part, url)

    assert part.read_bytes() == CONTENTS
    assert server.requests == [
        ("file", None, None),
        ("file", "bytes=100000-", '"1"'),
        ("file", "bytes=150000-", '"1"'),
    ]


def test_a_later_run_goes_on_from_what_an_earlier_one_left(server: Publisher, part: Path) -> None:
    url = server.publish("file", Page(CONTENTS, cuts=[100_000] + [0] * TRIES))
    with pytest.raises(FetchError, match=r"the same command goes on from 100000 bytes"):
        load(part, url)

    load(part, url)

    assert part.read_bytes() == CONTENTS
    assert server.requests[-1] == ("file", "bytes=100000-", '"1"')


def test_a_part_that_was_complete_is_not_asked_for_again(server: Publisher, part: Path) -> None:
    url = server.publish("file", Page(CONTENTS))
    load(part, url)
    load(part, url)

    assert len(server.requests) == 1
    assert part.read_bytes() == CONTENTS


def test_a_server_without_ranges_gives_the_whole_file_again(server: Publisher, part: Path) -> None:
    url = server.publish("file", Page(CONTENTS, ranges=False, cuts=[100_000]))

    load(part, url)

    assert part.read_bytes() == CONTENTS


def test_a_server_without_ranges_that_always_breaks_off_is_given_up(server: Publisher, part: Path) -> None:
    url = server.publish(
        "file", Page(CONTENTS, ranges=False, cuts=[100_000, 50_000, 60_000, 70_000, 80_000, 90_000])
    )

    with pytest.raises(
        FetchError,
        match=r"/file: Connection broken: IncompleteRead.*; the same command goes on from 80000 bytes",
    ):
        load(part, url)

    assert len(server.requests) == 1 + TRIES


def test_a_server_that_names_no_version_is_never_gone_on_from(server: Publisher, part: Path) -> None:
    url = server.publish("file", Page(CONTENTS, etag=None, cuts=[100_000]))

    load(part, url)

    assert part.read_bytes() == CONTENTS
    assert server.requests == [("file", None, None)] * 2


def test_a_weak_etag_does_not_name_a_version_but_a_date_does(server: Publisher, part: Path) -> None:
    page = Page(CONTENTS, etag='W/"1"', last_modified="Sat, 01 Nov 2025 10:00:00 GMT", cuts=[100_000])
    url = server.publish("file", page)

    load(part, url)

    assert part.read_bytes() == CONTENTS
    assert server.requests[-1] == ("file", "bytes=100000-", page.last_modified)


@pytest.mark.parametrize("heeds_if_range", [True, False], ids=["heeded", "ignored"])
def test_a_file_that_changes_in_the_middle_is_loaded_anew(
    server: Publisher, part: Path, heeds_if_range: bool
) -> None:
    url = server.publish("file", Page(CONTENTS, cuts=[100_000] + [0] * TRIES))
    with pytest.raises(FetchError):
        load(part, url)
    server.publish("file", Page(OTHER, etag='"2"', heeds_if_range=heeds_if_range))

    load(part, url)

    assert part.read_bytes() == OTHER


def test_a_part_longer_than_the_file_begins_anew(server: Publisher, part: Path) -> None:
    url = server.publish("file", Page(CONTENTS, cuts=[100_000] + [0] * TRIES))
    with pytest.raises(FetchError):
        load(part, url)
    server.publish("file", Page(CONTENTS[:5_000], heeds_if_range=False))

    load(part, url)

    assert part.read_bytes() == CONTENTS[:5_000]


def test_a_busy_server_is_asked_again(server: Publisher, part: Path) -> None:
    url = server.publish("file", Page(CONTENTS, statuses=[503, 429]))

    load(part, url)

    assert part.read_bytes() == CONTENTS


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        pytest.param(None, "HTTP 404", id="nothing there"),
        pytest.param(Page(CONTENTS, statuses=[403] * 9), "HTTP 403", id="forbidden"),
        pytest.param(Page(CONTENTS, statuses=[500] * 9), "HTTP 500", id="broken"),
        pytest.param(Page(CONTENTS[:-1]), "299999 bytes long, and should be 300000", id="another size"),
        pytest.param(Page(CONTENTS, tells_length=False), "does not say how long", id="no length"),
    ],
)
def test_an_address_that_has_not_the_file_is_named_and_the_next_one_tried(
    server: Publisher, part: Path, page: Page | None, reason: str
) -> None:
    bad = server.publish("bad", page) if page else server.url("bad")
    with pytest.raises(FetchError, match=f"{bad}: .*{reason}"):
        load(part, bad, size_bytes=len(CONTENTS))

    good = server.publish("good", Page(CONTENTS))
    assert load(part, bad, good, size_bytes=len(CONTENTS)) == good
    assert part.read_bytes() == CONTENTS


def test_an_address_where_nobody_answers_is_named(part: Path) -> None:
    with publisher.running() as gone:
        url = gone.url("file")

    with pytest.raises(FetchError, match="refused"):
        load(part, url)


def test_what_has_arrived_is_not_given_up_for_another_address(server: Publisher, part: Path) -> None:
    begun = server.publish("begun", Page(CONTENTS, cuts=[100_000] + [0] * TRIES))
    other = server.publish("other", Page(CONTENTS))
    with pytest.raises(FetchError):
        load(part, begun, other)

    assert load(part, other, begun) == begun
    assert server.requests[-1] == ("begun", "bytes=100000-", '"1"')


def test_a_file_beyond_its_bound_is_refused_before_it_is_loaded(server: Publisher, part: Path) -> None:
    url = server.publish("file", Page(CONTENTS))

    with pytest.raises(FetchError, match="300000 bytes long: more than the 1000 it may have"):
        load(part, url, most_bytes=1000)

    assert not part.exists()


def test_a_redirect_is_followed(server: Publisher, part: Path) -> None:
    server.publish("file", Page(CONTENTS))

    load(part, server.publish("moved", Page(b"", redirect="/file")))

    assert part.read_bytes() == CONTENTS


def test_redirects_in_a_circle_end(server: Publisher, part: Path) -> None:
    url = server.publish("moved", Page(b"", redirect="/moved"))

    with pytest.raises(FetchError, match="too many redirects"):
        load(part, url)


def test_a_redirect_from_https_to_http_is_refused() -> None:
    step = RequestHistory("GET", "https://host/file", None, 302, "http://host/file")
    response = HTTPResponse(status=200, retries=Retry(history=(step,)))

    with pytest.raises(download.Elsewhere, match="http://host/file, which is not secure"):
        download.refuse_a_way_out_of_tls("https://host/file", response)


def test_the_environments_proxy_is_used(
    server: Publisher, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    server.publish("http://files.invalid/file", Page(CONTENTS))

    load(part, "http://files.invalid/file")

    assert part.read_bytes() == CONTENTS


def test_a_disk_without_room_is_told_before_anything_is_loaded(
    server: Publisher, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.publish("file", Page(CONTENTS))
    free_bytes = len(CONTENTS) * 2 - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free_bytes))

    Download(part, None, 2**20, unpacks=False, tell=nobody).run([url])
    part.unlink()
    with pytest.raises(FetchError, match=r"are needed in .*; make room, or set POSE_ASSETS_DIR"):
        Download(part, None, 2**20, unpacks=True, tell=nobody).run([url])

    assert part.read_bytes() == b""
