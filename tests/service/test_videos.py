"""A real clip as a video job through the whole service, and what it withstands."""

import http.client
import io
import os
import signal
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import numpy as np
import orjson
import pytest
from PIL import Image as PillowImage

from client import footage, video
from client.backend import Backend
from client.private_service import PrivateService
from tests import videos
from tests.service.running import pids, wait_for

FRAMES = 80


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, sports_clip: Path) -> Path:
    """Frames of a real clip, small, with a rate that varies."""
    path = tmp_path_factory.mktemp("clip") / "ride.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number, picture in enumerate(video.frames(sports_clip, first=60, last=59 + FRAMES)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(640, 360, "yuv420p")
            frame.pts = number + number // 10  # of thirtieths: one is missing after every ten
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def ask(
    service: PrivateService,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    content = orjson.loads(response.read())
    connection.close()
    assert response.status in (200, 202), content
    return content


def send(service: PrivateService, clip: Path, **fields: str) -> Any:
    """Upload the clip as a form."""
    texts = "".join(
        f'--end\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in {"mesh": "none", **fields}.items()
    )
    head = f'{texts}--end\r\nContent-Disposition: form-data; name="video"; filename="{clip.name}"\r\n\r\n'
    body = head.encode() + clip.read_bytes() + b"\r\n--end--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=end"}
    return ask(service, "POST", "/pose/video", body, headers)


def state(service: PrivateService, job_id: str) -> Any:
    return ask(service, "GET", f"/job_status/{job_id}")


@pytest.fixture(scope="module")
def undisturbed(service: PrivateService, clip: Path) -> Any:
    return send(service, clip)["frames"]


def test_every_frame_has_an_entry_with_a_person_and_its_own_time(undisturbed: Any, clip: Path) -> None:
    assert len(undisturbed) == videos.decoded_count(clip) == FRAMES
    assert all(frame["persons"] for frame in undisturbed)
    expected = [(number + number // 10) / 30 for number in range(FRAMES)]
    np.testing.assert_allclose([frame["timestamp"] for frame in undisturbed], expected, atol=1e-3)


def test_it_says_what_frames_sent_one_by_one_say(backend: Backend, undisturbed: Any, clip: Path) -> None:
    """The same pixels, as PNGs over `/pose/hybrid`; before the first gap, times say no more than numbers."""
    with footage.opened(clip, max_pixels=10**7) as opened:
        for shown in islice(opened.frames(), 10):
            stream = io.BytesIO()
            PillowImage.fromarray(shown.image).save(stream, "PNG", compress_level=1)
            answer = backend.pose(stream.getvalue(), frame_number=shown.number, session_id="one-by-one")
    person = answer.body()["people"][0]
    entry = undisturbed[9]["persons"][0]
    points = [[point[axis] for axis in ("x_3d", "y_3d", "z_3d")] for point in person["keypoints"]]

    assert entry["track_id"] == person["track_id"]
    assert entry["smpl"] == person["smpl"]
    np.testing.assert_allclose(entry["keypoints_3d"], points, atol=2e-4)


def test_kills_in_the_middle_change_nothing(service: PrivateService, undisturbed: Any, clip: Path) -> None:
    job_id = send(service, clip, **{"async": "true"})["job_id"]
    for program, frames_done in (("jobs", 8), ("worker", 28), ("broker", 50)):
        wait_until_done(service, job_id, frames_done)
        before = pids(service, program)
        os.kill(before[0], signal.SIGKILL)
        wait_until_replaced(service, program, before)
    wait_for(lambda: state(service, job_id)["status"] in ("complete", "error"))

    ended = state(service, job_id)
    assert ended["status"] == "complete", ended["error"]
    assert ended["result"]["frames"] == undisturbed


def wait_until_done(service: PrivateService, job_id: str, frames: int) -> None:
    wait_for(lambda: state(service, job_id)["frames_done"] >= frames)


def wait_until_replaced(service: PrivateService, program: str, before: list[int]) -> None:
    wait_for(lambda: bool(set(pids(service, program)) - set(before)))
