"""How the broker is, as `Status` tells it; who waits, who works, and what the limits are."""

from broker.fleet import Fleet
from broker.intake import Intake
from broker.outbox import Outbox
from broker.sessions import Sessions
from wire.messages import Status, WorkerStatus
from wire.settings import Settings

_LIMITS = (
    "max_queue_frames",
    "max_queue_bytes",
    "max_sessions",
    "max_session_frames",
    "worker_silence_s",
    "heartbeat_s",
    "session_idle_s",
    "gap_wait_s",
)


def status(
    request_id: bytes,
    settings: Settings,
    *,
    fleet: Fleet,
    sessions: Sessions,
    intake: Intake,
    outbox: Outbox,
    load_error: str | None,
    uptime_s: float,
) -> Status:
    """The reply to the request of this id."""
    pictures = [job.picture for session in sessions for job in session.queue]
    return Status(
        request_id=request_id,
        workers=[
            WorkerStatus(
                name=worker.ready.name,
                state="draining" if worker.draining else "ready",
                sessions=len(worker.sessions),
                in_flight=len(worker.in_flight),
                device=worker.ready.device,
                models=worker.ready.models,
                observer=worker.ready.observer,
                tracker=worker.ready.tracker,
                store=dict(worker.store),
                memory=worker.ready.memory,
            )
            for worker in fleet
        ],
        sessions=len(sessions),
        streams=sessions.streams,
        queued_frames=len(intake) + len(pictures),
        queued_bytes=intake.held_bytes + sum(picture.size_bytes for picture in pictures if picture),
        in_flight=sum(len(worker.in_flight) for worker in fleet),
        counters=dict(outbox.counters),
        limits={name: float(getattr(settings, name)) for name in _LIMITS},
        load_error=load_error,
        uptime_s=uptime_s,
    )
