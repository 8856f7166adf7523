"""The service on HMR2 and PHALP: the same programs, the same answers' form, and the user's own model files.

The weights are generated, so the poses are nonsense; everything that the contract promises of an answer
holds for them as well.
"""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from client import video
from client.backend import Answer, Backend
from client.private_service import PrivateService, private_service
from tests.service.running import wait_for
from tests.service.test_clip import (
    Bodies,
    jpeg,
    test_counts_and_names_never_change,
    test_the_mesh_lies_on_the_keypoints,
)
from tools.supervised import Supervised
from workers.phalp.learned.life import CONFIRMED_HITS

FRAMES = 5


@pytest.fixture(scope="module")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-m", "tests.service.generated_models", str(directory)], check=True)
    return directory


@pytest.fixture(scope="module")
def service(model_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateService]:
    log = tmp_path_factory.mktemp("service") / "service.log"
    settings = {
        "POSE_OBSERVER": "hmr2",
        "POSE_DETECTOR": "blazepose",
        "POSE_WORKERS": "1",
        "POSE_THREADS": "1",  # two of torch's do four times the work where others want the processors
        "POSE_ASSETS_DIR": str(model_files),
        "POSE_FRAME_LIMIT_S": "120",
    }
    with private_service(log, settings) as running:
        yield running


@pytest.fixture(scope="module")
def backend(service: PrivateService) -> Iterator[Backend]:
    with service.backend() as connected:
        yield connected


@pytest.fixture(scope="module")
def pictures(sports_clip: Path) -> list[bytes]:
    return [jpeg(frame) for frame in video.frames(sports_clip, first=60, last=60 + FRAMES - 1)]


@pytest.fixture(scope="module")
def answers(backend: Backend, pictures: list[bytes]) -> list[Answer]:
    return [backend.pose(picture, frame_number=number) for number, picture in enumerate(pictures)]


def test_every_frame_has_a_pose_of_the_contracts_form(answers: list[Answer], bodies: Bodies) -> None:
    assert [answer.status for answer in answers] == [200] * FRAMES
    assert all(body["has_3d"] for body in bodies)
    test_counts_and_names_never_change(bodies)
    test_the_mesh_lies_on_the_keypoints(bodies)


def test_a_followed_person_is_one_person(bodies: Bodies) -> None:
    assert len({body["tracking"]["track_id"] for body in bodies}) == 1
    assert "detected" in {body["tracking"]["state"] for body in bodies}


def test_the_triangles_are_those_of_the_users_body(answers: list[Answer], model_files: Path) -> None:
    with np.load(model_files / "SMPL_NEUTRAL.npz") as body:
        np.testing.assert_array_equal(answers[0].body()["mesh_faces_data"], body["faces"])


def test_nothing_calls_itself_official_that_is_not(bodies: Bodies) -> None:
    assert {body["model_version"] for body in bodies} == {"Everyframe-HMR2"}


def test_health_tells_which_files_run(backend: Backend, model_files: Path, answers: list[Answer]) -> None:
    assert answers
    health = backend.health().body()
    assert (health["backend"], health["ready"]) == ("hmr2", True)
    body = model_files / "SMPL_NEUTRAL.pkl"
    assert health["parts"]["SMPL_NEUTRAL.pkl"] == f"sha256:{hashlib.sha256(body.read_bytes()).hexdigest()}"
    assert health["parts"]["hmr2.ckpt"].startswith("sha256:")


def test_phalp_follows_people_where_its_files_are_there(
    backend: Backend, model_files: Path, answers: list[Answer]
) -> None:
    health = backend.health().body()
    assert health["tracker"] == "phalp"
    for name in ("hmar_v2_weights.pth", "pose_predictor.pth", "bmap_256.npy"):
        digest = hashlib.sha256((model_files / name).read_bytes()).hexdigest()
        assert health["parts"][name] == f"sha256:{digest}"
    tracking = [answer.body()["tracking"] for answer in answers]
    assert {one["tracker"] for one in tracking} == {"phalp"}
    assert [one["tentative"] for one in tracking] == [True] * (CONFIRMED_HITS - 1) + [False]


def test_a_killed_worker_changes_nothing(
    service: PrivateService, backend: Backend, answers: list[Answer], pictures: list[bytes]
) -> None:
    """The next worker goes on from the stored state: every number is the same."""
    half = FRAMES // 2
    before = [
        backend.pose(pictures[number], frame_number=number, session_id="killed") for number in range(half)
    ]
    killed = worker_pid(service)
    os.kill(killed, signal.SIGKILL)
    wait_for(
        lambda: worker_pid(service) not in (0, killed) and backend.health().body()["ready"], within_s=120
    )
    after = [
        backend.pose(pictures[number], frame_number=number, session_id="killed")
        for number in range(half, FRAMES)
    ]
    assert {answer.body()["tracking"]["history"] for answer in after} == {"restored"}
    assert [poses(answer) for answer in before + after] == [poses(answer) for answer in answers]


def worker_pid(service: PrivateService) -> int:
    """Process id of the one worker; 0: it is not running. Not `pids`: supervisord waits for a minute."""
    with Supervised(service.runtime_dir) as supervised:
        (pid,) = (program.pid for name, program in supervised.programs().items() if name.startswith("worker"))
    return pid


def poses(answer: Answer) -> dict[str, object]:
    """What an answer says of the people, but for what names this request."""
    body = answer.body()
    return {name: body[name] for name in ("keypoints", "mesh_vertices_data", "people", "tracking_confidence")}


def test_a_file_that_is_missing_is_named_and_never_fetched(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "workers"],
        env={
            "POSE_OBSERVER": "hmr2",
            "POSE_ASSETS_DIR": str(tmp_path),
            "POSE_RUNTIME_DIR": str(tmp_path / "run"),
            "POSE_WORKERS_ENDPOINT": "tcp://127.0.0.1:9",
            "POSE_WORKER_SILENCE_S": "0.1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3
    assert "hmr2.ckpt is missing" in ended.stderr
    assert "python -m workers.assets fetch hmr2" in ended.stderr
