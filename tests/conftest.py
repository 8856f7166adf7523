"""How the tests run: the same way every time, however busy the machine is."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from wire import environment, processors

os.environ |= environment.LINEAR_ALGEBRA  # before anything imports numpy or torch, as `make serve` does

settings.register_profile("everyframe", derandomize=True, deadline=None, database=None)
settings.load_profile("everyframe")

TESTS = Path(__file__).parent

#: Files that take long, the longest first: what is begun last should end soon.
LONG = (
    "service/test_hmr2.py",
    "service/test_sessions.py",
    "service/test_clip.py",
    "viewer/test_browser.py",
    "service/test_failures.py",
    "parity/test_phalp_tracker.py",
    "service/test_cluster.py",
    "contract/test_contract.py",
    "workers/detectors/test_rcnn.py",
    "service/test_bulk_chaos.py",
    "service/test_chaos.py",
    "parity/test_phalp_e2e_track.py",
    "simulation/test_simulation.py",
    "service/test_backend_client.py",
    "parity/test_hmr2.py",
    "service/test_videos.py",
    "workers/test_remote_store.py",
    "http_edge/test_video_jobs.py",
    "http_edge/test_unnamed_videos.py",
    "client/test_private_service.py",
    "workers/test_worker_loop.py",
    "workers/test_several_brokers.py",
    "http_edge/test_several_edges.py",
)
_PLACES = {TESTS / name: place for place, name in enumerate(LONG)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _PLACES.get(item.path, len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Processes for `-n auto`: two more than processors, for most tests wait for others; four are plenty."""
    return min(processors.usable() + 2, 4)
