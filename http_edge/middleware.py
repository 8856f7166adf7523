"""What happens around every request: its id, its time and its count, and a smaller answer for who asks."""

import logging
import re
import time
from functools import lru_cache

import falcon

from http_edge import headers
from http_edge.compression import Gzip
from http_edge.formats import Body
from http_edge.metrics import Metrics
from wire.requests import new_request_id

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

_GZIP_FROM_BYTES = 1024


class Bookkeeping:
    """Gives each request its id and its time, and counts it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Called before the path is looked at."""
        given = req.get_header("X-Request-Id", default="")
        req.context.arrived = time.perf_counter()
        req.context.request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id().hex()
        resp.set_header("X-Request-Id", req.context.request_id)
        self._metrics.in_flight.inc()

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,
    ) -> None:
        """Called once for each request, failed or not."""
        elapsed_s = time.perf_counter() - req.context.arrived
        endpoint = req.uri_template or "unknown"  # never the path itself: strangers choose paths
        self._metrics.request_done(endpoint=endpoint, status=resp.status_code, elapsed_s=elapsed_s)
        self._metrics.in_flight.dec()
        log.debug(
            "request=%s method=%s path=%s frame=%s status=%d elapsed_ms=%.1f",
            req.context.request_id, req.method, req.path, req.context.get("frame_number"),
            resp.status_code, elapsed_s * 1e3,
        )  # fmt: skip


class Compression:
    """gzip, for those who ask; what is in two parts becomes one."""

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,
    ) -> None:
        """Called once the answer is known."""
        body: Body | None = resp.context.get("body")
        if body is None:
            if resp.data is None:
                return
            body = Body(b"", resp.data)
        if len(body.beginning) + len(body.rest) < _GZIP_FROM_BYTES:
            resp.data = body.whole()
            return
        resp.append_header("Vary", "Accept-Encoding")
        if headers.accepts_gzip(req.get_header("Accept-Encoding", default="")):
            resp.data = _gzip_after(body.beginning)(body.rest)
            resp.set_header("Content-Encoding", "gzip")
        else:
            resp.data = body.whole()


@lru_cache(maxsize=2)
def _gzip_after(beginning: bytes) -> Gzip:
    """Made once for each body whose triangles an answer begins with, and for all other answers."""
    return Gzip(beginning)
