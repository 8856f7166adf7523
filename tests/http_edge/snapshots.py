"""What an edge may know of the service behind it, made up."""

from typing import Literal

from http_edge.status import Snapshot
from wire.messages import Status, WorkerStatus


def worker(
    state: Literal["ready", "draining"] = "ready", *, in_flight: int = 0, device: str = "cpu"
) -> WorkerStatus:
    """A worker that holds so many frames."""
    return WorkerStatus(
        name="w", state=state, sessions=0, in_flight=in_flight, device=device, models={}, observer="fake"
    )


def snapshot(*workers: WorkerStatus, load_error: str | None = None) -> Snapshot:
    """A broker that answers, with these workers."""
    status = Status(
        request_id=bytes(16),
        workers=list(workers),
        sessions=0,
        queued_frames=0,
        queued_bytes=0,
        in_flight=sum(one.in_flight for one in workers),
        counters={},
        limits={},
        load_error=load_error,
    )
    return Snapshot(status=status, ever_answered=True)
