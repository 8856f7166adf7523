"""Every path and method that is served, what it takes, what it answers, and how it may fail.

A table. Requests and answers are named by their types, failures by their classes: `document` writes them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from http_edge import intake, videos_intake
from http_edge.batch import BatchRequest
from http_edge.intake import AllOrNone, PoseFields, PoseRequest, WhichPeople
from http_edge.openapi import frames, service, videos
from http_edge.videos_intake import VideoRequest
from wire import errors
from wire.errors import PoseError

Method = Literal["get", "post", "delete"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that a request says outside its body."""

    name: str
    where: Literal["path", "query", "header"]
    kind: Any  # a type that msgspec knows
    meaning: str


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart/form-data body: texts, and one file.

    spellings: other names of fields. as_json: fields whose text is JSON. flags: how yes and no are written.
    """

    texts: type[msgspec.Struct]
    file: str
    file_media_type: str
    spellings: Mapping[str, str] = field(default_factory=dict)
    as_json: tuple[str, ...] = ()
    flags: tuple[str, ...] = ("true", "false", "1", "0")  # msgspec's


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON body. needs: texts without which it is refused, though they may be missing in its type."""

    kind: type[msgspec.Struct]
    needs: tuple[str, ...] = ()
    example: Mapping[str, Any] | None = None


