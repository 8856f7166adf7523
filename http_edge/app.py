"""The WSGI application: which path does what, and how every failure leaves.

A request's way: admitted (or refused as busy), read (`intake`), its picture's header
checked (`wire.images`), sent to the broker (`asking`), and its result written (`contract`). Each
waiting request holds a thread, so fewer are admitted than there are threads: `/health`
and `/metrics` always find one.
"""

import logging
import math
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import falcon
import msgspec
import orjson
from falcon import mediatypes
from falcon.media.multipart import MultipartFormHandler
from prometheus_client import CONTENT_TYPE_LATEST

from http_edge import batch, contract, formats, intake, pages, videos
from http_edge.access import Access, AccessMiddleware
from http_edge.compression import Gzip
from http_edge.contract import KeypointSet, Meshes, Style
from http_edge.formats import Body, Format
from http_edge.forms import readable
from http_edge.intake import Extent, Intake
from http_edge.jobs.archive import Archive
from http_edge.metrics import Metrics
from http_edge.openapi import serving as openapi
from http_edge.posing import Posing
from http_edge.status import StatusWatch, health_body, warmup_body
from http_edge.topology import BodyFile
from wire.errors import (
    BadRequest,
    Busy,
    Internal,
    MethodNotAllowed,
    NotFound,
    PoseError,
    RateLimited,
    Unauthorized,
    UnsupportedMediaType,
)
from wire.line import Lines
from wire.messages import SessionId
from wire.settings import Settings

log = logging.getLogger(__name__)

_BUSY_RETRY_S = 1.0
_GZIP_FROM_BYTES = 1024
App = falcon.App[falcon.Request, falcon.Response]

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

#: Callers say the same in each request; so many headers are remembered with what follows from them.
_REMEMBERED_HEADERS = 64


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application stands on."""

    settings: Settings
    broker: Lines
    watch: StatusWatch
    metrics: Metrics
    body: BodyFile
    archive: Archive
    access: Access


def build(parts: Parts) -> App:
    """The application. Operators' paths are in it unless they have a listener of their own."""
    app: App = falcon.App(
        middleware=[  # answers pass from the last to the first
            _Compression(),
            falcon.CORSMiddleware(expose_headers=["X-Request-Id", "Retry-After"]),
            _Bookkeeping(parts.metrics),
            AccessMiddleware(parts.access),
        ]
    )
    app.req_options.strip_url_path_trailing_slash = True
    form_handler = app.req_options.media_handlers[falcon.MEDIA_MULTIPART]
    assert isinstance(form_handler, MultipartFormHandler)
    form_handler.parse_options.max_body_part_buffer_size = parts.settings.max_body_bytes

    admission = Admission(parts.settings.http_threads)
    pose = Posing(parts.settings, parts.broker, parts.metrics, parts.body)
    app.add_route("/pose/hybrid", HybridPose(parts, admission, pose))
    app.add_route("/pose/batch", BatchPose(parts, admission, pose))
    app.add_route("/health", Health(parts.watch))
    app.add_route("/warmup", Warmup(parts, admission))
    operators_too = parts.settings.admin_address() is None
    if operators_too:
        _add_operators_routes(app, parts)
    pages.add_live_page(app, has_operators_page=operators_too)
    pages.add_files(app)
    openapi.add_routes(app)
    videos.add_routes(
        app, settings=parts.settings, archive=parts.archive, watch=parts.watch, admission=admission
    )

    _add_error_handlers(app)
    return app


def build_for_operators(parts: Parts) -> App:
    """Metrics, their page, and what it asks for: for a listener that only operators reach."""
    app: App = falcon.App(middleware=[_Compression(), _Bookkeeping(parts.metrics)])
    app.add_route("/health", Health(parts.watch))
    pool_status = videos.PoolStatus(parts.settings, parts.watch, parts.archive.catalogue)
    app.add_route("/api/pose/pool-status", pool_status)
    _add_operators_routes(app, parts)
    pages.add_files(app)
    _add_error_handlers(app)
    return app


def _add_operators_routes(app: App, parts: Parts) -> None:
    app.add_route("/metrics", Exposition(parts.metrics))
    pages.add_operators_page(app, has_live_page=parts.settings.admin_address() is None)


def _add_error_handlers(app: App) -> None:
    app.add_error_handler(Exception, _answer_bug)
    app.add_error_handler(falcon.HTTPError, _answer_http_error)
    app.add_error_handler(PoseError, _answer_pose_error)


