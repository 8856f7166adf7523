"""What `/api/pose/health` and `/api/pose/pool-status` say of workers and the queue of videos."""

import pytest

from http_edge.pool import pool_status_body, pose_health_body
from http_edge.status import Snapshot
from tests.http_edge.snapshots import snapshot, worker

QUIET = {"queued": 0, "processing": 0, "complete": 0, "error": 0}


@pytest.mark.parametrize(
    ("known", "queued", "status"),
    [
        pytest.param(Snapshot(None, ever_answered=False), 0, "initializing", id="just begun"),
        pytest.param(snapshot(), 0, "initializing", id="models load"),
        pytest.param(snapshot(load_error="no file"), 0, "error", id="models cannot load"),
        pytest.param(Snapshot(None, ever_answered=True), 0, "error", id="broker gone"),
        pytest.param(snapshot(worker()), 10, "healthy", id="some videos wait"),
        pytest.param(snapshot(worker()), 11, "degraded", id="many videos wait"),
    ],
)
def test_health_has_four_words(known: Snapshot, queued: int, status: str) -> None:
    body = pose_health_body(known, {**QUIET, "queued": queued})

    assert body["status"] == status
    assert body["models_loaded"] is (status in ("healthy", "degraded"))
    assert set(body["models"].values()) == {body["models_loaded"]}
    assert body["models"].keys() == {"hmr2", "vitdet", "phalp"}
    assert body["pool"]["queue_length"] == queued


def test_a_gpu_is_told_by_the_workers_device() -> None:
    assert pose_health_body(snapshot(worker(device="cuda:0")), QUIET)["gpu_available"] is True
    assert pose_health_body(snapshot(worker()), QUIET)["gpu_available"] is False


@pytest.mark.parametrize(("typical_s", "wait_s"), [(None, 90.0), (10.0, 15.0)])
def test_the_pool_tells_who_is_busy_and_how_long_a_video_waits(
    typical_s: float | None, wait_s: float
) -> None:
    jobs = {"queued": 3, "processing": 2, "complete": 5, "error": 1}
    body = pool_status_body(
        snapshot(worker(in_flight=4), worker()), jobs, max_workers=3, jobs_at_once=2, typical_s=typical_s
    )

    assert body["pool"] == {
        "gpu_busy": True,
        "max_workers": 3,
        "active_workers": 1,
        "available_workers": 1,
    }
    assert body["queue"] == {"length": 3, "estimated_wait_time_seconds": wait_s}
    assert body["jobs"] == {"total": 11, "queued": 3, "processing": 2, "completed": 5, "failed": 1}
    assert body["system"] == {"device": "cpu", "gpu_available": False, "models_loaded": True}
