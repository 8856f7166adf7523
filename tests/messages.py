"""Messages of workers that see nobody, as tests send them."""

from collections.abc import Sequence

from wire.messages import HeldSession, History, Ready, Result, Work


def ready(name: str = "w", *, worker_credits: int = 4, sessions: Sequence[HeldSession] = ()) -> Ready:
    """The message of a worker that can serve."""
    return Ready(
        name=name,
        credits=worker_credits,
        device="cpu",
        models={"body": "loaded"},
        observer="none",
        sessions=list(sessions),
    )


def result_for(work: Work, *, history: History = "complete", folded: int = 0) -> Result:
    """The answer of a worker that saw nobody."""
    return Result(
        request_id=work.request_id,
        session_id=work.session_id,
        epoch=work.epoch,
        frame_number=work.frame_number,
        width_px=640,
        height_px=360,
        people=[],
        primary=None,
        history=history,
        skipped=work.skipped,
        expired=work.expired,
        folded=folded,
        num_persons_detected=0,
        num_tracks=0,
        observer="none",
        tracker="none",
        model_version="none",
        stages_ms={},
        arrays=[],
    )
