"""How many processors a program may use: those that it is bound to, not all of the machine."""

import os


def usable() -> int:
    """Processors that this thread may run on; `taskset` and a container's cpuset leave out some."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere: macOS has none
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
