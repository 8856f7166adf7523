"""`/pose/hybrid` and `/pose/batch` over HTTP: pictures read from a request, posed, and answered."""

import time

import falcon

from http_edge import batch, headers, intake
from http_edge.admission import Admission
from http_edge.contract import KeypointSet, Style
from http_edge.formats import Format
from http_edge.forms import readable
from http_edge.intake import Extent, Intake
from http_edge.posing import Posing
from http_edge.results import Meshes
from wire.errors import PoseError, UnsupportedMediaType
from wire.settings import Settings


class HybridPose:
    """`/pose/hybrid`: the people of one picture."""

    def __init__(self, settings: Settings, admission: Admission, pose: Posing) -> None:
        self._timeout_s = settings.request_timeout_s
        self._keypoints = settings.keypoints
        self._admission = admission
        self._pose = pose

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer one picture. Raises every `PoseError` of the contract."""
        with self._admission:
            asked = _read_intake(req)
            req.context.frame_number = asked.frame_number
            session_id, form = headers.session_id(req), headers.preferred(req.accept)
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

    def __init__(self, settings: Settings, admission: Admission, pose: Posing) -> None:
        self._settings = settings
        self._admission = admission
        self._pose = pose

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer one picture after the other. Raises `BadRequest`, `Busy` or `UnsupportedMediaType`."""
        with self._admission:
            asked = batch.read(_read_json(req), max_frames=self._settings.max_session_frames)
            extent, form = asked.extent.or_else(intake.extent(req.params)), headers.preferred(req.accept)

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


def _read_intake(req: falcon.Request) -> Intake:
    media_type = headers.media_type(req)
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
    media_type = headers.media_type(req)
    if media_type != falcon.MEDIA_JSON:
        raise UnsupportedMediaType(f"{media_type}: send application/json")
    body: bytes = req.bounded_stream.read()
    return body


def _style(extent: Extent, keypoints: KeypointSet, form: Format) -> Style:
    meshes: Meshes = "none" if extent.mesh == "none" else "everyone" if extent.people == "full" else "primary"
    return Style(keypoints, meshes, faces=extent.faces != "none", form=form)