class Admission:
    """How many requests may wait at a time; one more is refused, never kept waiting for its turn."""

    def __init__(self, limit: int) -> None:
        self._free = threading.BoundedSemaphore(limit)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold one place. Raises `Busy`."""
        if not self._free.acquire(blocking=False):
            raise Busy("the service has as many requests as it takes at a time", retry_after_s=_BUSY_RETRY_S)
        try:
            yield
        finally:
            self._free.release()


class HybridPose:
    """`/pose/hybrid`: the people of one picture."""

    def __init__(self, parts: Parts, admission: Admission, pose: Posing) -> None:
        self._timeout_s = parts.settings.request_timeout_s
        self._keypoints = parts.settings.keypoints
        self._admission = admission
        self._pose = pose

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer one picture. Raises every `PoseError` of the contract."""
        with self._admission():
            asked = _read_intake(req)
            req.context.frame_number = asked.frame_number
            session_id, form = _session_id(req), preferred(req.accept)
            extent = asked.extent.or_else(intake.extent(req.params))
            resp.context.body = self._pose(
                asked,
                session_id=asked.session_id or session_id,
                caller=req.context.caller,
                address=req.remote_addr,
                style=_style(extent, self._keypoints, form),
                arrived=req.context.arrived,
                within_s=self._timeout_s,
            )
        resp.content_type = form.media_type


class BatchPose:
    """`/pose/batch`: the people of several pictures of one video."""

    def __init__(self, parts: Parts, admission: Admission, pose: Posing) -> None:
        self._settings = parts.settings
        self._admission = admission
        self._pose = pose

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer one picture after the other. Raises `BadRequest`, `Busy` or `UnsupportedMediaType`."""
        with self._admission():
            asked = batch.read(_read_json(req), max_frames=self._settings.max_session_frames)

            extent, form = asked.extent.or_else(intake.extent(req.params)), preferred(req.accept)

            def pose(frame: Intake, left_s: float) -> bytes:
                body = self._pose(
                    frame,
                    session_id=asked.session_id,
                    caller=req.context.caller,
                    address=req.remote_addr,
                    style=_style(frame.extent.or_else(extent), self._settings.keypoints, form),
                    arrived=time.perf_counter(),
                    within_s=left_s,
                )
                return body.whole()

            resp.data = batch.answers(asked, pose, form=form, within_s=self._settings.request_timeout_s)
        resp.content_type = form.media_type


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

    def __init__(self, parts: Parts, admission: Admission) -> None:
        self._watch = parts.watch
        self._settings = parts.settings
        self._admission = admission

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Wait for a worker, or for the reason why none can come."""
        with self._admission():
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


# ---------------------------------------------------------------- reading requests


def _read_intake(req: falcon.Request) -> Intake:
    media_type = _media_type(req)
    if media_type == falcon.MEDIA_MULTIPART:
        return intake.from_form((part.name or "", part.get_data()) for part in readable(req.get_media()))
    if media_type != falcon.MEDIA_JSON:
        raise UnsupportedMediaType(f"{media_type}: send application/json or multipart/form-data")
    body = req.bounded_stream.read()
    try:
        return intake.from_json(body)
    except PoseError:
        req.context.frame_number = intake.frame_number_of(body)
        raise


def _read_json(req: falcon.Request) -> bytes:
    media_type = _media_type(req)
    if media_type != falcon.MEDIA_JSON:
        raise UnsupportedMediaType(f"{media_type}: send application/json")
    body: bytes = req.bounded_stream.read()
    return body


def _media_type(req: falcon.Request) -> str:
    if req.get_header("Content-Encoding", default="identity").lower() != "identity":
        raise UnsupportedMediaType("the request's body is compressed; send it as it is")
    return (req.content_type or falcon.MEDIA_JSON).partition(";")[0].strip().lower()


def _session_id(req: falcon.Request) -> str | None:
    """The session that the header, or else the query, names, if one does."""
    named = [name for name in (req.get_header("X-Session-Id"), req.get_param("session")) if name]
    try:
        known: list[str] = [msgspec.convert(name, SessionId) for name in named]
    except msgspec.ValidationError as error:
        raise BadRequest(f"session: {error}") from None
    return known[0] if known else None


@lru_cache(maxsize=_REMEMBERED_HEADERS)
def preferred(accept: str) -> Format:
    """What whoever sends this `Accept` reads best; JSON where it names nothing that we write."""
    try:
        named = mediatypes.best_match(formats.BY_MEDIA_TYPE, accept)
    except ValueError:
        named = ""
    return formats.BY_MEDIA_TYPE[named or falcon.MEDIA_JSON]


