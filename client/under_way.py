"""What is under way of one video: what to send, what to send again, and what comes next, in its order.

No sockets and no clock. `sending.py` and `tracking.py` carry requests to the broker and tell what came of
them, for threads and for asyncio: that both do the same is decided here.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from client.pictures import Picture
from wire.errors import Busy, DeadlineExceeded, ModelNotLoaded, PictureGone, PoseError
from wire.exchange import Answer
from wire.messages import Frame, Options, Source
from wire.requests import new_request_id
from wire.shelf import Shelf, Slot

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
            request_id=new_request_id(),
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

    def came_back(self) -> None:
        """One more answer has come, or is not waited for."""

    def busy_for_s(self, error: Busy) -> float | None:
        """The broker took no more: after which time to send that frame again; None: to be interrupted."""


class Request(NamedTuple):
    """To be sent now; what comes of it goes to `UnderWay.settle`."""

    frame: Frame
    payload: bytes


@dataclass(slots=True, eq=False)
class _Sent:
    """A frame under way, without its bytes, which are in `payload`, or in the slot that it refers to."""

    picture: Picture
    size_bytes: int
    payload: bytes
    slot: Slot | None
    epoch: int | None  # who had the session when it was packed, as far as was known
    due_at: float | None = 0.0  # when it is to be sent, seconds; None: it is
    came: Answer | PoseError | None = None


class UnderWay:
    """The frames of one session between their source and whoever wants the answers. `now` is in seconds.

    Pictures are lent where the workers can read our memory, else their bytes are sent. Memory is used again
    once the answer has come from the owner that the session had already when the frame was packed. A former
    owner may still be reading, so where the session has moved the memory is let go of.
    """

    def __init__(self, question: Question, traffic: Traffic, shelf: Shelf | None) -> None:
        """shelf: None where the workers cannot read from it."""
        self._question = question
        self._traffic = traffic
        self._shelf = shelf
        self._frames: deque[_Sent] = deque()
        self._unsettled: dict[bytes, _Sent] = {}  # by request id
        self._held_bytes = 0
        self._epoch: int | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def has_room(self, picture: Picture) -> bool:
        """Whether this one may be added now."""
        return self._traffic.has_room(len(self._frames) + 1, self._held_bytes + picture.size_bytes)

    def add(self, picture: Picture) -> None:
        """Put its bytes where they stay until the answer is there; it is one of the next `requests`."""
        slot = self._shelf.put(picture.parts) if self._shelf else None
        payload = slot.reference() if slot else picture.encoded
        self._frames.append(_Sent(picture.sent(), picture.size_bytes, payload, slot, self._epoch))
        self._held_bytes += picture.size_bytes

    def requests(self, *, now: float) -> list[Request]:
        """What is to be sent, in this order."""
        due = [sent for sent in self._frames if sent.due_at is not None and sent.due_at <= now]
        return [self._request(sent) for sent in due]

    def wait_s(self, *, now: float) -> float | None:
        """After which time there are more requests, whatever comes until then; None: never."""
        due = [sent.due_at for sent in self._frames if sent.due_at is not None]
        return max(0.0, min(due) - now) if due else None

    def settle(self, request_id: bytes, came: Answer | PoseError) -> None:
        """What came of a request; of one that was given up it does not matter."""
        sent = self._unsettled.pop(request_id, None)
        if sent is not None:
            sent.came = came
            self._traffic.came_back()

    def next(self, *, now: float) -> Outcome | None:
        """What came of the first frame, which is under way no more; None: nothing yet, or it goes once more.

        Raises `Interrupted`, `OrderLost`.
        """
        first = self._frames[0]
        match first.came:
            case None:
                return None
            case PictureGone():
                if not self._unsettled:
                    self._send_as_bytes(first.came)
                return None
            case Busy() if (wait_s := self._traffic.busy_for_s(first.came)) is not None:
                self._send_again(first, now + wait_s)
                return None
            case error if isinstance(error, _OF_THE_SERVICE):
                raise Interrupted(error)
        self._frames.popleft()
        self._held_bytes -= first.size_bytes
        self._over(first)
        return Outcome(first.picture, first.came)

    def give_up(self) -> None:
        """Nobody waits any more. The last goes first, so that no worker finds one and not the one before."""
        while self._frames:
            self._over(self._frames.pop())
        while self._unsettled:
            self._unsettled.popitem()
            self._traffic.came_back()

    def _request(self, sent: _Sent) -> Request:
        frame = self._question.frame(sent.picture)
        sent.due_at = None
        self._unsettled[frame.request_id] = sent
        return Request(frame, sent.payload)

    def _send_again(self, sent: _Sent, due_at: float) -> None:
        sent.came, sent.due_at = None, due_at

    def _send_as_bytes(self, error: PictureGone) -> None:
        """Send what could not be read again, in its order: nothing may be folded before it."""
        if any(isinstance(sent.came, Answer) for sent in self._frames):
            raise OrderLost(error)
        for sent in self._frames:
            if isinstance(sent.came, PictureGone | Busy):
                self._unpack(sent)
                self._send_again(sent, 0.0)

    def _unpack(self, sent: _Sent) -> None:
        if sent.slot and self._shelf:
            sent.payload = sent.slot.picture()
            self._shelf.refused(sent.slot)
            sent.slot = None

    def _over(self, sent: _Sent) -> None:
        """Its answer has come, or nobody waits for it any more."""
        epoch = sent.came.result.epoch if isinstance(sent.came, Answer) else None
        if sent.slot and self._shelf:
            self._shelf.take_back(sent.slot, read=epoch is not None and epoch == sent.epoch)
            sent.slot = None
        self._epoch = epoch or self._epoch
