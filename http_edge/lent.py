"""The way of a request's picture to workers of the same machine: lent, where they can read our memory.

Through two sockets and the broker between them a picture is copied four times, and wakes every thread on
its way several times. Who cannot read our memory is sent its bytes, as is whoever says that it could not be
read.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress

from wire.errors import PictureGone
from wire.exchange import Answer
from wire.keys import PeerKeys
from wire.line import Lines
from wire.messages import Buffer, Frame, Result, Status
from wire.requests import anew
from wire.shelf import Shelf, Slot, can_lend

#: Larger pictures travel as bytes: their decoder takes a hundred times as long, and what is kept for
#: pictures to come stays small.
_MOST_BYTES = 2 * 2**20

#: Owners of sessions that are remembered, the last that answered.
_REMEMBERED = 1024


class LendingLines(Lines):
    """Connections that lend; for many threads at a time."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        max_frame_bytes: int,
        keys: PeerKeys | None = None,
        most_lent: int,
        status: Callable[[], Status | None],
    ) -> None:
        """As `Lines`. most_lent: pictures at a time. status: what is known of the brokers; None: nothing."""
        super().__init__(endpoints, max_frame_bytes=max_frame_bytes, keys=keys)
        self._status = status
        self._judged: tuple[frozenset[str], bool] = (frozenset(), False)  # what workers say, what follows
        self._shelf = Shelf(most_lent)
        self._owners = Owners()

    def ask(self, frame: Frame, image: Buffer) -> Answer:
        """As `Lines.ask`."""
        ends_at = time.monotonic() + frame.deadline_ms / 1000
        slot = self._slot(image)
        # Nobody could read it; or another program had lent the same frame, which waited under this number.
        with suppress(PictureGone):
            return super().ask(frame, image) if slot is None else self._ask_lent(frame, slot)
        return super().ask(anew(frame, ends_at=ends_at), image)

    def close(self) -> None:
        """As `Lines`; what is lent is let go of once it is answered."""
        super().close()
        self._shelf.close()

    def _ask_lent(self, frame: Frame, slot: Slot) -> Answer:
        sent_at = time.monotonic()
        is_read = False
        try:
            answer = super().ask(frame, slot.reference())
            is_read = self._owners.answered_before(answer.result, sent_at=sent_at, now=time.monotonic())
        except PictureGone:
            self._shelf.refused(slot)
            raise
        except BaseException:
            self._shelf.take_back(slot, read=False)
            raise
        self._shelf.take_back(slot, read=is_read)
        return answer

    def _slot(self, image: Buffer) -> Slot | None:
        if memoryview(image).nbytes > _MOST_BYTES or not self._can_lend():
            return None
        return self._shelf.put([image])

    def _can_lend(self) -> bool:
        if (status := self._status()) is None:
            return False
        said = frozenset(worker.memory for worker in status.workers)
        judged, can = self._judged
        if said != judged:
            can = can_lend(status, self._endpoints)
            self._judged = (said, can)
        return can


class Owners:
    """Who answered for which session lately: whether nobody can still be reading what was lent for a frame.

    A session moves on to others, and never back. So whoever answers, and had answered before the frame was
    sent, is the only one to whom it was handed.
    """

    def __init__(self) -> None:
        self._since: OrderedDict[tuple[str, int], float] = OrderedDict()  # the last that answered last
        self._lock = threading.Lock()

    def answered_before(self, result: Result, *, sent_at: float, now: float) -> bool:
        """Whether the owner that gave this result had given one before the frame was sent; seconds."""
        owner = (result.session_id, result.epoch)
        with self._lock:
            since = self._since.setdefault(owner, now)
            self._since.move_to_end(owner)
            if len(self._since) > _REMEMBERED:
                self._since.popitem(last=False)
        return since < sent_at
