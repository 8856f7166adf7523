"""`/pose/video` and its kin over HTTP: videos taken in, jobs asked after and cancelled, results sent.

Videos are never decoded here: a decoder that a hostile file ends must not take live requests with it. The job
program (`http_edge/jobs`) does that, and the catalogue on disk is all that the two share.
"""

import math
import time
from typing import Any

import falcon
import orjson

from http_edge import pool
from http_edge.admission import Admission
from http_edge.jobs import results
from http_edge.jobs.archive import Archive
from http_edge.jobs.catalogue import Catalogue, Job
from http_edge.jobs.results import Body
from http_edge.status import StatusWatch
from http_edge.videos_intake import VideoIntake
from wire.errors import NotFound, named
from wire.settings import Settings

Json = dict[str, Any]

#: Paths that take uploads, which may be larger than other bodies.
UPLOAD_PATHS = frozenset({"/pose/video", "/process_video_async"})

_LOOK_S = 0.1


class Videos:
    """What all of these paths stand on."""

    def __init__(self, settings: Settings, archive: Archive, admission: Admission) -> None:
        self._settings = settings
        self.intake = VideoIntake(settings, archive)
        self.archive = archive
        self.catalogue = archive.catalogue
        self.admission = admission

    def find(self, job_id: str) -> Job:
        """The job. Raises `NotFound`."""
        job = self.catalogue.find(job_id)
        if job is None:
            raise NotFound("there is no job of this id; results are kept for a while only")
        return job

    def wait(self, job: Job) -> Job:
        """The job as it is when it has ended, or when its caller can be kept waiting no longer."""
        deadline = time.monotonic() + self._settings.request_timeout_s
        while not job.ended and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
            job = self.find(job.job_id)
        return job

    def begins_at_once(self, job: Job) -> bool:
        """Whether nobody else's video is before it."""
        ahead = (
            self.catalogue.counts()["processing"] + self.catalogue.position(job) - (job.status == "queued")
        )
        return ahead < self._settings.jobs_at_once

    def body(self, job: Job, before: bytes = b"", after: bytes = b"") -> Body:
        """The result of a complete job as JSON between two other texts. Raises `NotFound`."""
        assert job.started_at is not None and job.completed_at is not None, "it is complete"
        facts = {
            "status": "success",
            "job_id": job.job_id,
            "video_path": job.video_path,
            "total_frames": job.frames_done,
            "fps": None if job.frames_per_second is None else round(job.frames_per_second, 6),
            "processing_time_seconds": round(job.completed_at - job.started_at, 3),
        }
        head = before + orjson.dumps(facts)[:-1] + b',"frames":['
        try:
            return results.surrounded(self.archive.result(job.job_id), head, b"]}" + after)
        except FileNotFoundError:
            raise NotFound("the result of this job has been removed") from None


class PoseVideo:
    """`POST /pose/video`: the people of every frame, now if it is this video's turn, else later."""

    def __init__(self, videos: Videos) -> None:
        self._videos = videos

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the video in; wait for it unless that is not wanted. Raises what its job failed with."""
        with self._videos.admission:
            job, in_background = self._videos.intake.take_in(req)
            if not in_background and self._videos.begins_at_once(job):
                job = self._videos.wait(job)
        if job.status == "complete":
            _send(resp, self._videos.body(job))
            return
        if job.status == "error":
            raise named(job.code or "internal", job.error or "")
        resp.status = falcon.HTTP_202
        resp.media = {
            "status": job.status,
            "job_id": job.job_id,
            "queue_position": self._videos.catalogue.position(job),
            "message": f"ask /pose/video/status/{job.job_id}",
        }


class ProcessVideoAsync:
    """`POST /process_video_async`: a video that nobody waits for."""

    def __init__(self, videos: Videos) -> None:
        self._videos = videos

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the video in."""
        with self._videos.admission:
            job, _ = self._videos.intake.take_in(req)
        resp.status = falcon.HTTP_202
        resp.media = {"status": "accepted", "job_id": job.job_id}


