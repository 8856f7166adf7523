"""Which settings workers on other machines can work with."""

import pytest

from wire.settings import Settings
from workers.cluster.__main__ import check

STORE = "valkeys://cache.example:6380/0"
HERE, THERE = "tcp://10.0.0.1:5558", "tcp://10.0.0.2:5558"


@pytest.mark.parametrize(
    "settings",
    [
        Settings(store_url=STORE, workers_endpoint=HERE),
        Settings(store_url=STORE, worker_brokers=f"{HERE},{THERE}", brokers=f"{HERE},{THERE}"),
    ],
    ids=["one broker", "two brokers"],
)
def test_brokers_that_other_machines_reach_are_taken(settings: Settings) -> None:
    check(settings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (Settings(workers_endpoint=HERE), "POSE_STORE_URL is not set"),
        (Settings(store_url=STORE), "POSE_WORKERS_ENDPOINT.*tcp"),
        (
            Settings(store_url=STORE, worker_brokers=f"{HERE},ipc:///run/w", brokers=f"{HERE},{THERE}"),
            "POSE_WORKER_BROKERS.*tcp",
        ),
        (Settings(store_url=STORE, worker_brokers=HERE, brokers=f"{HERE},{THERE}"), "in the same order"),
    ],
    ids=["no server of sessions", "a unix socket", "one of two unix sockets", "a broker without workers"],
)
def test_what_cannot_work_is_refused_with_its_variable(settings: Settings, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check(settings)
