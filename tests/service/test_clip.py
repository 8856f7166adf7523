"""A real clip through the whole service: a pose for every frame, and nothing in an answer that is not so."""

import base64
import io
import os
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from client import video
from client.backend import Answer, Backend
from client.private_service import PrivateService
from tests.service.running import pids, supervisorctl, wait_for
from wire.camera import project
from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES

Bodies = Sequence[Mapping[str, Any]]


def jpeg(frame: np.ndarray, *, width: int | None = None) -> bytes:
    picture = PillowImage.fromarray(frame)
    if width:
        picture = picture.resize((width, round(width * picture.height / picture.width)))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()


@pytest.fixture(scope="module")
def pictures(sports_clip: Path) -> list[bytes]:
    """Frames 60 to 199: 140 of them."""
    return [jpeg(frame) for frame in video.frames(sports_clip, first=60, last=199)]


@pytest.fixture(scope="module")
def answers(backend: Backend, pictures: list[bytes]) -> list[Answer]:
    return [backend.pose(picture, frame_number=number) for number, picture in enumerate(pictures)]


def test_every_frame_has_a_pose(answers: list[Answer], bodies: Bodies) -> None:
    assert [answer.status for answer in answers] == [200] * 140
    assert [body["frame_number"] for body in bodies] == list(range(140))
    assert all(body["has_3d"] for body in bodies)


def test_the_primary_person_stays_the_same(bodies: Bodies) -> None:
    assert len({body["tracking"]["track_id"] for body in bodies}) == 1


def test_counts_and_names_never_change(bodies: Bodies) -> None:
    for body in bodies:
        assert [point["name"] for point in body["keypoints"]] == list(COCO_KEYPOINTS)
        assert body["keypoint_count"] == 17
        assert list(body["joint_angles_3d"]) == list(JOINT_ANGLES)
        assert np.shape(body["joints_3d_raw"]) == (24, 3)
        assert np.shape(body["mesh_vertices_data"]) == (body["mesh_vertices"], 3) == (6890, 3)
    assert np.shape(bodies[0]["mesh_faces_data"]) == (13776, 3)


def test_the_mesh_lies_on_the_keypoints(bodies: Bodies) -> None:
    """Every keypoint is in the mesh, or on it: within 5 px of the projected surface or inside of it."""
    for body in bodies:
        size = body["frame_width"], body["frame_height"]
        translation = np.array(body["camera_translation"])
        points = np.array([[point[axis] for axis in ("x_3d", "y_3d", "z_3d")] for point in body["keypoints"]])
        pixels = np.array([[point["x"], point["y"]] for point in body["keypoints"]])
        assert np.abs(project(points, translation, *size) - pixels).max() < 0.5
        vertices = project(body["mesh_vertices_data"], translation, *size)
        face = pixels[:5]  # nose, eyes, ears are points of the surface itself
        distance = np.linalg.norm(vertices[None] - face[:, None], axis=-1).min(axis=1)
        assert distance.max() < 5
        assert (pixels > vertices.min(axis=0) - 5).all()
        assert (pixels < vertices.max(axis=0) + 5).all()


def test_a_predicted_pose_stays_usable(bodies: Bodies) -> None:
    for body in bodies:
        confidence = np.mean([point["confidence"] for point in body["keypoints"]])
        assert confidence >= 0.3, body["tracking"]


def test_the_overlay_is_the_frame_with_a_body_on_it(backend: Backend, pictures: list[bytes]) -> None:
    body = backend.pose(pictures[0], frame_number=0, visualize=True, session_id="overlay").body()

    encoded = body["visualization"].removeprefix("data:image/png;base64,")
    drawn = np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(encoded)))).astype(int)
    original = np.asarray(PillowImage.open(io.BytesIO(pictures[0]))).astype(int)
    changed = np.abs(drawn - original).sum(axis=-1) > 0
    assert drawn.shape == original.shape
    rows, columns = np.nonzero(changed)
    points = np.array([[point["x"], point["y"]] for point in body["keypoints"]])
    assert 0.001 < changed.mean() < 0.5
    assert (points.min(axis=0) >= [columns.min() - 5, rows.min() - 5]).all()


def test_a_pool_of_four_gets_a_pose_for_every_frame(service: PrivateService, pictures: list[bytes]) -> None:
    with ExitStack() as stack:
        free = SimpleQueue[Backend]()
        for _ in range(4):
            free.put(stack.enter_context(service.backend()))

        def send(number: int) -> Answer:
            backend = free.get()
            answer = backend.pose(pictures[number], frame_number=number, session_id="pool")
            free.put(backend)
            return answer

        pooled = list(stack.enter_context(ThreadPoolExecutor(4)).map(send, range(60)))

    assert [answer.status for answer in pooled] == [200] * 60
    assert all(answer.body()["has_3d"] for answer in pooled)


def test_a_repeated_frame_gets_the_same_answer(backend: Backend, pictures: list[bytes]) -> None:
    *_, once, again = (
        backend.pose(pictures[number], frame_number=number, session_id="repeat") for number in (0, 1, 2, 2)
    )

    assert {**again.body(), "processing_time_ms": 0} == {**once.body(), "processing_time_ms": 0}


@pytest.fixture
def small_pictures(sports_clip: Path) -> list[bytes]:
    return [jpeg(frame, width=640) for frame in video.frames(sports_clip, first=60, last=140)]


def test_a_killed_worker_loses_no_frame(
    service: PrivateService, backend: Backend, small_pictures: list[bytes]
) -> None:
    """Each worker is killed in turn, mid-clip: every frame is answered, and supervisord starts them anew."""
    before = set(pids(service, "worker"))
    statuses = []
    for number, picture in enumerate(small_pictures):
        if number in (20, 50):
            os.kill(pids(service, "worker")[0], signal.SIGKILL)
        statuses.append(backend.pose(picture, frame_number=number, session_id="killed").status)

    assert statuses == [200] * len(small_pictures)
    wait_for(lambda: len(pids(service, "worker")) == 2 and backend.health().body()["workers"] == 2)
    assert set(pids(service, "worker")) != before


def test_the_socket_of_supervisord_is_the_operators_own(service: PrivateService) -> None:
    assert (service.runtime_dir / "supervisor.sock").stat().st_mode & 0o777 == 0o700
    assert "broker" in supervisorctl(service, "status")
