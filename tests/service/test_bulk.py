"""A piece of a real clip by the bulk command: the numbers of the same frames sent from Python."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from client import motion, video
from client.__main__ import main
from client.private_service import PrivateService
from client.records import STATES
from client.tracking import Client

FRAMES = 20


@pytest.fixture
def piece(sports_clip: Path, tmp_path: Path) -> Path:
    path = tmp_path / "piece.mp4"
    with video.writing(path, rate=video.frame_rate(sports_clip)) as add:
        for frame in video.frames(sports_clip, first=60, last=59 + FRAMES):
            add(np.asarray(PillowImage.fromarray(frame).resize((640, 360))))
    return path


def test_a_video_has_the_numbers_of_its_frames(service: PrivateService, piece: Path, tmp_path: Path) -> None:
    endpoint = f"ipc://{service.runtime_dir}/frames.ipc"

    result = tmp_path / "piece.npz"

    assert main(["--endpoint", endpoint, "-q", "--online", str(piece), "-o", str(result)]) == 0

    told = motion.load(result)
    with Client(endpoint) as client:
        rate = float(video.frame_rate(piece))
        results = list(client.track(video.frames(piece), frames_per_second=rate))
    assert told.primary_tracks.tolist() == [result.primary.track_id for result in results]
    people = {
        (result.frame_number, person.track_id): person for result in results for person in result.people
    }
    assert sum(len(track.frames) for track in told.tracks) == len(people) >= FRAMES
    for track in told.tracks:
        for row, frame in enumerate(track.frames.tolist()):
            person = people[frame, track.track_id]
            assert STATES[track.states[row]] == person.state
            np.testing.assert_array_equal(track.rotations[row], person.rotations)
            np.testing.assert_array_equal(track.keypoints_2d[row], person.keypoints_2d)
