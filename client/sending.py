"""The frames of one video through the broker: few under way at a time, answers in order.

A frame that fails by its own fault (it ended its workers, say) gets its failure for an answer. Where the
service fails, `Interrupted` says so, and nothing after the last answer counts.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from client.pictures import Picture
from client.shelf import Shelf, Slot
from wire.connection import Answer, Connection
from wire.errors import Busy, DeadlineExceeded, ImageTooLarge, ModelNotLoaded, PictureGone, PoseError
from wire.messages import Frame, Options, Source

#: How often a wait for an answer looks whether it still makes sense.
_LOOK_S = 0.2

#: The service's own failures, after which a video is gone on with later.
_OF_THE_SERVICE = (Busy, DeadlineExceeded, ModelNotLoaded)


class Interrupted(Exception):
    """The service could not answer; the video can be gone on with after `retry_after_s`."""

    def __init__(self, reason: PoseError) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after_s = reason.retry_after_s


class OrderLost(Exception):
    """A frame could not be read, and one behind it was folded: the session is of no use any more."""

    def __init__(self, reason: PoseError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Outcome(NamedTuple):
    """What came of one frame, whose bytes are let go of."""

    picture: Picture
    answer: Answer | PoseError


class Question(NamedTuple):
    """What each frame of one video asks for."""

    session_id: str
    client: str  # who asks, for the broker
    frames_per_second: float | None = None
    meshes: bool = False  # of everyone; else of nobody
    deadline_s: float = 110.0

    def frame(self, picture: Picture) -> Frame:
        """The request of one picture."""
        return Frame(
            request_id=uuid.uuid4().bytes,
            frame_number=picture.number,
            deadline_ms=round(self.deadline_s * 1e3),
            session_id=self.session_id,
            source=Source(client=self.client, width_px=picture.width_px, height_px=picture.height_px),
            options=Options(full_people=self.meshes, meshes=self.meshes, joined=True),
            timestamp_ms=None if picture.time_s is None else picture.time_s * 1e3,
            fps=self.frames_per_second,
        )


class Traffic(Protocol):
    """Who decides how much of a video may be under way; told what is."""

    def has_room(self, frames: int, size_bytes: int) -> bool:
        """Whether one more may join what the video has under way, which then is so many frames and bytes."""

    def wait_for_turn(self, go_on: Callable[[], None]) -> None:
        """Wait, while the video has nothing under way, until it may send; `go_on` is called meanwhile."""

    def sent(self) -> None:
        """One more frame is under way."""

    def came_back(self) -> None:
        """One less; from any thread."""

    def busy_for_s(self, error: Busy) -> float | None:
        """The broker took no more: after which time to send that frame again; None: to be interrupted."""


def submit(broker: Connection, question: Question, picture: Picture) -> "Future[Answer]":
    """Send one picture; one that is larger than what may travel fails as `ImageTooLarge`."""
    return _submit(broker, question.frame(picture), picture.encoded)


def _submit(broker: Connection, frame: Frame, payload: bytes) -> "Future[Answer]":
    try:
        return broker.submit(frame, payload)
    except PoseError as error:
        refused: Future[Answer] = Future()
        refused.set_exception(ImageTooLarge(error.message))
        return refused


@dataclass(slots=True, eq=False)
class Sent:
    """A frame under way, without its bytes, which are in `payload`, or in the slot that it refers to."""

    picture: Picture
    size_bytes: int
    payload: bytes
    slot: Slot | None
    epoch: int | None  # who had the session when it was sent, as far as was known


class Settled(Protocol):
    """A future that is done."""

    def exception(self) -> BaseException | None:
        """What it raises."""


class Way:
    """Takes the frames of one session to the broker: lent where the workers can read our memory, or as bytes.

    Memory is used again once the answer has come from the owner that the session had already when the frame
    was sent. A former owner may still be reading, so where the session has moved the memory is let go of.
    """

    def __init__(self, broker: Connection, question: Question, shelf: Shelf | None) -> None:
        """shelf: None where the workers cannot read from it."""
        self._broker = broker
        self._question = question
        self._shelf = shelf
        self._epoch: int | None = None

    def pack(self, picture: Picture) -> Sent:
        """The picture's bytes go where they stay until the answer is there; `submit` sends it."""
        slot = self._shelf.put(picture.parts) if self._shelf else None
        payload = slot.reference() if slot else picture.encoded
        return Sent(picture.sent(), picture.size_bytes, payload, slot, self._epoch)

    def submit(self, sent: Sent) -> "Future[Answer]":
        """Send it, once more if need be."""
        return _submit(self._broker, self._question.frame(sent.picture), sent.payload)

    def unpack(self, sent: Sent) -> None:
        """What was lent could not be read: it goes as bytes next time."""
        if sent.slot and self._shelf:
            sent.payload = sent.slot.picture()
            self._shelf.refused(sent.slot)
            sent.slot = None

    def unpack_all(self, under_way: Iterable[tuple[Sent, Settled]], error: PictureGone) -> list[int]:
        """Where the frames to send again, as bytes, stand among those under way; the first failed by `error`.

        They are settled. Raises `OrderLost` if one that came later was folded.
        """
        lost = []
        for at, (sent, settled) in enumerate(under_way):
            failure = settled.exception()
            if failure is None:
                raise OrderLost(error)
            if isinstance(failure, PictureGone | Busy):
                self.unpack(sent)
                lost.append(at)
        return lost

    def over(self, sent: Sent, answer: Answer | PoseError | None = None) -> None:
        """Its answer has come; None: nobody waits for it any more."""
        epoch = answer.result.epoch if isinstance(answer, Answer) else None
        if sent.slot and self._shelf:
            self._shelf.take_back(sent.slot, read=epoch is not None and epoch == sent.epoch)
            sent.slot = None
        self._epoch = epoch or self._epoch

    def give_up(self, under_way: Iterable[Sent]) -> None:
        """Nobody waits for these. The last goes first, so that no worker finds one and not the one before."""
        for sent in reversed(list(under_way)):
            self.over(sent)