def _style(extent: Extent, keypoints: KeypointSet, form: Format) -> Style:
    meshes: Meshes = "none" if extent.mesh == "none" else "everyone" if extent.people == "full" else "primary"
    return Style(keypoints, meshes, faces=extent.faces != "none", form=form)


# ---------------------------------------------------------------- how failures leave


def _answer_pose_error(
    req: falcon.Request,
    resp: falcon.Response,
    error: PoseError,
    _params: dict[str, Any],
) -> None:
    frame_number = req.context.get("frame_number")
    log.log(
        logging.WARNING if error.status >= 500 else logging.INFO,
        "request=%s method=%s path=%s frame=%s status=%d code=%s %s",
        req.context.request_id, req.method, req.path, frame_number, error.status, error.code, error.message,
    )  # fmt: skip
    resp.status = error.status
    resp.content_type = falcon.MEDIA_JSON
    resp.context.body = None
    resp.data = contract.refusal(code=error.code, message=error.message, frame_number=frame_number)
    if isinstance(error, Unauthorized):
        resp.set_header("WWW-Authenticate", "Bearer")
    if error.status in (Busy.status, RateLimited.status):
        resp.set_header("Retry-After", str(math.ceil(error.retry_after_s or _BUSY_RETRY_S)))


def _answer_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: dict[str, Any]
) -> None:
    """What falcon itself refuses: paths, methods, forms that it can't read."""
    resp.set_headers(error.headers or {})  # `Allow`, where the method is wrong
    match error.status_code:
        case NotFound.status:
            named: PoseError = NotFound(f"nothing lives at {req.path}")
        case MethodNotAllowed.status:
            named = MethodNotAllowed(f"{req.path} does not answer to {req.method}")
        case UnsupportedMediaType.status:
            named = UnsupportedMediaType(error.description or error.title or "")
        case status if status < 500:
            named = BadRequest(error.description or error.title or "")
        case _:
            return _answer_bug(req, resp, error, params)
    return _answer_pose_error(req, resp, named, params)


def _answer_bug(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    asked = req.context.request_id, req.method, req.path
    log.error("request=%s method=%s path=%s failed", *asked, exc_info=error)
    _answer_pose_error(req, resp, Internal("an internal error; the log of the service tells more"), params)


# ---------------------------------------------------------------- around every request


class _Bookkeeping:
    """Gives each request its id and its time, and counts it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = req.get_header("X-Request-Id", default="")
        req.context.arrived = time.perf_counter()
        req.context.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        resp.set_header("X-Request-Id", req.context.request_id)
        self._metrics.in_flight.inc()

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,
    ) -> None:
        elapsed_s = time.perf_counter() - req.context.arrived
        endpoint = req.uri_template or "unknown"  # never the path itself: strangers choose paths
        self._metrics.request_done(endpoint=endpoint, status=resp.status_code, elapsed_s=elapsed_s)
        self._metrics.in_flight.dec()
        log.debug(
            "request=%s method=%s path=%s frame=%s status=%d elapsed_ms=%.1f",
            req.context.request_id, req.method, req.path, req.context.get("frame_number"),
            resp.status_code, elapsed_s * 1e3,
        )  # fmt: skip


class _Compression:
    """gzip, for those who ask; what is in two parts becomes one."""

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,
    ) -> None:
        body: Body | None = resp.context.get("body")
        if body is None:
            if resp.data is None:
                return
            body = Body(b"", resp.data)
        if len(body.beginning) + len(body.rest) < _GZIP_FROM_BYTES:
            resp.data = body.whole()
            return
        resp.append_header("Vary", "Accept-Encoding")
        if accepts_gzip(req.get_header("Accept-Encoding", default="")):
            resp.data = _gzip_after(body.beginning)(body.rest)
            resp.set_header("Content-Encoding", "gzip")
        else:
            resp.data = body.whole()


@lru_cache(maxsize=2)
def _gzip_after(beginning: bytes) -> Gzip:
    """Made once for each body whose triangles an answer begins with, and for all other answers."""
    return Gzip(beginning)


@lru_cache(maxsize=_REMEMBERED_HEADERS)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` (RFC 9110, 12.5.3) names gzip, or everything, and not with weight 0."""
    weights = {}
    for choice in accept_encoding.lower().split(","):
        coding, _, parameter = choice.partition(";")
        weights[coding.strip()] = parameter.replace(" ", "")
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return re.fullmatch(r"q=0(\.0*)?", weight) is None
