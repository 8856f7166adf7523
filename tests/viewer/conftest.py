"""A service with a fake worker, for tests of the pages' files; a real one, for those in a browser."""

from collections.abc import Iterator

import pytest

from client.private_service import PrivateService, private_service
from tests.fake_worker import FakeWorker
from tests.http_edge.running import Edge
from tests.viewer.browser import chromium


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with Edge(tmp_path_factory.mktemp("edge"), {}) as running, FakeWorker(running.workers_address):
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session")
def browser_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateService]:
    chromium()  # skips where there is no browser that could look at it
    log = tmp_path_factory.mktemp("browser") / "service.log"
    with private_service(log, {"POSE_WORKERS": "1"}) as running:
        yield running
