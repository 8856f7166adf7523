"""What `/metrics` tells Prometheus: requests, stages, people, the broker's state and every bound."""

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from http_edge.sharing import Sharing
from http_edge.status import Snapshot
from wire.messages import Result, Status
from wire.settings import Settings

_REQUEST_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_STAGE_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

#: The bounds of the edge itself, and of workers; the broker tells its own.
_EDGE_BOUNDS = (
    "max_body_bytes",
    "max_image_pixels",
    "http_threads",
    "max_lent_pictures",
    "edges",
    "request_timeout_s",
    "max_queued_jobs",
    "max_video_bytes",
    "max_video_frames",
    "jobs_at_once",
    "jobs_max_bytes",
    "job_kept_s",
    "store_max_bytes",
    "frame_limit_s",
    "token_frames_per_s",
    "token_bytes_per_s",
    "token_sessions",
)

#: What workers say of their part of the store, of which these have happened since each began.
_STORE_EVENTS = ("restored", "cold", "evicted", "failed_writes", "superseded")


_Child = TypeVar("_Child", bound=MetricWrapperBase)

#: More combinations of labels than there are.
_MOST_CHILDREN = 512


def _children(metric: _Child) -> Callable[..., _Child]:
    """`metric.labels`, whose looks at its arguments take longer than to count does: each combination once."""
    return lru_cache(maxsize=_MOST_CHILDREN)(metric.labels)


class FrameMetrics:
    """What is counted of frames, whichever request brought them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stage_seconds = _children(
            Histogram(
                "everyframe_stage_seconds",
                "Time that a worker spent on one stage of a frame",
                ["stage"],
                buckets=_STAGE_SECONDS,
                registry=registry,
            )
        )
        self._people = _children(
            Counter(
                "everyframe_people",
                "People in answers, by provenance: detected, recovered, predicted",
                ["state"],
                registry=registry,
            )
        )
        self._contradictions = _children(
            Counter(
                "everyframe_contradictions",
                "Parts of people observed as they cannot be, by what was wrong: mirrored, leaped, mixed",
                ["kind"],
                registry=registry,
            )
        )
        self._nobody = Counter(
            "everyframe_frames_without_person",
            "Answers with nobody to show",
            registry=registry,
        )
        self.thumbnail_seconds = Histogram(
            "everyframe_thumbnail_seconds",
            "Time to make a thumbnail, by which videos without a session id are told apart",
            buckets=_STAGE_SECONDS,
            registry=registry,
        )

    def done(self, result: Result) -> None:
        """Count one frame's people and the time of its stages."""
        for stage, elapsed_ms in result.stages_ms.items():
            self._stage_seconds(stage).observe(elapsed_ms / 1e3)
        for person in result.people:
            self._people(person.state).inc()
            for kind, parts in person.contradictions.items():
                self._contradictions(kind).inc(parts)
        if result.primary is None:
            self._nobody.inc()


class Metrics:
    """The edge's registry, of its own, so that nothing else of the process shows up in it; requests' counts.

    frames: the counts of frames, in the same registry.
    """

    def __init__(
        self, settings: Settings, snapshot: Callable[[], Snapshot], *, shared: Path | None = None
    ) -> None:
        """shared: the folder that several edges count in together (`http_edge.sharing`)."""
        began_at = time.time()
        self._shown = counted = CollectorRegistry()
        self._sharing = None
        if shared is not None:
            counted = CollectorRegistry()
            self._sharing = Sharing(shared, own=counted, shown=self._shown, now=began_at)
        self._shown.register(
            _BrokerMetrics(settings, snapshot, self._sharing.began_at if self._sharing else lambda: began_at)
        )
        edges = Gauge("everyframe_edges", "Edges that run", multiprocess_mode="livesum", registry=counted)
        edges.set(1)
        self._requests = _children(
            Counter(
                "everyframe_http_requests",
                "Requests answered, by endpoint and status code",
                ["endpoint", "status"],
                registry=counted,
            )
        )
        self._unread = _children(
            Counter(
                "everyframe_http_refused_unread",
                "Requests refused by their headers, or because they could not be read, by status code",
                ["status"],
                registry=counted,
            )
        )
        self._request_seconds = _children(
            Histogram(
                "everyframe_http_request_seconds",
                "Time from a request's arrival to its answer",
                ["endpoint"],
                buckets=_REQUEST_SECONDS,
                registry=counted,
            )
        )
        self.in_flight = Gauge(
            "everyframe_http_in_flight",
            "Requests being served now",
            multiprocess_mode="livesum",
            registry=counted,
        )
        self.frames = FrameMetrics(counted)

    def request_done(self, *, endpoint: str, status: int, elapsed_s: float) -> None:
        """Count one answer."""
        self._requests(endpoint, str(status)).inc()
        self._request_seconds(endpoint).observe(elapsed_s)

    def refused_unread(self, status: int) -> None:
        """Count a request that never got as far as an endpoint."""
        self._unread(str(status)).inc()

    def register(self, collector: Collector) -> None:
        """Show what else is counted, too."""
        self._shown.register(collector)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        if self._sharing is not None:
            self._sharing.forget_the_dead()
        return generate_latest(self._shown)


