"""A short chaos run: processes of a real service end while clips flow, and no answer changes for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.private_service import PrivateService, private_service
from tools.chaos import runs, verdict
from tools.chaos.clips import LANDSCAPE, Client, Video, pictures
from tools.chaos.disturbances import Disturbance

#: One of each; `make chaos` does more of them.
SCHEDULE = [
    Disturbance("worker_00", "killed", after_answers=8),
    Disturbance("broker", "killed", after_answers=8),
    Disturbance("worker_01", "restarted", after_answers=8),
]

FRAMES = 32  # of each video

#: On a machine as busy as may be; `make chaos` tells what it is on a quiet one.
LONGEST_STALL_S = 30.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateService]:
    """One that waits for missing frames as long as a busy machine may take to send them."""
    patience = {"POSE_WORKERS": "2", "POSE_GAP_WAIT_S": "30"}
    with private_service(tmp_path_factory.mktemp("chaos") / "service.log", patience) as running:
        yield running


@pytest.fixture(scope="module")
def senders(sports_clip: Path) -> list[Client]:
    """One who names its sessions, and one who does not."""
    whole = pictures(sports_clip, first=0, last=FRAMES * 6 - 1, size=LANDSCAPE)
    videos = [Video(f"from {first}", whole[first : first + FRAMES]) for first in range(0, len(whole), FRAMES)]
    return [Client("named", named=True, videos=videos[:3]), Client("unnamed", named=False, videos=videos[3:])]


def test_no_answer_changes_when_a_worker_and_the_broker_are_killed_and_a_worker_restarted(
    service: PrivateService, senders: list[Client]
) -> None:
    expected = verdict.expected(runs.undisturbed(service, senders))

    outcome = runs.disturbed(service, senders, SCHEDULE, workers=2)

    assert verdict.violations(outcome.sent, expected) == []
    assert outcome.gave_up is None
    assert verdict.histories(outcome.sent)["restored"] > 0
    assert max(verdict.stalls_s(outcome.sent, outcome.disturbed)) < LONGEST_STALL_S
