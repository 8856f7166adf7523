"""How every failure leaves: in the contract's form, with the status that it has, and a line in the log."""

import logging
import math
from typing import Any

import falcon

from http_edge import contract
from http_edge.admission import BUSY_RETRY_S
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

log = logging.getLogger(__name__)


def add_handlers(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Give the application an answer to whatever is raised in it."""
    app.add_error_handler(Exception, _answer_bug)
    app.add_error_handler(falcon.HTTPError, _answer_http_error)
    app.add_error_handler(PoseError, _answer_pose_error)


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
        resp.set_header("Retry-After", str(math.ceil(error.retry_after_s or BUSY_RETRY_S)))


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
