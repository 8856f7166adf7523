"""Workers by what they have: the least loaded one is found without looking at all of them.

Pure.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping

from broker.jobs import Worker

#: Outdated entries that may stay, beside one for each worker, before the heap is made anew.
_OUTDATED = 64


class Ranking:
    """Those that fit by sessions, then frames, then who came first.

    A heap in which outdated entries stay until they come up: whose load has changed gets another one.
    """

    def __init__(self, workers: Mapping[bytes, Worker], fits: Callable[[Worker], bool]) -> None:
        """`workers` may change; whether one `fits` may, too, once it is told of as changed."""
        self._workers = workers
        self._fits = fits
        self._heap: list[tuple[int, int, int, Worker]] = []

    def changed(self, workers: Iterable[Worker]) -> None:
        """These have another load, or fit now as they did not before."""
        for worker in workers:
            heapq.heappush(self._heap, _entry(worker))
        if len(self._heap) > 2 * len(self._workers) + _OUTDATED:
            self._heap = [_entry(worker) for worker in self._workers.values()]
            heapq.heapify(self._heap)

    def first(self) -> Worker | None:
        """The least loaded one that fits."""
        heap = self._heap
        while heap:
            sessions, frames, _, worker = heap[0]
            is_current = (sessions, frames) == (len(worker.sessions), len(worker.in_flight))
            if is_current and self._workers.get(worker.address) is worker and self._fits(worker):
                return worker
            heapq.heappop(heap)
        return None


def _entry(worker: Worker) -> tuple[int, int, int, Worker]:
    return (len(worker.sessions), len(worker.in_flight), worker.serial, worker)