class _BrokerMetrics:
    """The broker's last status and the bounds, made into metrics when they are asked for."""

    def __init__(
        self, settings: Settings, snapshot: Callable[[], Snapshot], began_at: Callable[[], float]
    ) -> None:
        """began_at: when the edge began, of several the last; a time of day."""
        self._settings = settings
        self._snapshot = snapshot
        self._began_at = began_at

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client, for each exposition and once at registration."""
        snapshot = self._snapshot()
        status = snapshot.status
        bounds = {name: float(getattr(self._settings, name)) for name in _EDGE_BOUNDS}
        yield GaugeMetricFamily(
            "everyframe_broker_up", "1 while the broker answers", value=status is not None
        )
        yield GaugeMetricFamily(
            "everyframe_ready", "1 while a worker takes frames", value=snapshot.state == "ready"
        )
        uptime = GaugeMetricFamily(
            "everyframe_uptime_seconds", "Time since a program began", labels=["program"]
        )
        uptime.add_metric(["edge"], time.time() - self._began_at())
        if status is not None:
            uptime.add_metric(["broker"], status.uptime_s)
            bounds |= status.limits
            workers = GaugeMetricFamily("everyframe_workers", "Workers by state", labels=["state"])
            for state in ("ready", "draining"):
                workers.add_metric([state], sum(worker.state == state for worker in status.workers))
            yield workers
            yield GaugeMetricFamily("everyframe_sessions", "Sessions alive", value=status.sessions)
            yield GaugeMetricFamily(
                "everyframe_streams", "Sessions that nobody named and that may go on", value=status.streams
            )
            yield GaugeMetricFamily("everyframe_queue_frames", "Frames waiting", value=status.queued_frames)
            yield GaugeMetricFamily("everyframe_queue_bytes", "Bytes waiting", value=status.queued_bytes)
            yield GaugeMetricFamily("everyframe_in_flight", "Frames with workers", value=status.in_flight)
            events = CounterMetricFamily(
                "everyframe_broker_events", "The broker's counters", labels=["event"]
            )
            for event, count in status.counters.items():
                events.add_metric([event], count)
            yield events
            yield from _worker_metrics(status)
            yield from _store_metrics(status)
        yield uptime
        limits = GaugeMetricFamily("everyframe_limit", "Every bound of the service", labels=["name"])
        for name, bound in bounds.items():
            limits.add_metric([name], bound)
        yield limits


def _worker_metrics(status: Status) -> Iterator[Metric]:
    """How the broker shares out the work."""
    sessions = GaugeMetricFamily("everyframe_worker_sessions", "Sessions owned", labels=["worker"])
    in_flight = GaugeMetricFamily("everyframe_worker_in_flight", "Frames in hand", labels=["worker"])
    for worker in status.workers:
        sessions.add_metric([worker.name], worker.sessions)
        in_flight.add_metric([worker.name], worker.in_flight)
    yield from (sessions, in_flight)


def _store_metrics(status: Status) -> Iterator[Metric]:
    """Each worker's part of the store, as it last said."""
    sessions = GaugeMetricFamily("everyframe_store_sessions", "Sessions stored", labels=["worker"])
    used = GaugeMetricFamily("everyframe_store_bytes", "Bytes that they take", labels=["worker"])
    events = CounterMetricFamily(
        "everyframe_store_events",
        "Sessions moved with or without their past, or dropped for room; answers not stored, or superseded",
        labels=["worker", "event"],
    )
    for worker in status.workers:
        sessions.add_metric([worker.name], worker.store.get("sessions", 0))
        used.add_metric([worker.name], worker.store.get("used_bytes", 0))
        for event in _STORE_EVENTS:
            events.add_metric([worker.name, event], worker.store.get(event, 0))
    yield from (sessions, used, events)
