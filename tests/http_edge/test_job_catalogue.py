"""The table of video jobs: the queue's order, and what each change of a job's status may follow on."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from http_edge.jobs.catalogue import Catalogue, NewJob
from wire.errors import Busy, InvalidVideo, JobCancelled


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "jobs.sqlite")


def add(catalogue: Catalogue, *names: str, now: float = 0.0) -> None:
    for name in names:
        new = NewJob(name, f"{name}.mp4", f"/videos/{name}", meshes=True)
        catalogue.add(new, now=now, max_queued=10)


def note(catalogue: Catalogue, job_id: str, frames_done: int) -> None:
    catalogue.note(job_id, frames_done=frames_done, frames_expected=100, frames_per_second=25.0)


def test_jobs_are_taken_in_the_order_in_which_they_came(catalogue: Catalogue) -> None:
    add(catalogue, "b", "a", "c")
    waiting = [catalogue.find(name) for name in ("b", "a", "c")]

    assert [catalogue.position(job) for job in waiting] == [1, 2, 3]
    taken = [catalogue.take(now=1.0) for _ in range(4)]
    assert [job and job.job_id for job in taken] == ["b", "a", "c", None]
    assert {job.status for job in taken if job} == {"processing"}


def test_a_job_is_taken_once_however_many_ask(catalogue: Catalogue) -> None:
    add(catalogue, *"abcdefgh")
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: catalogue.take(now=1.0), range(12)))

    assert sorted(job.job_id for job in taken if job) == list("abcdefgh")


def test_programs_that_start_at_once_make_one_table(tmp_path: Path) -> None:
    for round_ in range(10):
        path = tmp_path / f"jobs-{round_}.sqlite"
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _, path=path: Catalogue(path), range(8)))
        add(made[0], "a")
        assert made[-1].counts()["queued"] == 1


def test_what_a_killed_program_worked_on_comes_first_again(catalogue: Catalogue) -> None:
    add(catalogue, "first", "second")
    catalogue.take(now=1.0)

    assert catalogue.take_back() == 1
    again = catalogue.take(now=9.0)
    assert (again.job_id, again.started_at, again.idle_starts) == ("first", 1.0, 2)


def test_a_new_frame_makes_a_start_count_no_more(catalogue: Catalogue) -> None:
    add(catalogue, "a")
    catalogue.take(now=1.0)
    note(catalogue, "a", 0)
    assert catalogue.find("a").idle_starts == 1
    note(catalogue, "a", 3)
    assert catalogue.find("a").idle_starts == 0


def test_an_orderly_stop_is_no_idle_start(catalogue: Catalogue) -> None:
    add(catalogue, "a")
    for _ in range(5):
        catalogue.take(now=1.0)
        catalogue.put_back("a")
    assert catalogue.take(now=2.0).idle_starts == 1


def test_more_than_may_wait_is_refused(catalogue: Catalogue) -> None:
    add(catalogue, *"abcdefghij")
    with pytest.raises(Busy) as refused:
        add(catalogue, "k")
    assert refused.value.retry_after_s


def test_whoever_works_on_a_cancelled_job_is_told(catalogue: Catalogue) -> None:
    add(catalogue, "a")
    catalogue.take(now=1.0)
    catalogue.cancel("a", now=2.0)

    with pytest.raises(JobCancelled):
        note(catalogue, "a", 1)
    catalogue.complete("a", frames=100, now=3.0)  # too late
    catalogue.put_back("a")
    job = catalogue.find("a")
    assert (job.status, job.code, job.completed_at) == ("error", "cancelled", 2.0)


def test_a_failure_is_kept_by_name(catalogue: Catalogue) -> None:
    add(catalogue, "a")
    catalogue.take(now=1.0)
    catalogue.fail("a", InvalidVideo("no video"), now=2.0)

    job = catalogue.find("a")
    assert (job.status, job.code, job.error) == ("error", "invalid_video", "no video")
    assert catalogue.counts() == {"queued": 0, "processing": 0, "complete": 0, "error": 1}


def test_a_video_that_is_begun_anew_has_another_session(catalogue: Catalogue) -> None:
    add(catalogue, "a")
    before = catalogue.take(now=1.0)
    note(catalogue, "a", 50)

    after = catalogue.begin_anew("a")
    assert (after.frames_done, after.attempt) == (0, 1)
    assert after.session_id != before.session_id


def test_it_tells_how_long_videos_take_and_which_are_old(catalogue: Catalogue) -> None:
    assert catalogue.typical_s() is None
    add(catalogue, "a", "b")
    for name, seconds in (("a", 10.0), ("b", 30.0)):
        catalogue.take(now=100.0)
        catalogue.complete(name, frames=5, now=100.0 + seconds)

    assert catalogue.typical_s() == 20.0
    assert [job.job_id for job in catalogue.ended_before(120.0)] == ["a"]
    catalogue.forget("a")
    assert catalogue.find("a") is None
