"""A short run of `bench.bulk_chaos`: worker, broker and command end, and no result changes for it."""

import os
from pathlib import Path

from bench import bulk_chaos
from bench.bulk_chaos import Event
from client.private_service import PrivateService

#: One of each; a worker takes longest to come back, and others do the work meanwhile.
EVENTS = [
    Event("command", "killed", after_frames=4),
    Event("command", "interrupted", after_frames=4),
    Event("broker", "killed", after_frames=4),
    Event("worker_00", "killed", after_frames=4),
]


def test_results_are_those_of_an_undisturbed_run(service: PrivateService, tmp_path: Path) -> None:
    videos = bulk_chaos.write_videos(tmp_path / "videos", count=5, frames=24)
    plain = bulk_chaos.undisturbed(service, videos, tmp_path / "plain")

    outcome = bulk_chaos.disturbed(service, videos, tmp_path / "disturbed", EVENTS)

    assert plain.statuses == [os.EX_OK]
    assert list(bulk_chaos.violations(tmp_path / "plain", tmp_path / "disturbed", outcome, videos)) == []
    assert outcome.happened == EVENTS
    assert outcome.statuses == [-9, 130, 0]
