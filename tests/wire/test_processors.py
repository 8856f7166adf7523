"""A program counts the processors that it is bound to, as far as its control groups give it time on them."""

import math
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from wire import processors

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct"
OTHERS = [
    "22 27 0:21 / /proc rw,relatime - proc proc rw",
    "35 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
]


def machine(root: Path, *, groups: list[str], mounts: list[str], files: Mapping[str, str]) -> Path:
    """A file system in which this process is in those groups; `files` are those of /sys/fs/cgroup."""
    written = {
        "proc/self/cgroup": "\n".join(groups),
        "proc/self/mountinfo": "\n".join([*OTHERS, *mounts]),
        **{f"sys/fs/cgroup/{name}": f"{text}\n" for name, text in files.items()},
    }
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        pytest.param("/", {"cpu.max": "150000 100000"}, 1.5, id="a container"),
        pytest.param("/", {"cpu.max": "max 100000"}, math.inf, id="a container without a limit"),
        pytest.param("/", {}, math.inf, id="no group at all"),
        pytest.param("/a/b", {"a/b/cpu.max": "50000 200000"}, 0.25, id="a group of a host"),
        pytest.param(
            "/a/b", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2.0, id="the group around it"
        ),
        pytest.param(
            "/a/b", {"a/cpu.max": "1000 1000", "a/b/cpu.max": "3000 1000"}, 1.0, id="the least of them"
        ),
        pytest.param("/a", {"b/cpu.max": "1000 1000"}, math.inf, id="somebody else's group"),
        pytest.param("/../b", {"cpu.max": "300000 100000"}, 3.0, id="a group out of sight"),
        pytest.param("/a", {"a/cpu.max": "of another kind"}, math.inf, id="what cannot be read"),
    ],
)
def test_limits_of_version_2_are_found(
    group: str, files: Mapping[str, str], expected: float, tmp_path: Path
) -> None:
    root = machine(tmp_path, groups=[f"0::{group}"], mounts=[UNIFIED], files=files)
    assert processors.allowed(root) == expected


@pytest.mark.parametrize(
    ("top", "group", "limited", "quota_us", "expected"),
    [
        pytest.param("/", "/", "", "250000", 2.5, id="a container"),
        pytest.param("/", "/", "", "-1", math.inf, id="a container without a limit"),
        pytest.param("/docker/c1", "/docker/c1", "", "50000", 0.5, id="a container that knows its name"),
        pytest.param("/docker/c1", "/docker/c1/a", "a", "50000", 0.5, id="a group in it"),
        pytest.param("/docker/c1", "/docker", "", "50000", 0.5, id="a group above what is mounted"),
        pytest.param("/", "/a/b", "a", "400000", 4.0, id="the group around it"),
    ],
)
def test_limits_of_version_1_are_found(
    top: str, group: str, limited: str, quota_us: str, expected: float, tmp_path: Path
) -> None:
    folder = Path("cpu,cpuacct", limited)
    root = machine(
        tmp_path,
        groups=["5:cpuset:/elsewhere", f"4:cpuacct,cpu:{group}", "0::/"],
        mounts=[V1.format(top=top)],
        files={
            f"{folder}/cpu.cfs_quota_us": quota_us,
            f"{folder}/cpu.cfs_period_us": "100000",
            "cpuset/cpu.cfs_quota_us": "1",
            "cpuset/cpu.cfs_period_us": "100000",
        },
    )
    assert processors.allowed(root) == expected


def test_where_both_versions_are_mounted_the_lesser_limit_counts(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        groups=["4:cpu,cpuacct:/", "0::/a"],
        mounts=[V1.format(top="/"), UNIFIED.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")],
        files={
            "cpu,cpuacct/cpu.cfs_quota_us": "300000",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
            "unified/a/cpu.max": "200000 100000",
        },
    )
    assert processors.allowed(root) == 2.0


def test_where_there_are_no_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert processors.allowed(tmp_path) == math.inf


@pytest.mark.parametrize(
    ("limit", "bound_to", "expected"),
    [
        pytest.param("max 100000", 3, 3, id="bound to some"),
        pytest.param("150000 100000", 8, 2, id="a part of a processor is one"),
        pytest.param("10000 100000", 8, 1, id="never none"),
        pytest.param("600000 100000", 2, 2, id="time for more than there are"),
    ],
)
def test_usable_are_those_bound_to_as_far_as_there_is_time(
    limit: str, bound_to: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(bound_to)), raising=False)
    root = machine(tmp_path, groups=["0::/"], mounts=[UNIFIED], files={"cpu.max": limit})
    assert processors.usable(root) == expected


def test_this_machine_has_one_at_least() -> None:
    assert 1 <= processors.usable() <= (os.cpu_count() or 1)
