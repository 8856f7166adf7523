"""A service with more callers than it has time for refuses by name, stays reachable, and recovers at once."""

from pathlib import Path

from bench.null_service import service
from bench.overload import overrun


def test_an_overrun_service_only_refuses_and_recovers(tmp_path: Path) -> None:
    with service(tmp_path, workers=2, decodes=True, own={"POSE_HTTP_THREADS": "8"}) as running:
        seen = overrun(running, connections=64, seconds=3.0)

    assert list(seen.faults()) == []
    assert seen.load.statuses[503] > 0
    assert seen.growth < 0.5
