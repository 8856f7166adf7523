"""What the broker is told of a frame, as a message with its arrays: a result, or a failure.

Each has its line in the log: a failure's at once, a result's when there is time for it (`tell`).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from wire.arrays import pack_arrays
from wire.errors import PoseError
from wire.messages import Buffer, Failure, Result, Work
from workers.pipeline import Drawn, FrameAnswer
from workers.sessions import Given
from workers.store import SessionHead, Superseded

log = logging.getLogger(__name__)

Reply = tuple[Result | Failure, list[Buffer]]


@dataclass(frozen=True, slots=True)
class Makers:
    """Who makes a worker's answers, as answers name them."""

    observer: str
    tracker: str
    model_version: str


def result(
    work: Work,
    head: SessionHead,
    given: Given[FrameAnswer],
    drawn: Drawn,
    *,
    makers: Makers,
    more_stages_ms: Mapping[str, float] = {},
) -> Reply:
    """The answer to a frame of the session of `head`, completed with what was drawn for its caller."""
    answer = given.answer
    specs, buffers = pack_arrays(answer.arrays | {"vertices": drawn.vertices})
    if work.options.joined:
        buffers = [b"".join(buffers)]
    message = Result(
        request_id=work.request_id,
        session_id=work.session_id,
        epoch=work.epoch,
        frame_number=work.frame_number,
        width_px=answer.width_px,
        height_px=answer.height_px,
        people=answer.people,
        primary=answer.primary,
        history=given.history,
        skipped=given.skipped,
        expired=given.expired,
        folded=head.folded,
        num_persons_detected=answer.num_persons_detected,
        num_tracks=len(answer.people),
        observer=makers.observer,
        tracker=makers.tracker,
        model_version=makers.model_version,
        stages_ms={**answer.stages_ms, **drawn.stages_ms, **more_stages_ms},
        arrays=specs,
        has_png=drawn.png is not None,
        joined=work.options.joined,
        notes=answer.notes,
        new_shot=answer.new_shot,
    )
    return message, [*buffers, *([] if drawn.png is None else [drawn.png])]


def failure(work: Work, error: PoseError) -> Reply:
    """What is said of a frame that has no answer."""
    log.warning(
        "session=%s frame=%d code=%s %s", work.session_id, work.frame_number, error.code, error.message
    )
    message = Failure(
        request_id=work.request_id,
        code=error.code,
        message=error.message,
        retry_after_s=error.retry_after_s,
        session_id=work.session_id,
        epoch=work.epoch,
        superseded_by=error.epoch if isinstance(error, Superseded) else 0,
    )
    return message, []


def tell(result: Result) -> None:
    """Write a frame's line in the log."""
    primary = None if result.primary is None else result.people[result.primary]
    stages = " ".join(f"{stage}_ms=%.1f" for stage in result.stages_ms)
    log.info(
        f"session=%s frame=%d {stages} people=%d state=%s confidence=%.2f",
        result.session_id,
        result.frame_number,
        *result.stages_ms.values(),
        len(result.people),
        primary.state if primary else "nobody",
        primary.confidence if primary else 0.0,
    )
