"""What several brokers say of themselves, as if they were one. Pure."""

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from wire.messages import Status, WorkerStatus


def merged(statuses: Sequence[Status]) -> Status:
    """The sums of all; a worker that serves several brokers is one. At least one has to be given."""
    first = statuses[0]
    if len(statuses) == 1:
        return first
    workers: dict[str, WorkerStatus] = {}
    counters: Counter[str] = Counter()
    for status in statuses:
        counters.update(status.counters)
        for worker in status.workers:
            known = workers.get(worker.name)
            workers[worker.name] = worker if known is None else _one(known, worker)
    return replace(
        first,
        workers=list(workers.values()),
        sessions=sum(status.sessions for status in statuses),
        streams=sum(status.streams for status in statuses),
        queued_frames=sum(status.queued_frames for status in statuses),
        queued_bytes=sum(status.queued_bytes for status in statuses),
        in_flight=sum(status.in_flight for status in statuses),
        counters=dict(counters),
        load_error=next((status.load_error for status in statuses if status.load_error), None),
        uptime_s=min(status.uptime_s for status in statuses),
    )


def _one(known: WorkerStatus, again: WorkerStatus) -> WorkerStatus:
    return replace(
        known,
        state="draining" if "draining" in (known.state, again.state) else "ready",
        sessions=known.sessions + again.sessions,
        in_flight=known.in_flight + again.in_flight,
    )
