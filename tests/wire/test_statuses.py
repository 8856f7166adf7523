"""Several brokers' words on themselves are one."""

from wire.messages import Status, WorkerStatus
from wire.statuses import merged


def worker(name: str, *, sessions: int, state: str = "ready") -> WorkerStatus:
    return WorkerStatus(
        name=name, state=state, sessions=sessions, in_flight=1, device="cpu", models={}, observer="none"
    )


def status(workers: list[WorkerStatus], *, uptime_s: float, load_error: str | None = None) -> Status:
    return Status(
        request_id=bytes(16),
        workers=workers,
        sessions=3,
        queued_frames=2,
        queued_bytes=10,
        in_flight=1,
        counters={"accepted": 5},
        limits={"max_sessions": 7.0},
        streams=1,
        load_error=load_error,
        uptime_s=uptime_s,
    )


def test_a_worker_that_serves_both_is_one() -> None:
    first = status([worker("w0", sessions=2), worker("w1", sessions=1)], uptime_s=9.0)
    second = status([worker("w0", sessions=4, state="draining")], uptime_s=2.0, load_error="no file")

    both = merged([first, second])

    assert [(w.name, w.sessions, w.in_flight, w.state) for w in both.workers] == [
        ("w0", 6, 2, "draining"),
        ("w1", 1, 1, "ready"),
    ]
    assert (both.sessions, both.queued_frames, both.queued_bytes, both.streams) == (6, 4, 20, 2)
    assert (both.counters, both.limits) == ({"accepted": 10}, {"max_sessions": 7.0})
    assert (both.load_error, both.uptime_s) == ("no file", 2.0)
    assert merged([first]) == first
