"""The actor that holds one worker on a machine of the cluster: Ray places it and starts it again.

The worker is the same program as under supervisord, in a process of its own: it may end as it does there,
and its threads, allocator and time limits are not Ray's.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import ray

from wire import owned, runtime_dir
from wire import settings as wire_settings
from workers import assets
from workers.cluster import models
from workers.cluster.models import Model

#: The group of calls that are answered while `serve` runs.
CONTROL: Final = "control"

#: A worker that ends sooner than this most likely always will: Ray has to wait.
_SOON_S = 10.0
_PAUSE_S = 5.0


class Holder:
    """Runs worker `index`; an actor's class, see `placing`."""

    def __init__(self, index: int, models: Sequence[Model]) -> None:
        self._index = index
        self._models = list(models)
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._draining = False

    def serve(self) -> None:
        """Run the worker until `drain`; one that ends by itself takes the actor with it."""
        settings = wire_settings.load(os.environ)
        models.place(self._models, assets.directory(settings))
        runtime_dir.make(settings)
        started = time.monotonic()
        with self._lock:
            if self._draining:
                return
            worker = self._worker = subprocess.Popen(
                # Ray can kill this actor at any time, and nobody would be left to stop the worker.
                owned.command(signal.SIGKILL, "workers", "--index", str(self._index)),
                cwd=Path(__file__).parents[2],
            )
        status = worker.wait()
        if self._draining:
            return
        print(f"worker {self._index} ended with status {status}", file=sys.stderr, flush=True)
        if time.monotonic() - started < _SOON_S:
            time.sleep(_PAUSE_S)
        os._exit(1)  # to Ray a crash, which makes it start the actor and `serve` anew

    @ray.method(concurrency_group=CONTROL)
    def drain(self) -> None:
        """Have the worker finish its frames, hand over its sessions, and end."""
        with self._lock:
            self._draining = True
            if self._worker is not None:
                self._worker.send_signal(signal.SIGTERM)

    @ray.method(concurrency_group=CONTROL)
    def machine(self) -> str:
        """The id of the machine it is on."""
        return str(ray.get_runtime_context().get_node_id())
