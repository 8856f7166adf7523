"""Answers about the service itself, as types for their schemas to be derived from; tests hold it to them."""

from typing import Literal

from msgspec import Struct

from http_edge.openapi.frames import Count
from http_edge.openapi.videos import Seconds, Time

Loaded = Literal["loaded", "not_loaded"]


class LoadedModels(Struct, kw_only=True):
    """The names of the service that this one stands for; `backend` and `tracker` say what runs."""

    hmr2: Loaded
    phalp: Loaded
    vitdet: Loaded


class Health(Struct, kw_only=True):
    """Whether frames can be posed. parts: model file -> its digest, `sha256:...`."""

    status: Literal["ready", "warming_up", "not_ready"]
    ready: bool
    models: LoadedModels
    backend: str | None
    tracker: str | None
    parts: dict[str, str]
    device: str | None
    workers: Count
    error: str | None


class Warmup(Struct, kw_only=True):
    """`partial`: some workers still load."""

    status: Literal["ready", "partial", "error"]
    message: str


class ReadyModels(Struct, kw_only=True):
    """The same as flags."""

    hmr2: bool
    vitdet: bool
    phalp: bool


class HealthPool(Struct, kw_only=True):
    """What is under way: frames (`gpu_busy`, whatever the device is) and videos."""

    gpu_busy: bool
    queue_length: Count
    active_jobs: Count


class PoseHealth(Struct, kw_only=True):
    """Workers and video jobs. degraded: many videos wait."""

    status: Literal["healthy", "initializing", "degraded", "error"]
    timestamp: Time
    models_loaded: bool
    gpu_available: bool
    device: str | None
    models: ReadyModels
    pool: HealthPool
    error: str | None


class WorkerPool(Struct, kw_only=True):
    """How many workers hold frames."""

    gpu_busy: bool
    max_workers: Count
    active_workers: Count
    available_workers: Count


class Queue(Struct, kw_only=True):
    """Videos that wait."""

    length: Count
    estimated_wait_time_seconds: Seconds


class JobCounts(Struct, kw_only=True):
    """Videos by what became of them."""

    total: Count
    queued: Count
    processing: Count
    completed: Count
    failed: Count


class System(Struct, kw_only=True):
    """What the networks run on."""

    device: str | None
    gpu_available: bool
    models_loaded: bool


class PoolStatus(Struct, kw_only=True):
    """Workers, and the queue of videos."""

    timestamp: Time
    pool: WorkerPool
    queue: Queue
    jobs: JobCounts
    system: System