class Answer:
    """A JSON answer of one of several types; listed: a list of such; packed: MessagePack, too."""

    kinds: tuple[Any, ...]
    listed: bool
    packed: bool

    def __init__(self, *kinds: Any, listed: bool = False, packed: bool = False) -> None:
        self.kinds, self.listed, self.packed = kinds, listed, packed


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is not JSON."""

    media_types: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. answers: by status."""

    path: str
    method: Method
    name: str
    summary: str
    answers: Mapping[int, Answer | Text]
    bodies: tuple[Json | Form, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[type[PoseError], ...] = ()


#: What the server itself refuses wherever it is sent, and a bug, which may be anywhere.
EVERYWHERE = (errors.BadRequest, errors.BodyTooLarge, errors.Internal)

#: What a service that was given tokens refuses.
WITH_TOKENS = (errors.Unauthorized, errors.RateLimited)

#: An empty one names none.
_SessionName = Annotated[str, Meta(max_length=128)]
_SESSION = (
    Parameter("X-Session-Id", "header", _SessionName, "the video of this frame, where the body names none"),
    Parameter("session", "query", _SessionName, "the same, where no header names one"),
)
#: A field of the body goes before its namesake here.
_EXTENT = (
    Parameter("people", "query", WhichPeople, "full: a mesh for everyone, not for the primary person only"),
    Parameter("mesh", "query", AllOrNone, "none: nobody's mesh, neither vertices nor triangles"),
    Parameter("faces", "query", AllOrNone, "none: no triangles; they never change"),
)

_PICTURE = (errors.NoImage, errors.InvalidBase64, errors.InvalidImage, errors.TruncatedImage)
_FRAME = (
    *_PICTURE,
    errors.ImageTooLarge,
    errors.InvalidRegion,
    errors.UnsupportedMediaType,
    errors.ModelNotLoaded,
    errors.DeadlineExceeded,
    errors.PoisonFrame,
    errors.Busy,
)
_UPLOAD = (errors.NoVideo, errors.UnsupportedMediaType, errors.Busy, errors.StorageFull)
_VIDEO = (
    *_UPLOAD,
    errors.InvalidVideo,
    errors.NoVideoStream,
    errors.TruncatedVideo,
    errors.VideoTooLong,
    errors.ImageTooLarge,
    errors.JobCancelled,
    errors.NotFound,
    errors.SessionLost,
    errors.ModelNotLoaded,
)

#: One grey pixel.
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="

_POSED = (frames.Pose, frames.PoseWithoutFaces, frames.PoseWithoutMesh, frames.Nobody)
_VIDEO_BODIES = (
    Json(VideoRequest, needs=("video_path",)),
    Form(VideoRequest, videos_intake.FORM_VIDEO, "video/*", flags=tuple(videos_intake.FLAGS)),
)

_STATUS = "How far a video is, and its result in the end"
_CANCEL = "End a video's job and remove its files"


def _job(path: str, method: Method, name: str, summary: str, answer: type) -> Operation:
    parameter = Parameter("job_id", "path", str, "the id that came with the answer to the video")
    return Operation(
        path,
        method,
        name,
        summary,
        answers={200: Answer(answer)},
        parameters=(parameter,),
        errors=(errors.NotFound,),
    )


def _warmup(method: Method, name: str) -> Operation:
    summary = "Returns when a worker is ready, or why none can be"
    answers = {200: Answer(service.Warmup)}
    return Operation("/warmup", method, name, summary, answers=answers, errors=(errors.Busy,))


def _told(path: str, name: str, summary: str, answer: Any) -> Operation:
    return Operation(path, "get", name, summary, answers={200: Answer(answer)})


def _text(path: str, name: str, summary: str, *media_types: str) -> Operation:
    return Operation(path, "get", name, summary, answers={200: Text(media_types, summary)})


OPERATIONS = (
    Operation(
        "/pose/hybrid",
        "post",
        "poseFrame",
        "The people of one frame of a video",
        answers={200: Answer(*_POSED, packed=True)},
        bodies=(
            Json(PoseRequest, needs=("image_base64",), example={"image_base64": _PNG, "frame_number": 0}),
            Form(PoseFields, intake.FORM_PICTURE, "image/*", intake.FORM_FIELDS, intake.JSON_FIELDS),
        ),
        parameters=(*_SESSION, *_EXTENT),
        errors=_FRAME,
    ),
    Operation(
        "/pose/batch",
        "post",
        "poseFrames",
        "The people of several frames of one video, in the order sent; a frame that fails fails alone",
        answers={200: Answer(*_POSED, frames.Refusal, listed=True, packed=True)},
        bodies=(Json(BatchRequest),),
        parameters=_EXTENT,
        errors=(errors.UnsupportedMediaType, errors.Busy),
    ),
    Operation(
        "/pose/video",
        "post",
        "poseVideo",
        "The people of every frame of a video, now if it is its turn, else later",
        answers={200: Answer(videos.VideoResult), 202: Answer(videos.Queued)},
        bodies=_VIDEO_BODIES,
        errors=_VIDEO,
    ),
    Operation(
        "/process_video_async",
        "post",
        "queueVideo",
        "The same, always later",
        answers={202: Answer(videos.Accepted)},
        bodies=_VIDEO_BODIES,
        errors=_UPLOAD,
    ),
    _job("/pose/video/status/{job_id}", "get", "videoStatus", _STATUS, videos.JobStatus),
    _job("/job_status/{job_id}", "get", "jobStatus", _STATUS, videos.JobStatus),
    _job("/pose/video/{job_id}", "delete", "deleteVideo", _CANCEL, videos.Cancelled),
    _job("/pose/video/{job_id}/cancel", "post", "cancelVideo", _CANCEL, videos.Cancelled),
    _told("/health", "health", "Whether frames can be posed", service.Health),
    _warmup("get", "warmup"),
    _warmup("post", "warmUp"),
    _told("/api/pose/health", "poseHealth", "Workers and video jobs", service.PoseHealth),
    _told("/api/pose/pool-status", "poolStatus", "How busy they are", service.PoolStatus),
    _text("/metrics", "metrics", "Every metric, in Prometheus' format", "text/plain"),
    _told("/openapi.json", "contract", "This document", dict[str, Any]),
    _text("/", "livePage", "The live page", "text/html"),
    _text("/operator", "operatorsPage", "The operators' page", "text/html"),
    Operation(
        "/viewer/{name}",
        "get",
        "pageFile",
        "What the pages are made of",
        answers={200: Text(("text/javascript", "text/css", "text/html", "image/svg+xml"), "The file")},
        parameters=(Parameter("name", "path", str, "of the file"),),
        errors=(errors.NotFound,),
    ),
)
