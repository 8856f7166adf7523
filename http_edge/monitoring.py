"""`/health`, `/warmup` and `/metrics` over HTTP: what is asked of the service as such."""

import falcon
import orjson
from prometheus_client import CONTENT_TYPE_LATEST

from http_edge.admission import Admission
from http_edge.metrics import Metrics
from http_edge.status import StatusWatch, health_body, warmup_body
from wire.settings import Settings


class Health:
    """`/health`: always 200; the body tells."""

    def __init__(self, watch: StatusWatch) -> None:
        self._watch = watch

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What was known of the service less than a second ago."""
        resp.data = orjson.dumps(health_body(self._watch.snapshot))
        resp.content_type = falcon.MEDIA_JSON


class Warmup:
    """`/warmup`: returns when a worker is ready."""

    def __init__(self, settings: Settings, watch: StatusWatch, admission: Admission) -> None:
        self._settings = settings
        self._watch = watch
        self._admission = admission

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Wait for a worker, or for the reason why none can come."""
        with self._admission:
            snapshot = self._watch.wait_until_decided(self._settings.request_timeout_s)
        resp.data = orjson.dumps(warmup_body(snapshot, expected_workers=self._settings.workers))
        resp.content_type = falcon.MEDIA_JSON

    on_post = on_get


class Exposition:
    """`/metrics`, in Prometheus' text format."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Every metric."""
        resp.data = self._metrics.exposition()
        resp.content_type = CONTENT_TYPE_LATEST
