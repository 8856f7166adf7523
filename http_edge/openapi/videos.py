"""Answers about videos, as types, for their schemas to be derived from; tests hold every answer to them.

Lengths are metres in body-centred camera axes (x right, y down, z away), pixels are those of the frame
as it is shown; `..._at` are seconds since 1970.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from http_edge.jobs.catalogue import Status
from http_edge.openapi.frames import Corners, Count, ExpectedError, Pair, Share, Smpl, Vector
from wire.messages import FrameNumber, PersonState

Time = Annotated[float, Meta(ge=0, description="seconds since 1970")]
Percent = Annotated[float, Meta(ge=0, le=100)]
Seconds = Annotated[float, Meta(ge=0)]
VerticesOrNone = Annotated[
    list[Vector],
    Meta(
        description="none with `mesh: none`",
        extra_json_schema={"anyOf": [{"minItems": 6890, "maxItems": 6890}, {"maxItems": 0}]},
    ),
]


class Camera(Struct, kw_only=True):
    """Where the body stands before the camera of the whole frame."""

    tx: float
    ty: float
    tz: float


class VideoPerson(Struct, kw_only=True):
    """One of the people in a frame of a video."""

    track_id: int
    state: PersonState
    frames_since_detected: Count
    confidence: Share
    tracking_confidence: Share
    expected_error_mm: ExpectedError
    expected_error_px: ExpectedError
    smpl: Smpl
    keypoints_3d: Annotated[list[Vector], Meta(min_length=17, max_length=24)]
    keypoints_2d: Annotated[list[Pair], Meta(min_length=17, max_length=24)]
    camera: Camera
    bbox: Corners
    mesh_vertices: VerticesOrNone


class FrameFailure(Struct, kw_only=True):
    """Why a frame of a video has nobody: it failed by its own fault."""

    code: str
    message: str


class VideoEntry(Struct, kw_only=True):
    """The people of one frame. timestamp: its own time, seconds from the beginning of the video."""

    frame_number: FrameNumber
    timestamp: float
    persons: list[VideoPerson]
    error: FrameFailure | UnsetType = UNSET


class VideoResult(Struct, kw_only=True):
    """A whole video: exactly one entry for each of its frames, in the order in which they are shown."""

    status: Literal["success"]
    job_id: str
    video_path: str
    total_frames: Count
    fps: float | None
    processing_time_seconds: Seconds
    frames: list[VideoEntry]


class Queued(Struct, kw_only=True):
    """The video is worked on, or waits for its turn; ask after it."""

    status: Status
    job_id: str
    queue_position: Count
    message: str


class Accepted(Struct, kw_only=True):
    """The video will be worked on; ask after it."""

    status: Literal["accepted"]
    job_id: str


class JobStatus(Struct, kw_only=True):
    """How far a job is. result: once it is complete; error, code: where it failed."""

    job_id: str
    status: Status
    progress: Percent
    queue_position: Count
    frames_done: Count
    frames_expected: Count | None
    video_path: str
    queued_at: Time
    started_at: Time | None
    completed_at: Time | None
    result: VideoResult | None
    error: str | None
    code: str | None


class Cancelled(Struct, kw_only=True):
    """The job has ended, and its files are removed."""

    status: Literal["cancelled"]
    job_id: str
