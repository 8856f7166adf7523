"""The backend's own client, node with axios, and the whole service with real networks."""

from pathlib import Path

import pytest

from client import video
from client.private_service import PrivateService
from tests.node import backend
from tools.clip import clip_path
from wire.skeleton import COCO_KEYPOINTS

pytestmark = pytest.mark.usefixtures("node")

FRAMES = 24
COUNTS = {"keypoints": 17, "joints": 24, "angles": 9, "vertices": 6890, "faces": 13776}


@pytest.fixture(scope="module")
def rider(tmp_path_factory: pytest.TempPathFactory, sports_clip: Path) -> Path:
    frames = video.frames(sports_clip, first=60, last=60 + FRAMES - 1)
    return backend.write(tmp_path_factory.mktemp("rider") / "rider", frames)


@pytest.fixture(scope="module")
def coach(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = video.frames(clip_path("pose2sim_cam01.mp4"), first=0, last=FRAMES - 1)
    return backend.write(tmp_path_factory.mktemp("coach") / "coach", frames)


def whole(sent: list[backend.Sent]) -> None:
    """A pose for every frame, all of one make."""
    assert [(one.status, one.read.get("error")) for one in sent] == [(200, None)] * len(sent)
    for one in sent:
        assert one.read["is_json"]
        assert one.read["answered_number"] == one.frame_number
        assert tuple(one.read["size"]) in (backend.SIZE, backend.SIZE[::-1])
        assert one.read["counts"] == COUNTS
        assert [point["name"] for point in one.read["keypoints"]] == list(COCO_KEYPOINTS)


def test_frames_are_sent_in_the_order_of_their_names(service: PrivateService, rider: Path) -> None:
    sent = backend.send(service.port, [rider], pool=1)

    whole(sent)
    assert [one.number for one in sent][:4] == [1, 10, 11, 12]
    assert [one.frame_number for one in sent] == list(range(FRAMES))
    assert len({one.read["session_id"] for one in sent}) == 1


@pytest.mark.parametrize("pool", [2, 4, 8])
def test_a_pool_gets_a_pose_for_every_frame(service: PrivateService, rider: Path, pool: int) -> None:
    sent = backend.send(service.port, [rider], pool=pool)

    whole(sent)
    assert sorted(one.number for one in sent) == list(range(1, FRAMES + 1))


def test_two_videos_at_once_keep_apart(service: PrivateService, rider: Path, coach: Path) -> None:
    sent = backend.send(service.port, [rider, coach], pool=2)

    whole(sent)
    assert len(sent) == 2 * FRAMES
    sessions = {
        folder: {one.read["session_id"] for one in sent if one.video == folder} for folder in (rider, coach)
    }
    assert not sessions[rider] & sessions[coach]


def test_an_answer_that_is_not_a_pose_is_read_as_the_backend_reads_it(rider: Path) -> None:
    nowhere = backend.send(1, [rider], pool=8)  # nothing listens on port 1

    assert {one.status for one in nowhere} == {0}
    assert not any(one.is_posed for one in nowhere)
    assert backend.verdicts(nowhere).kept() == 0
