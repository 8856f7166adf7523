"""The metrics of several edges as one: each writes files of its own, and whoever is asked adds them up.

prometheus_client does both; this sees to edges that are gone: what they counted stays, what they held goes.
"""

import os
import re
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

#: Names the folder of these files. prometheus_client reads it at its import, so `tools/serve.py` sets it.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_BEGAN = "everyframe_edge_start_time_seconds"
_OF_PROCESS = re.compile(r"_(\d+)\.db")


class Sharing:
    """One edge among several."""

    def __init__(
        self, directory: Path, *, own: CollectorRegistry, shown: CollectorRegistry, now: float
    ) -> None:
        """What this edge registers with `own` is shown by all, added up; `now` is a time of day."""
        self._directory = directory
        MultiProcessCollector(shown, path=str(directory))  # type: ignore[no-untyped-call]
        began = Gauge(_BEGAN, "When the youngest edge began", multiprocess_mode="livemax", registry=own)
        began.set(now)

    def began_at(self) -> float:
        """When the youngest edge that lives began: a time of day."""
        files = [str(path) for path in self._directory.glob("gauge_livemax_*.db")]
        metrics = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        values = [sample.value for metric in metrics for sample in metric.samples if sample.name == _BEGAN]
        return float(max(values))

    def forget_the_dead(self) -> None:
        """Take out what edges held that have been killed."""
        for pid in {
            int(found[1]) for path in self._directory.iterdir() if (found := _OF_PROCESS.search(path.name))
        }:
            if not _lives(pid):
                mark_process_dead(pid, str(self._directory))  # type: ignore[no-untyped-call]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's, which took the number over: rare, and right again with the next start
    return True
