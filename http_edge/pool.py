"""How `/api/pose/health` and `/api/pose/pool-status` say what is known of workers and video jobs."""

import time
from collections.abc import Mapping
from typing import Any

from http_edge.jobs.catalogue import Status
from http_edge.status import Snapshot

Json = dict[str, Any]

#: More waiting videos than this are a service that does not keep up.
_LONG_QUEUE = 10

#: What a video is taken to need while none has been finished.
_GUESSED_S = 60.0


def pose_health_body(snapshot: Snapshot, jobs: Mapping[Status, int]) -> Json:
    """The answer of `/api/pose/health`; `jobs` counts them by status."""
    ready = snapshot.state == "ready"
    return {
        "status": _state(snapshot, queued=jobs["queued"]),
        "timestamp": time.time(),
        "models_loaded": ready,
        "gpu_available": _has_gpu(snapshot),
        "device": _device(snapshot),
        "models": {"hmr2": ready, "vitdet": ready, "phalp": ready},
        "pool": {
            "gpu_busy": _active(snapshot) > 0,
            "queue_length": jobs["queued"],
            "active_jobs": jobs["processing"],
        },
        "error": snapshot.trouble,
    }


def pool_status_body(
    snapshot: Snapshot,
    jobs: Mapping[Status, int],
    *,
    max_workers: int,
    jobs_at_once: int,
    typical_s: float | None,
) -> Json:
    """The answer of `/api/pose/pool-status`; `typical_s` is what a video takes."""
    active = _active(snapshot)
    wait_s = jobs["queued"] * (_GUESSED_S if typical_s is None else typical_s) / jobs_at_once
    return {
        "timestamp": time.time(),
        "pool": {
            "gpu_busy": active > 0,
            "max_workers": max_workers,
            "active_workers": active,
            "available_workers": max(0, snapshot.ready_workers - active),
        },
        "queue": {"length": jobs["queued"], "estimated_wait_time_seconds": round(wait_s, 1)},
        "jobs": {
            "total": sum(jobs.values()),
            "queued": jobs["queued"],
            "processing": jobs["processing"],
            "completed": jobs["complete"],
            "failed": jobs["error"],
        },
        "system": {
            "device": _device(snapshot),
            "gpu_available": _has_gpu(snapshot),
            "models_loaded": snapshot.state == "ready",
        },
    }


def _state(snapshot: Snapshot, *, queued: int) -> str:
    if snapshot.state == "ready":
        return "degraded" if queued > _LONG_QUEUE else "healthy"
    return "initializing" if snapshot.state == "warming_up" else "error"


def _active(snapshot: Snapshot) -> int:
    """Workers that hold frames."""
    workers = snapshot.status.workers if snapshot.status else []
    return sum(worker.state == "ready" and worker.in_flight > 0 for worker in workers)


def _device(snapshot: Snapshot) -> str | None:
    workers = snapshot.status.workers if snapshot.status else []
    return workers[0].device if workers else None


def _has_gpu(snapshot: Snapshot) -> bool:
    return (_device(snapshot) or "").startswith("cuda")
