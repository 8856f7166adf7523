"""The WSGI application put together: which path does what.

A picture's way: admitted or refused as busy (`admission`), read (`pictures`, `intake`), its header
checked (`wire.images`), sent to the broker (`asking`), and its result written (`contract`). Whatever goes
wrong on it is answered by `failures`.
"""

from dataclasses import dataclass

import falcon
from falcon.media.multipart import MultipartFormHandler

from http_edge import failures, pages, videos
from http_edge.access import Access, AccessMiddleware
from http_edge.admission import Admission
from http_edge.jobs.archive import Archive
from http_edge.metrics import Metrics
from http_edge.middleware import Bookkeeping, Compression
from http_edge.monitoring import Exposition, Health, Warmup
from http_edge.openapi import serving as openapi
from http_edge.pictures import BatchPose, HybridPose
from http_edge.posing import Posing
from http_edge.status import StatusWatch
from http_edge.topology import BodyFile
from wire.line import Lines
from wire.settings import Settings

App = falcon.App[falcon.Request, falcon.Response]


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
            Compression(),
            falcon.CORSMiddleware(expose_headers=["X-Request-Id", "Retry-After"]),
            Bookkeeping(parts.metrics),
            AccessMiddleware(parts.access),
        ]
    )
    app.req_options.strip_url_path_trailing_slash = True
    form_handler = app.req_options.media_handlers[falcon.MEDIA_MULTIPART]
    assert isinstance(form_handler, MultipartFormHandler)
    form_handler.parse_options.max_body_part_buffer_size = parts.settings.max_body_bytes

    admission = Admission(parts.settings.http_threads)
    pose = Posing(parts.settings, parts.broker, parts.metrics.frames, parts.body)
    app.add_route("/pose/hybrid", HybridPose(parts.settings, admission, pose))
    app.add_route("/pose/batch", BatchPose(parts.settings, admission, pose))
    app.add_route("/health", Health(parts.watch))
    app.add_route("/warmup", Warmup(parts.settings, parts.watch, admission))
    operators_too = parts.settings.admin_address() is None
    if operators_too:
        _add_operators_routes(app, parts)
    pages.add_live_page(app, has_operators_page=operators_too)
    pages.add_files(app)
    openapi.add_routes(app)
    videos.add_routes(
        app, settings=parts.settings, archive=parts.archive, watch=parts.watch, admission=admission
    )

    failures.add_handlers(app)
    return app


def build_for_operators(parts: Parts) -> App:
    """Metrics, their page, and what it asks for: for a listener that only operators reach."""
    app: App = falcon.App(middleware=[Compression(), Bookkeeping(parts.metrics)])
    app.add_route("/health", Health(parts.watch))
    pool_status = videos.PoolStatus(parts.settings, parts.watch, parts.archive.catalogue)
    app.add_route("/api/pose/pool-status", pool_status)
    _add_operators_routes(app, parts)
    pages.add_files(app)
    failures.add_handlers(app)
    return app


def _add_operators_routes(app: App, parts: Parts) -> None:
    app.add_route("/metrics", Exposition(parts.metrics))
    pages.add_operators_page(app, has_live_page=parts.settings.admin_address() is None)
