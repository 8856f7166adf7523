"""The service on HMR2: the same programs, the same answers' form, and the user's own model files.

The weights are generated, so the poses are nonsense; everything that the contract promises of an answer
holds for them as well.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from client import video
from client.backend import Answer, Backend
from client.private_service import PrivateService, private_service
from tests.service.test_clip import (
    jpeg,
    test_counts_and_names_never_change,
    test_the_mesh_lies_on_the_keypoints,
)

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
def answers(backend: Backend, sports_clip: Path) -> list[Answer]:
    frames = video.frames(sports_clip, first=60, last=60 + FRAMES - 1)
    return [backend.pose(jpeg(frame), frame_number=number) for number, frame in enumerate(frames)]


def test_every_frame_has_a_pose_of_the_contracts_form(answers: list[Answer]) -> None:
    assert [answer.status for answer in answers] == [200] * FRAMES
    assert all(answer.body()["has_3d"] for answer in answers)
    test_counts_and_names_never_change(answers)
    test_the_mesh_lies_on_the_keypoints(answers)


def test_a_followed_person_is_one_person(answers: list[Answer]) -> None:
    assert len({answer.body()["tracking"]["track_id"] for answer in answers}) == 1
    assert "detected" in {answer.body()["tracking"]["state"] for answer in answers}


def test_the_triangles_are_those_of_the_users_body(answers: list[Answer], model_files: Path) -> None:
    with np.load(model_files / "SMPL_NEUTRAL.npz") as body:
        np.testing.assert_array_equal(answers[0].body()["mesh_faces_data"], body["faces"])


def test_nothing_calls_itself_official_that_is_not(answers: list[Answer]) -> None:
    assert {answer.body()["model_version"] for answer in answers} == {"Everyframe-HMR2"}


def test_health_tells_which_files_run(backend: Backend, model_files: Path, answers: list[Answer]) -> None:
    assert answers
    health = backend.health().body()
    assert (health["backend"], health["ready"]) == ("hmr2", True)
    body = model_files / "SMPL_NEUTRAL.pkl"
    assert health["parts"]["SMPL_NEUTRAL.pkl"] == f"sha256:{hashlib.sha256(body.read_bytes()).hexdigest()}"
    assert health["parts"]["hmr2.ckpt"].startswith("sha256:")


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