class Sending:
    """Frames of one session, over a connection that others use as well."""

    def __init__(
        self,
        broker: Connection,
        traffic: Traffic,
        question: Question,
        *,
        go_on: Callable[[], None],
        shelf: Shelf | None = None,
    ) -> None:
        """`go_on` is called again and again; it raises where the video is not to go on.

        shelf: from which the workers can read; None: there is none.
        """
        self._way = Way(broker, question, shelf)
        self._traffic = traffic
        self._go_on = go_on
        self._under_way: deque[tuple[Sent, Future[Answer]]] = deque()

    def outcomes(self, pictures: Iterable[Picture]) -> Iterator[Outcome]:
        """What comes of each frame, in their order. Raises `Interrupted`, `OrderLost`.

        A `PoseError` that keeps more pictures from coming is raised once those before it have their answers.
        """
        try:
            yield from self._outcomes(iter(pictures))
        finally:
            self._way.give_up(sent for sent, _ in self._under_way)

    def _outcomes(self, coming: Iterator[Picture]) -> Iterator[Outcome]:
        failure: PoseError | None = None
        while True:
            try:
                picture = next(coming)
            except StopIteration:
                break
            except PoseError as error:
                failure = error
                break
            while self._under_way and not self._has_room(picture):
                yield self._next()
            if not self._under_way:
                self._traffic.wait_for_turn(self._go_on)
            sent = self._way.pack(picture)
            self._under_way.append((sent, self._send(sent)))
        while self._under_way:
            yield self._next()
        if failure:
            raise failure

    def _has_room(self, picture: Picture) -> bool:
        held_bytes = sum(sent.size_bytes for sent, _ in self._under_way)
        return self._traffic.has_room(len(self._under_way) + 1, held_bytes + picture.size_bytes)

    def _send(self, sent: Sent) -> "Future[Answer]":
        self._traffic.sent()
        future = self._way.submit(sent)
        future.add_done_callback(lambda _: self._traffic.came_back())
        return future

    def _next(self) -> Outcome:
        sent, future = self._under_way[0]
        while True:
            self._go_on()
            try:
                answer: Answer | PoseError = future.result(timeout=_LOOK_S)
                break
            except TimeoutError:
                continue
            except PictureGone as error:
                self._send_as_bytes(error)
                sent, future = self._under_way[0]
            except _OF_THE_SERVICE as error:
                self._wait_until_taken(error)
                future = self._send_again(sent)
            except PoseError as error:
                answer = error
                break
        self._under_way.popleft()
        self._way.over(sent, answer)
        return Outcome(sent.picture, answer)

    def _send_as_bytes(self, error: PictureGone) -> None:
        """Send what could not be read again, in its order: nothing may be folded before it."""
        for _, future in self._under_way:
            while not future.done():
                self._go_on()
                wait([future], timeout=_LOOK_S)
        for at in self._way.unpack_all(self._under_way, error):
            sent, _ = self._under_way[at]
            self._under_way[at] = (sent, self._send(sent))

    def _send_again(self, sent: Sent) -> "Future[Answer]":
        future = self._send(sent)
        self._under_way[0] = (sent, future)
        return future

    def _wait_until_taken(self, error: PoseError) -> None:
        wait_s = self._traffic.busy_for_s(error) if isinstance(error, Busy) else None
        if wait_s is None:
            raise Interrupted(error) from error
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            self._go_on()
            time.sleep(min(left_s, _LOOK_S))
