"""A client in another language, written from PROTOCOL.md alone, through a real broker and real networks."""

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from client import video
from client.private_service import PrivateService
from client.tracking import Client
from tests.broker.running import PATIENCE_S
from tests.client.running import Worker, wait_for
from tests.client.running import service as fake_service
from tests.node import wire
from tests.videos import corners
from wire.connection import Connection

pytestmark = pytest.mark.usefixtures("node")

FRAMES = 12


@pytest.fixture(scope="module")
def frames(sports_clip: Path) -> list[np.ndarray]:
    return [
        np.asarray(PillowImage.fromarray(frame).resize((640, 360)))
        for frame in video.frames(sports_clip, first=60, last=60 + FRAMES - 1)
    ]


def test_jpegs_and_bare_pixels_have_the_numbers_that_python_gets(
    service: PrivateService, frames: list[np.ndarray], tmp_path: Path
) -> None:
    endpoint = f"ipc://{service.runtime_dir}/frames.ipc"
    jpegs = wire.write_jpegs(tmp_path / "jpegs", frames)
    pixels = wire.write_pixels(tmp_path / "pixels", frames)
    (jpegs / "0005.jpg").write_bytes(b"no picture")

    told = wire.track(endpoint, [jpegs, pixels])

    with Client(endpoint) as client:
        expected = list(client.track(frames))
    assert [frame["code"] for frame in told.frames[pixels]] == [None] * FRAMES
    for joints, frame, result in zip(told.joints(pixels), told.frames[pixels], expected, strict=True):
        assert frame["people"] == [[person.track_id, person.state] for person in result.people]
        np.testing.assert_array_equal(joints, [person.joints for person in result.people])
        assert frame["vertices"] == [0, 6890, 3]
    codes = [frame["code"] for frame in told.frames[jpegs]]
    assert codes == ["invalid_image" if number == 5 else None for number in range(FRAMES)]
    assert all(frame["people"] for frame in told.frames[jpegs][6:])
    assert told.status["limits"]["max_session_frames"] == 64


def test_what_a_broker_left_unanswered_the_next_one_answers(tmp_path: Path) -> None:
    folder = wire.write_pixels(tmp_path / "pixels", map(corners, range(30)))
    worker = Worker()
    worker.open_until = 7

    with fake_service(tmp_path, worker) as broker, wire.tracking(broker.frames, [folder]) as process:
        wait_for(lambda: 7 in worker.numbers())
        broker.stop(signal.SIGKILL)
        worker.open_until = 10**9
        broker.start()
        told = wire.told(process)

    assert [(frame["number"], frame["code"]) for frame in told.frames[folder]] == [
        (number, None) for number in range(30)
    ]
    for number, joints in enumerate(told.joints(folder)):
        np.testing.assert_array_equal(joints, worker.arrays(number)["joints"])
    assert told.status["connections"] == 2


def test_a_broker_with_room_for_less_than_is_under_way_answers_all(tmp_path: Path) -> None:
    folders = [wire.write_pixels(tmp_path / name, map(corners, range(20))) for name in ("one", "other")]
    worker = Worker()
    worker.open_until = 0

    with (
        fake_service(tmp_path, worker, max_queue_frames=3) as broker,
        Connection(broker.frames, max_frame_bytes=1) as asking,
        wire.tracking(broker.frames, folders, window=16) as process,
    ):
        wait_for(lambda: asking.status(PATIENCE_S).counters["busy"] > 0)
        worker.open_until = 10**9
        told = wire.told(process)

    for folder in folders:
        assert [frame["code"] for frame in told.frames[folder]] == [None] * 20
