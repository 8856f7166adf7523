"""Videos as requests bring them: uploaded in a form, or by a path under one folder; each becomes a job."""

import time
from pathlib import Path
from typing import Any, Literal

import falcon
import msgspec
from msgspec import Struct

from http_edge.forms import readable
from http_edge.jobs.archive import Archive
from http_edge.jobs.catalogue import Job, NewJob
from wire.errors import BadRequest, BodyTooLarge, NoVideo, UnsupportedMediaType
from wire.settings import Settings

Json = dict[str, Any]

FORM_VIDEO = "video"

_COPIED_BYTES = 1 << 20

#: How a form may say yes or no, in any case.
FLAGS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


class VideoRequest(Struct, frozen=True, kw_only=True):
    """What a request says beside an uploaded video. mesh: `none` leaves out the vertices."""

    video_path: str | None = None
    in_background: bool | None = msgspec.field(default=None, name="async")
    mesh: Literal["full", "none"] | None = None


_json = msgspec.json.Decoder(VideoRequest)


class VideoIntake:
    """Takes videos in, for many threads at a time."""

    def __init__(self, settings: Settings, archive: Archive) -> None:
        self._settings = settings
        self._archive = archive

    def take_in(self, req: falcon.Request) -> tuple[Job, bool]:
        """Queue the video of a request; the job, and whether its caller will not wait for it.

        Raises `BadRequest`, `NoVideo`, `BodyTooLarge`, `StorageFull`, `Busy` or `UnsupportedMediaType`.
        """
        media_type = (req.content_type or falcon.MEDIA_JSON).partition(";")[0].strip().lower()
        if media_type == falcon.MEDIA_MULTIPART:
            return self._from_form(req)
        if media_type == falcon.MEDIA_JSON:
            return self._from_json(req)
        raise UnsupportedMediaType(f"{media_type}: send application/json or multipart/form-data")

    def _from_json(self, req: falcon.Request) -> tuple[Job, bool]:
        if (req.content_length or 0) > self._settings.max_body_bytes:
            raise BodyTooLarge(f"a JSON body may have {self._settings.max_body_bytes} bytes")
        try:
            asked = _json.decode(req.bounded_stream.read())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"the body is not a JSON object of the contract's form: {error}") from None
        if not asked.video_path:
            raise NoVideo("the request names no video: video_path (JSON) or video (form) is missing or empty")
        file = self._under_root(asked.video_path)
        return self._queue(req.context.caller.new_job_id(), asked.video_path, file, asked)

    def _under_root(self, video_path: str) -> Path:
        """The file that is meant. One answer for all that is not there: what lies elsewhere is not told."""
        if not self._settings.video_root:
            raise BadRequest("video_path: this service reads no files by their paths (POSE_VIDEO_ROOT)")
        root = Path(self._settings.video_root).resolve()
        try:
            file = (root / video_path).resolve()
            if file.is_relative_to(root) and file.is_file():
                return file
        except (OSError, ValueError):  # too long, or with a null character
            pass
        raise BadRequest("video_path: there is no such file under the folder that this service reads")

    def _from_form(self, req: falcon.Request) -> tuple[Job, bool]:
        self._archive.make_room(req.content_length or 0, now=time.time())
        job_id = req.context.caller.new_job_id()
        upload = self._archive.upload(job_id)
        name, texts = None, {}
        try:
            for part in readable(req.get_media()):
                if part.name == FORM_VIDEO:
                    name = part.filename or FORM_VIDEO
                    self._save(part.stream, upload)
                else:
                    texts[part.name or ""] = part.get_text()
            if name is None or upload.stat().st_size == 0:
                raise NoVideo("the form carries no video: the file `video` is missing or empty")
            return self._queue(job_id, name, upload, _from_texts(texts))
        except BaseException:
            upload.unlink(missing_ok=True)
            raise

    def _save(self, stream: Any, upload: Path) -> None:
        saved_bytes = 0
        with upload.open("wb") as file:
            while piece := stream.read(_COPIED_BYTES):
                saved_bytes += len(piece)
                if saved_bytes > self._settings.max_video_bytes:
                    raise BodyTooLarge(f"a video may have {self._settings.max_video_bytes} bytes")
                file.write(piece)

    def _queue(self, job_id: str, video_path: str, file: Path, asked: VideoRequest) -> tuple[Job, bool]:
        new = NewJob(job_id, video_path, str(file), meshes=asked.mesh != "none")
        job = self._archive.catalogue.add(new, now=time.time(), max_queued=self._settings.max_queued_jobs)
        return job, bool(asked.in_background)


def _from_texts(texts: dict[str, str]) -> VideoRequest:
    given: Json = {name: text for name, text in texts.items() if text}
    if "async" in given:
        given["async"] = FLAGS.get(given["async"].lower(), given["async"])
    try:
        return msgspec.convert(given, VideoRequest)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the form is not of the contract's form: {error}") from None
