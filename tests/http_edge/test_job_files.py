"""The files of video jobs: entries that outlive a kill in the middle of a write, and room that is kept."""

import json
import os
import time
from pathlib import Path

import pytest

from http_edge.jobs import results
from http_edge.jobs.archive import Archive
from http_edge.jobs.catalogue import NewJob
from http_edge.jobs.results import ResultFile
from wire.errors import StorageFull


def entry(number: int) -> bytes:
    return json.dumps({"frame_number": number, "persons": [{"x": number}]}, separators=(",", ":")).encode()


def written(path: Path, count: int) -> Path:
    with ResultFile(path) as file:
        for number in range(file.kept.entries, count):
            file.add(entry(number))
    return path


def listed(path: Path) -> list[int]:
    body = results.surrounded(path, b"[", b"]")
    text = b"".join(body.pieces)
    assert len(text) == body.size_bytes
    return [found["frame_number"] for found in json.loads(text)]


def test_entries_are_a_json_list(tmp_path: Path) -> None:
    assert listed(written(tmp_path / "none", 0)) == []
    assert listed(written(tmp_path / "one", 1)) == [0]
    assert listed(written(tmp_path / "many", 100)) == list(range(100))


def test_a_file_is_gone_on_with_after_its_last_whole_entry(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", 5).read_bytes()
    for length in range(len(whole)):
        path = tmp_path / "torn"
        path.write_bytes(whole[:length])
        with ResultFile(path) as file:
            assert file.kept.entries == whole[:length].count(b"\n")
            assert file.kept.last == (entry(file.kept.entries - 1) if file.kept.entries else b"")
        assert written(path, 5).read_bytes() == whole


def test_what_a_crash_of_the_machine_leaves_is_cut_off(tmp_path: Path) -> None:
    path = written(tmp_path / "crashed", 3)
    path.write_bytes(path.read_bytes() + bytes(4096) + b"\n")

    with ResultFile(path) as file:
        assert file.kept.entries == 3
    assert listed(path) == [0, 1, 2]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "jobs", max_bytes=1000, kept_s=60.0)


def ended(archive: Archive, job_id: str, *, size_bytes: int, at: float) -> None:
    new = NewJob(job_id, "a.mp4", str(archive.upload(job_id)), meshes=True)
    archive.catalogue.add(new, now=at, max_queued=10)
    archive.catalogue.take(now=at)
    archive.result(job_id).write_bytes(bytes(size_bytes))
    archive.catalogue.complete(job_id, frames=1, now=at)


def test_room_is_made_by_the_oldest_results(archive: Archive) -> None:
    for age, name in enumerate(("old", "older", "oldest")):
        ended(archive, name, size_bytes=300, at=100.0 - age)
    assert archive.used_bytes() == 900

    archive.make_room(400, now=200.0)

    assert [archive.catalogue.find(name) is None for name in ("old", "older", "oldest")] == [
        False,
        False,
        True,
    ]
    assert archive.used_bytes() == 600


def test_no_room_has_a_name(archive: Archive) -> None:
    archive.upload("under-way").write_bytes(bytes(900))
    with pytest.raises(StorageFull):
        archive.make_room(200, now=200.0)
    archive.make_room(100, now=200.0)


def test_results_expire_and_what_belongs_to_nobody_goes(archive: Archive) -> None:
    now = time.time()
    ended(archive, "fresh", size_bytes=10, at=now - 59)
    ended(archive, "stale", size_bytes=10, at=now - 61)
    for name, age_s in (("left-over", 7200), ("arriving", 10)):
        archive.upload(name).write_bytes(b"x")
        os.utime(archive.upload(name), (now - age_s, now - age_s))

    archive.expire(now=now)

    assert archive.catalogue.find("stale") is None
    assert archive.catalogue.find("fresh") is not None
    assert not archive.result("stale").exists()
    assert not archive.upload("left-over").exists()
    assert archive.upload("arriving").exists()