class JobStatus:
    """`GET /pose/video/status/ID` and `GET /job_status/ID`: how far a job is, and its result in the end."""

    def __init__(self, videos: Videos) -> None:
        self._videos = videos

    def on_get(self, _req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Tell. Raises `NotFound`."""
        job = self._videos.find(job_id)
        state = status_body(job, position=self._videos.catalogue.position(job))
        if job.status == "complete":
            del state["result"]
            before = orjson.dumps(state)[:-1] + b',"result":'
            _send(resp, self._videos.body(job, before, b"}"))
        else:
            resp.data = orjson.dumps(state)
            resp.content_type = falcon.MEDIA_JSON


class CancelJob:
    """`DELETE /pose/video/ID` and `POST /pose/video/ID/cancel`: end a job and remove its files."""

    def __init__(self, videos: Videos) -> None:
        self._videos = videos

    def on_delete(self, _req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        """Cancel it, also where it is complete. Raises `NotFound`."""
        self._videos.find(job_id)
        self._videos.catalogue.cancel(job_id, now=time.time())
        self._videos.archive.remove(job_id)
        resp.media = {"status": "cancelled", "job_id": job_id}

    on_post_cancel = on_delete


class PoseHealth:
    """`GET /api/pose/health`: always 200; the body tells."""

    def __init__(self, watch: StatusWatch, catalogue: Catalogue) -> None:
        self._watch = watch
        self._catalogue = catalogue

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What was known of the service less than a second ago."""
        resp.data = orjson.dumps(pool.pose_health_body(self._watch.snapshot, self._catalogue.counts()))
        resp.content_type = falcon.MEDIA_JSON


class PoolStatus:
    """`GET /api/pose/pool-status`: workers, and the queue of videos."""

    def __init__(self, settings: Settings, watch: StatusWatch, catalogue: Catalogue) -> None:
        self._settings = settings
        self._watch = watch
        self._catalogue = catalogue

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """How busy they are."""
        body = pool.pool_status_body(
            self._watch.snapshot,
            self._catalogue.counts(),
            max_workers=self._settings.workers,
            jobs_at_once=self._settings.jobs_at_once,
            typical_s=self._catalogue.typical_s(),
        )
        resp.data = orjson.dumps(body)
        resp.content_type = falcon.MEDIA_JSON


def add_routes(
    app: "falcon.App[falcon.Request, falcon.Response]",
    *,
    settings: Settings,
    archive: Archive,
    watch: StatusWatch,
    admission: Admission,
) -> None:
    """Give the application these paths."""
    videos = Videos(settings, archive, admission)
    app.add_route("/api/pose/health", PoseHealth(watch, archive.catalogue))
    app.add_route("/api/pose/pool-status", PoolStatus(settings, watch, archive.catalogue))
    cancel = CancelJob(videos)
    app.add_route("/pose/video", PoseVideo(videos))
    app.add_route("/process_video_async", ProcessVideoAsync(videos))
    app.add_route("/pose/video/status/{job_id}", JobStatus(videos))
    app.add_route("/job_status/{job_id}", JobStatus(videos))
    app.add_route("/pose/video/{job_id}", cancel)
    app.add_route("/pose/video/{job_id}/cancel", cancel, suffix="cancel")


def status_body(job: Job, *, position: int) -> Json:
    """What is told of a job; `result` is filled in from its file."""
    return {
        "job_id": job.job_id,
        "status": job.status,
        "progress": progress_percent(job),
        "queue_position": position,
        "frames_done": job.frames_done,
        "frames_expected": job.frames_expected,
        "video_path": job.video_path,
        "queued_at": job.queued_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "result": None,
        "error": job.error,
        "code": job.code,
    }


def progress_percent(job: Job) -> float:
    """0 to 100, and 100 only when it is complete: what a video announces of its length may be wrong."""
    if job.status == "complete":
        return 100.0
    if not job.frames_expected:
        return 0.0
    return min(99.0, math.floor(1000 * job.frames_done / job.frames_expected) / 10)


def _send(resp: falcon.Response, body: Body) -> None:
    resp.content_type = falcon.MEDIA_JSON
    resp.set_stream(body.pieces, body.size_bytes)
