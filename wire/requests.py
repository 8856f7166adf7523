"""What every request to a broker has, however it is sent: an id, a bound, the time that is left, an end."""

import os
import time

import msgspec

from wire.errors import DeadlineExceeded, ImageTooLarge, PoseError, named
from wire.messages import Buffer, Failure, Frame

NO_ANSWER = "the broker gave no answer in time"


def new_request_id() -> bytes:
    """One that no other request has, by chance alone."""
    return os.urandom(16)


def as_sent(frame: Frame, *, ends_at: float, term: int, now: float) -> Frame:
    """What a broker is told that gets the frame `now`, in its `term` as far as we know.

    Times are in seconds, `time.monotonic`.
    """
    deadline_ms = max(1, round((ends_at - now) * 1000))
    return msgspec.structs.replace(frame, deadline_ms=deadline_ms, term=term)


def anew(frame: Frame, *, ends_at: float) -> Frame:
    """The same frame as a request of its own, with the time that is left until `ends_at`.

    One that was sent twice may be refused twice, and the other refusal still come: hence another id.
    Raises `DeadlineExceeded` where no time is left.
    """
    left_ms = round((ends_at - time.monotonic()) * 1000)
    if left_ms < 1:
        raise DeadlineExceeded("no answer came in time")
    return msgspec.structs.replace(frame, request_id=new_request_id(), deadline_ms=left_ms)


def error_of(failure: Failure) -> PoseError:
    """What whoever asked gets for it."""
    return named(failure.code, failure.message, retry_after_s=failure.retry_after_s)


def too_large(picture: Buffer, max_frame_bytes: int) -> ImageTooLarge | None:
    """What becomes of a picture over which the brokers would hang up; None: they take it."""
    size = memoryview(picture).nbytes
    if size <= max_frame_bytes:
        return None
    return ImageTooLarge(f"the picture has {size} bytes, {max_frame_bytes} are accepted")
