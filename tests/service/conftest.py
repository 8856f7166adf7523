"""The whole service, as an operator starts it: supervisord, broker, workers, edge, real networks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.backend import Answer, Backend
from client.private_service import PrivateService, private_service
from tests.node import backend as node_client
from tools.clip import clip_path


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateService]:
    log = tmp_path_factory.mktemp("service") / "service.log"
    with private_service(log, {"POSE_WORKERS": "2"}) as running:
        yield running


@pytest.fixture(scope="module")  # some tests end the edge, and every connection with it
def backend(service: PrivateService) -> Iterator[Backend]:
    with service.backend() as connected:
        yield connected


@pytest.fixture(scope="module")
def bodies(answers: Sequence[Answer]) -> list[Mapping[str, Any]]:
    """What the module's `answers` say, read once; the mesh as an array: so many lists are slow to keep."""
    read = (answer.body() for answer in answers)
    return [{**body, "mesh_vertices_data": np.array(body["mesh_vertices_data"])} for body in read]


@pytest.fixture(scope="session")
def sports_clip() -> Path:
    return clip_path("sports2d_demo.mp4")


@pytest.fixture(scope="session")
def node() -> None:
    """A test with this is skipped, and says so, where there is no node."""
    try:
        node_client.node()
    except node_client.NotRun as error:
        pytest.skip(str(error))
