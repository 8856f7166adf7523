"""`python -m tests.workers.counting_worker INDEX`: a worker whose fold only counts.

The loop, the sessions, the store and the watchdog are the real ones. `num_persons_detected` of an
answer says how many frames its session has folded, so that a frame folded twice or never shows. What
the pictures say is done: hang, take a moment, or fail.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.stand_in import serve
from tests.fake_worker import body_arrays
from wire import settings as wire_settings
from wire.errors import InvalidImage, PoseError
from wire.messages import Buffer
from wire.settings import Settings
from workers.lmdb_store import LmdbStore
from workers.pipeline import Drawn, Folded, FrameAnswer, FrameInput
from workers.sessions import Codec
from workers.store import Store
from workers.types import Progress, unnoticed

#: A picture that begins with one of these does what it says, with the worker whose index follows.
HANG_IN_PYTHON = b"hang in Python "
HANG_IN_C = b"hang in C "
TAKE_A_MOMENT = b"a moment"
WORK_IN_PARTS = b"a moment, in parts"
FAIL = b"no picture"

_MOMENT_S = 0.8
_PARTS, _PART_S = 15, 0.3

log = logging.getLogger(__name__)


class CountingPipeline:
    """Stands where the networks stand."""

    observer = SimpleNamespace(name="counting", model_version="counting")
    tracker = SimpleNamespace(name="counting")

    def __init__(self, index: int) -> None:
        self._index = str(index).encode()

    def start(self) -> int:
        """Nothing counted yet."""
        return 0

    def decode(self, encoded: Buffer) -> bytes:
        """The picture's bytes: they say what is to be done."""
        return bytes(encoded)

    def fold(
        self, batch: Sequence[tuple[int, FrameInput]], *, on_progress: Progress = unnoticed
    ) -> list[Folded | PoseError]:
        """Count each session's frame."""
        return [self._fold_one(count, bytes(frame.encoded), on_progress) for count, frame in batch]

    def repeat(self, _answer: FrameAnswer, _frame: FrameInput) -> Drawn:
        """Nothing is drawn."""
        return _DRAWN

    def _fold_one(self, count: int, picture: bytes, on_progress: Progress) -> Folded | PoseError:
        if picture == HANG_IN_PYTHON + self._index:
            while True:
                pass
        if picture == HANG_IN_C + self._index:
            sum(range(10**15))
        if picture == FAIL:
            return InvalidImage("as the test wished")
        if picture == TAKE_A_MOMENT:
            log.info("a moment begins")
            time.sleep(_MOMENT_S)
        if picture == WORK_IN_PARTS:
            for _ in range(_PARTS):
                time.sleep(_PART_S)
                on_progress()
        return Folded(count + 1, FrameAnswer(640, 360, [], None, count + 1, _NOBODY, {}), _DRAWN)


_NOBODY = {name: array for name, array in body_arrays(people=0, meshes=0).items() if name != "vertices"}
_DRAWN = Drawn(np.zeros((0, 6890, 3), np.float32), None, {})


def open_store(settings: Settings, index: int) -> Store:
    """The store of a worker, without the networks that `workers.build` imports."""
    rules: dict[str, Any] = {"kept_answers": settings.kept_answers, "idle_s": settings.session_idle_s}
    if settings.store_url:
        from workers.redis_store import RedisStore

        return RedisStore(settings.store_url, "counting", timeout_s=settings.store_timeout_s, **rules)
    max_bytes, now = settings.store_max_bytes, time.time()
    return LmdbStore(settings.store_directory(), index=index, max_bytes=max_bytes, now=now, **rules)


def main(index: int) -> None:
    """Serve until told to stop."""
    logging.basicConfig(level="INFO", format=f"counting-{index} %(levelname)s %(message)s")
    settings = wire_settings.load(os.environ)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    serve(
        CountingPipeline(index),
        states=Codec(lambda count: count.to_bytes(8, "big"), lambda stored: int.from_bytes(stored, "big")),
        store=open_store(settings, index),
        settings=settings,
        index=index,
        stopping=stopping.is_set,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
