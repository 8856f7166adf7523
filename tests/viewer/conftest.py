"""A broker and an edge as real processes with a fake worker, for tests of the pages' files."""

from collections.abc import Iterator

import pytest

from tests.fake_worker import FakeWorker
from tests.http_edge.running import Edge


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with Edge(tmp_path_factory.mktemp("edge"), {}) as running, FakeWorker(running.workers_address):
        running.wait_until_ready()
        yield running
