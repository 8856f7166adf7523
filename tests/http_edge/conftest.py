"""A broker and an edge as real processes, for tests that speak HTTP to them; workers are fakes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_worker import FakeWorker
from tests.http_edge.running import Edge

#: Small bounds, so that tests can reach them.
LIMITS = {
    "POSE_MAX_BODY_BYTES": str(2**20),
    "POSE_MAX_IMAGE_PIXELS": "1000000",
    "POSE_REQUEST_TIMEOUT_S": "60",
    "POSE_HTTP_THREADS": "8",
    "POSE_DRAIN_S": "30",
}


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """A service with one worker, shared by all tests that leave it as they found it."""
    with Edge(tmp_path_factory.mktemp("edge"), LIMITS) as running, FakeWorker(running.workers_address):
        running.wait_until_ready()
        yield running


@pytest.fixture
def impatient_edge(tmp_path: Path) -> Iterator[Edge]:
    """A service of the test's own with a worker, where requests wait for moments only."""
    settings = {**LIMITS, "POSE_REQUEST_TIMEOUT_S": "4"}
    with Edge(tmp_path, settings) as running, FakeWorker(running.workers_address):
        running.wait_until_ready()
        yield running


@pytest.fixture
def fresh_edge(tmp_path: Path) -> Iterator[Edge]:
    """A service of the test's own, without a worker."""
    with Edge(tmp_path, LIMITS) as running:
        yield running
