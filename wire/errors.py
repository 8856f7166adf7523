"""The failures a caller may see; each class owns its code and its HTTP status.

A failure that has no class here is a bug: the program that meets it logs the
traceback and answers `Internal`, which tells the caller nothing more.
"""

from typing import ClassVar


class PoseError(Exception):
    """A failure with a name. The message is written for the caller."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class Internal(PoseError):
    """A bug of ours; the log has its traceback."""


class BadRequest(PoseError):
    """The request is not of the contract's form: no JSON, a wrong type, a missing field."""

    code = "bad_request"
    status = 400


class NoImage(PoseError):
    """The request carries no picture."""

    code = "no_image"
    status = 400


class InvalidBase64(PoseError):
    """`image_base64` is not base64."""

    code = "invalid_base64"
    status = 400


class InvalidImage(PoseError):
    """The bytes are not a picture of an accepted format, or the picture is broken."""

    code = "invalid_image"
    status = 400


class TruncatedImage(PoseError):
    """The picture ends before its last pixel."""

    code = "truncated_image"
    status = 400


class ImageTooLarge(PoseError):
    """The picture has more pixels than the service accepts, or more bytes than may travel."""

    code = "too_many_pixels"
    status = 400


class InvalidRegion(PoseError):
    """A box or the target that the caller gives means nothing in this picture."""

    code = "invalid_region"
    status = 400


class Unauthorized(PoseError):
    """The request carries no token that is known here."""

    code = "unauthorized"
    status = 401


class NotFound(PoseError):
    """Nothing lives at this path."""

    code = "not_found"
    status = 404


class MethodNotAllowed(PoseError):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    status = 405


class BodyTooLarge(PoseError):
    """The request's body is over the limit."""

    code = "body_too_large"
    status = 413


class UnsupportedMediaType(PoseError):
    """The request's body is neither JSON nor multipart/form-data."""

    code = "unsupported_media_type"
    status = 415


class NoVideo(PoseError):
    """The request carries no video, or an empty one."""

    code = "no_video"
    status = 400


class InvalidVideo(PoseError):
    """The file is not a video of a format that is read, or it is broken."""

    code = "invalid_video"
    status = 400


class NoVideoStream(PoseError):
    """The file holds sound, subtitles or a cover, and no moving pictures."""

    code = "no_video_stream"
    status = 400


class TruncatedVideo(PoseError):
    """The video ends before the end that it announces."""

    code = "truncated_video"
    status = 400


class VideoTooLong(PoseError):
    """The video has more frames than the service accepts."""

    code = "too_many_frames"
    status = 400


class JobCancelled(PoseError):
    """Somebody who knows the job's id cancelled it."""

    code = "cancelled"
    status = 409


class StorageFull(PoseError):
    """Uploads and results fill the disk space that they may take."""

    code = "storage_full"
    status = 507


class SessionLost(PoseError):
    """What was known of a video's past was lost again and again while a job went through it."""

    code = "session_lost"
    status = 500


class ModelNotLoaded(PoseError):
    """No worker could load its networks; the message says which file is missing."""

    code = "model_not_loaded"
    status = 500


class DeadlineExceeded(PoseError):
    """No answer came in the time that the caller allowed."""

    code = "deadline_exceeded"
    status = 500


class PoisonFrame(PoseError):
    """The frame ended its worker more than once; it is stepped over."""

    code = "poison_frame"
    status = 500


class PictureGone(PoseError):
    """A picture that its sender lent cannot be read where it should be; no HTTP caller lends any."""

    code = "picture_gone"
    status = 500


class Busy(PoseError):
    """A bound is reached (frames, bytes or sessions); try again after `retry_after_s`."""

    code = "busy"
    status = 503


class RateLimited(PoseError):
    """More than the caller's token allows; try again after `retry_after_s`."""

    code = "rate_limited"
    status = 429


class ThumbnailWanted(PoseError):
    """The frame could belong to several videos: send it again with a thumbnail in its `source`.

    Empty bytes will do where none can be made. Only frames without a session id meet it, and no
    HTTP caller: the edge does as it says.
    """

    code = "thumbnail_wanted"
    status = 409


class ProtocolError(PoseError):
    """A ZeroMQ peer sent frames that `PROTOCOL.md` does not allow."""

    code = "protocol_error"
    status = 400


def _by_code() -> dict[str, type[PoseError]]:
    return {kind.code: kind for kind in PoseError.__subclasses__()}


def named(code: str, message: str, *, retry_after_s: float | None = None) -> PoseError:
    """The error that travelled as `code`; a code from a newer peer becomes `Internal`."""
    return _by_code().get(code, Internal)(message, retry_after_s=retry_after_s)
