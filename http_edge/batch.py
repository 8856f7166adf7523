"""`/pose/batch`: pictures of one video in one request, folded in the order in which they were sent.

Each frame is read as a request of its own would be, and one that fails fails alone.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from http_edge import contract, intake
from http_edge.formats import Format
from http_edge.intake import Extent, Intake
from wire.errors import BadRequest, DeadlineExceeded, PoseError
from wire.messages import SessionId

#: A picture, and the seconds that are left for it, to the body of its answer.
Pose = Callable[[Intake, float], bytes]


class BatchRequest(Extent, frozen=True, kw_only=True):
    """Several pictures of one video; each is read on its own, so that it fails alone."""

    frames: Annotated[list[Raw], Meta(min_length=1)]
    session_id: SessionId | None = None


_json = msgspec.json.Decoder(BatchRequest)


@dataclass(frozen=True, slots=True)
class Batch:
    """Its frames, each as it was sent.

    session_id: one of its own where none was named. extent: for frames that don't say it.
    """

    frames: list[bytes]
    session_id: str
    extent: Extent


def read(body: bytes, *, max_frames: int) -> Batch:
    """The request in a JSON body. Raises `BadRequest`."""
    try:
        fields = _json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not a JSON object of the contract's form: {error}") from None
    if len(fields.frames) > max_frames:
        raise BadRequest(f"frames: {len(fields.frames)} of them, the limit is {max_frames}")
    return Batch(
        frames=[bytes(frame) for frame in fields.frames],
        session_id=fields.session_id or f"batch-{uuid.uuid4().hex}",
        extent=Extent(people=fields.people, mesh=fields.mesh, faces=fields.faces),
    )


def answers(batch: Batch, pose: Pose, *, form: Format, within_s: float) -> bytes:
    """The list of the frames' answers and refusals; a frame without a number has its place for one."""
    deadline = time.monotonic() + within_s
    bodies = []
    for place, frame in enumerate(batch.frames):
        number = intake.frame_number_of(frame)
        try:
            asked = intake.from_json(frame)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise DeadlineExceeded("the frames before this one took all the time that there was")
            numbered = asked if number is not None else msgspec.structs.replace(asked, frame_number=place)
            bodies.append(pose(numbered, left_s))
        except PoseError as error:
            refusal = contract.refusal(
                code=error.code,
                message=error.message,
                frame_number=place if number is None else number,
                form=form,
            )
            bodies.append(refusal)
    return form.listed(bodies)
