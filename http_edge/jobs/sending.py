"""The frames of one video through the broker: few under way at a time, answers in order, live ones first.

A frame that fails by its own fault (it ended its workers, say) gets its failure for an answer. Where the
service fails, `Interrupted` says so, and nothing after the last answer counts.
"""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

from wire.connection import Answer, Connection
from wire.errors import Busy, DeadlineExceeded, ImageTooLarge, ModelNotLoaded, PoseError
from wire.messages import Frame, Options, Source

log = logging.getLogger(__name__)

#: A frame that waits has nobody who waits for it, so it may wait until the workers are back.
_FRAME_DEADLINE_S = 3600.0

#: How often a wait for an answer looks whether it still makes sense.
_LOOK_S = 0.2

#: How long a frame lets others go first: a job beside constant traffic still goes on.
_PATIENCE_S = 0.25
_PATIENCE_STEP_S = 0.02
_STATUS_TIMEOUT_S = 0.2

#: The service's own failures, after which a video is gone on with later.
_OF_THE_SERVICE = (Busy, DeadlineExceeded, ModelNotLoaded)


class Interrupted(Exception):
    """The service could not answer; the video can be gone on with after `retry_after_s`."""

    def __init__(self, reason: PoseError) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after_s = reason.retry_after_s


class Picture(NamedTuple):
    """A frame as it travels."""

    number: int
    time_s: float
    encoded: bytes
    width_px: int
    height_px: int


class Outcome(NamedTuple):
    """What came of one frame."""

    picture: Picture
    answer: Answer | PoseError


class Traffic:
    """What the jobs of this program have under way, and whether others have something; for any thread."""

    def __init__(self, broker: Connection) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._own = 0

    def sent(self) -> None:
        """One more frame of ours is under way."""
        with self._lock:
            self._own += 1

    def came_back(self) -> None:
        """One less."""
        with self._lock:
            self._own -= 1

    def others(self) -> bool:
        """Whether the broker has frames that are not ours; no, where it does not say."""
        try:
            status = self._broker.status(timeout_s=_STATUS_TIMEOUT_S)
        except PoseError:
            return False
        return status.queued_frames + status.in_flight > self._own


class Sending:
    """Frames of one session, over a connection that others use as well."""

    def __init__(
        self,
        broker: Connection,
        traffic: Traffic,
        *,
        session_id: str,
        frames_per_second: float | None,
        meshes: bool,
        window_frames: int,
        window_bytes: int,
        go_on: Callable[[], None],
    ) -> None:
        """`go_on` is called again and again; it raises where the job is not to go on."""
        self._broker = broker
        self._traffic = traffic
        self._session_id = session_id
        self._frames_per_second = frames_per_second
        self._meshes = meshes
        self._window_frames = window_frames
        self._window_bytes = window_bytes
        self._go_on = go_on
        self._under_way: deque[tuple[Picture, Future[Answer]]] = deque()

    def outcomes(self, pictures: Iterable[Picture]) -> Iterator[Outcome]:
        """What comes of each frame, in their order. Raises `Interrupted`."""
        for picture in pictures:
            while self._under_way and (self._is_full(picture) or self._traffic.others()):
                yield self._next()
            self._let_others_go_first()
            self._send(picture)
        while self._under_way:
            yield self._next()

    def _is_full(self, picture: Picture) -> bool:
        held_bytes = sum(len(sent.encoded) for sent, _ in self._under_way)
        return (
            len(self._under_way) >= self._window_frames
            or held_bytes + len(picture.encoded) > self._window_bytes
        )

    def _let_others_go_first(self) -> None:
        until = time.monotonic() + _PATIENCE_S
        while not self._under_way and time.monotonic() < until and self._traffic.others():
            self._go_on()
            time.sleep(_PATIENCE_STEP_S)

    def _send(self, picture: Picture) -> None:
        frame = Frame(
            request_id=uuid.uuid4().bytes,
            frame_number=picture.number,
            deadline_ms=round(_FRAME_DEADLINE_S * 1e3),
            session_id=self._session_id,
            source=Source(client="jobs", width_px=picture.width_px, height_px=picture.height_px),
            options=Options(full_people=self._meshes),
            timestamp_ms=picture.time_s * 1e3,
            fps=self._frames_per_second,
        )
        try:
            future = self._broker.submit(frame, picture.encoded)
        except PoseError as error:  # larger than what may travel
            future = Future()
            future.set_exception(ImageTooLarge(error.message))
        else:
            self._traffic.sent()
            future.add_done_callback(lambda _: self._traffic.came_back())
        self._under_way.append((picture, future))

    def _next(self) -> Outcome:
        picture, future = self._under_way[0]
        while True:
            self._go_on()
            try:
                answer: Answer | PoseError = future.result(timeout=_LOOK_S)
                break
            except TimeoutError:
                continue
            except _OF_THE_SERVICE as error:
                raise Interrupted(error) from error
            except PoseError as error:
                answer = error
                break
        self._under_way.popleft()
        return Outcome(picture, answer)
