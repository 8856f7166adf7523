"""How many processors a program may use: those that it is bound to, as far as it is given time on them.

`taskset` and a container's cpuset leave some out. A limit on processor time (`docker run --cpus`, Kubernetes'
`limits.cpu`, systemd's `CPUQuota`) leaves none out: more threads than it has room for use it up in a part of
each period, and all of them stand still for the rest.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable(root: Path = Path("/")) -> int:
    """Processors for this thread, at least one; the time of one and a half counts as two.

    root: what `proc` and the control groups are in.
    """
    return max(1, math.ceil(min(_bound_to(), allowed(root))))


def allowed(root: Path) -> float:
    """Seconds of processor time that our control groups give us in a second; infinite: as many as there are.

    A group's limit holds for all groups in it together, so the least one counts (cgroups(7); in the kernel's
    documentation `admin-guide/cgroup-v2` and `scheduler/sched-bwc`).
    """
    try:
        return min(map(_limit, _groups(root)), default=math.inf)
    except (OSError, ValueError):  # no /proc, or none of Linux's
        return math.inf


def _bound_to() -> int:
    if hasattr(os, "sched_getaffinity"):  # not everywhere: macOS has none
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _groups(root: Path) -> Iterator[Path]:
    """The folders of our control groups and of all that they are in, as far as they can be seen."""
    own = _own_groups(root)
    for line in (root / "proc/self/mountinfo").read_text().splitlines():  # proc_pid_mountinfo(5)
        mount, _, filesystem = line.partition(" - ")
        top, mounted_at = mount.split()[3:5]
        kind, _, options = filesystem.split(" ", 2)
        controllers = {"cgroup": options.split(","), "cgroup2": [""]}.get(kind, [])
        for group in (own[controller] for controller in controllers if controller in own):
            # A group that is above what is mounted cannot be seen: then what is mounted is the nearest.
            inside = group.relative_to(top) if group.is_relative_to(top) else PurePosixPath()
            yield from (root / mounted_at.lstrip("/") / part for part in (inside, *inside.parents))


def _own_groups(root: Path) -> dict[str, PurePosixPath]:
    """Our groups by controller: `cpu` by that name (version 1), whichever is in version 2 by none."""
    found = {}
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            found["cpu" if controllers else ""] = PurePosixPath(group)
    return found


def _limit(group: Path) -> float:
    """What one group is given in all, seconds of processor time in a second."""
    try:
        if (unified := group / "cpu.max").exists():
            quota_us, period_us = unified.read_text().split()
        else:
            quota_us, period_us = (
                (group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
            )
    except OSError:  # the first group of all has no limit, and no file for one
        return math.inf
    return math.inf if quota_us in ("max", "-1") else int(quota_us) / int(period_us)
