"""Open requests: who waits for an answer and until when, within bounds.

Pure: time is an argument. Each request that is opened is closed once, by `answer` or `refuse`.
"""

import hashlib
import heapq
import logging
from collections.abc import Iterator, Sequence
from itertools import count

import msgspec

from broker.jobs import Job, Picture, Request
from broker.outbox import Outbox
from wire.errors import Busy, PoseError, ProtocolError, ThumbnailWanted
from wire.messages import Failure, Frame, Result
from wire.settings import Settings

#: Bounds of the hint in `Busy`, seconds.
_RETRY_AFTER_S = (0.1, 10.0)

#: Overload is one event to an operator, however many requests it refuses.
_BUSY_NOTED_EVERY_S = 10.0

#: Weight of the newest interval in the running mean time between answers.
_PACE_WEIGHT = 0.1

#: Timers of closed requests that may stay before they are cleared away.
_STALE_TIMERS = 64


class OpenRequests:
    """The requests without an answer, and the pictures that are held for them."""

    def __init__(self, settings: Settings, outbox: Outbox, *, now: float) -> None:
        self._settings = settings
        self._outbox = outbox
        self._by_id: dict[bytes, Request] = {}
        self._travelling: set[bytes] = set()  # ids under which frames are with workers, open or not
        self._held_bytes = 0
        self._deadlines: list[tuple[float, int, Request]] = []
        self._serial = count()
        self._pace_s = 0.1  # mean time between answers
        self._answered_at = now
        self._busy_noted_until = now

    def recognise(self, client: bytes, frame: Frame, *, digest: int) -> bool:
        """Whether this is an open request that its client sent again, perhaps over a new connection.

        Raises `ProtocolError` if its id is another's.
        """
        request = self._by_id.get(frame.request_id)
        if request is None:
            return False
        if (request.digest, request.frame.frame_number) != (digest, frame.frame_number):
            raise ProtocolError("request_id names another open request")
        if client not in request.clients:
            request.clients.append(client)
        if (frame.term or 0) > (request.frame.term or 0):  # of an earlier one it lay unread since then
            request.frame = frame
        return True

    def has_room(self, picture: Picture, *, without: Sequence[Job] = ()) -> bool:
        """Whether one more request may be opened, if these frames went."""
        frames, held_bytes = len(self._by_id), self._held_bytes
        for job in without:
            frames -= len(job.requests)
            held_bytes -= job.picture.size_bytes if job.picture else 0
        return (
            frames < self._settings.max_queue_frames
            and held_bytes + picture.size_bytes <= self._settings.max_queue_bytes
        )

    def open(self, client: bytes, frame: Frame, picture: Picture, *, now: float) -> Request:
        """Take a request and its picture in. Raises `Busy`."""
        if not self.has_room(picture):
            raise Busy(f"{len(self._by_id)} frames with {self._held_bytes} bytes are waiting")
        deadline = now + frame.deadline_ms / 1000
        request = Request([client], frame, picture.digest, arrived_at=now, deadline=deadline)
        self._by_id[frame.request_id] = request
        self._held_bytes += picture.size_bytes
        heapq.heappush(self._deadlines, (deadline, next(self._serial), request))
        return request

    def as_job(self, frame: Frame) -> Frame:
        """The frame, under an id that none has which a worker may still answer.

        It has another where it was asked once before, and whoever asked is answered anew.
        """
        while frame.request_id in self._travelling:
            other = hashlib.blake2b(frame.request_id, digest_size=len(frame.request_id)).digest()
            frame = msgspec.structs.replace(frame, request_id=other)
        return frame

    def join(self, request: Request, job: Job) -> None:
        """The request waits for this job's answer from now on."""
        request.job = job
        job.requests.append(request)
        job.session.outstanding += 1
        self._travelling.add(job.frame.request_id)

    def part(self, request: Request, picture: Picture) -> None:
        """The request is to be placed anew; its picture, which its job may share, is held for it alone."""
        assert request.job is not None
        if len(request.job.requests) > 1:
            self._held_bytes += picture.size_bytes
        request.job.requests.remove(request)
        request.job.session.outstanding -= 1
        request.job = None

    def answer(self, request: Request, message: Result | Failure, payload: Sequence[object]) -> None:
        """Pass a worker's answer on, under the id and the number that the client gave."""
        self._outbox.counters["answered" if isinstance(message, Result) else "failed"] += 1
        addressed = _addressed(message, request.frame)
        for client in request.clients:
            self._outbox.to_client(client, addressed, payload)
        self._close(request)

    def refuse(self, request: Request, error: PoseError, *, counter: str | None = None) -> None:
        """Answer a request with a failure of ours."""
        if counter:
            self._outbox.counters[counter] += 1
        session_id = request.job.session.session_id if request.job else request.frame.session_id
        for client in request.clients:
            self._outbox.refuse(client, request.frame.request_id, error, session_id=session_id)
        self._close(request)

    def turn_away(self, clients: Sequence[bytes], frame: Frame, error: PoseError, *, now: float) -> None:
        """Refuse what was never taken in; who meets a bound is told when to try again."""
        if isinstance(error, Busy):
            self._outbox.counters["busy"] += 1
            self._tell_when(error, now)
        self._outbox.counters["thumbnails_wanted"] += isinstance(error, ThumbnailWanted)
        for client in clients:
            self._outbox.refuse(client, frame.request_id, error, session_id=frame.session_id)

    def send_back(self, clients: Sequence[bytes], frame: Frame, *, term: int) -> None:
        """Ask for a request anew, under this term: what came of it is not known here."""
        self._outbox.counters["sent_back"] += 1
        text = "another broker has had the session, send it again under this term"
        again = Failure(
            request_id=frame.request_id, code=Busy.code, message=text, retry_after_s=0.0, term=term
        )
        for client in clients:
            self._outbox.to_client(client, again)

    def displace(self, job: Job, *, now: float) -> None:
        """All who wait for this frame are told to come again: its room goes to an earlier one."""
        busy = Busy("an earlier frame of its session has its room")
        self._tell_when(busy, now)
        for request in list(job.requests):
            self.refuse(request, busy, counter="displaced")

    def drop(self, request: Request, picture: Picture) -> None:
        """Close a request that is turned away after all."""
        self._close(request)
        self.let_go(picture)

    def let_go(self, picture: Picture) -> None:
        """A picture is not held any longer."""
        self._held_bytes -= picture.size_bytes

    def landed(self, job: Job) -> None:
        """No worker will answer this job any more: its id is free again."""
        self._travelling.discard(job.frame.request_id)

    def measure_pace(self, *, now: float) -> None:
        """A worker answered."""
        self._pace_s += _PACE_WEIGHT * (now - self._answered_at - self._pace_s)
        self._answered_at = now

    def next_deadline(self) -> float:
        """Seconds."""
        return self._deadlines[0][0] if self._deadlines else float("inf")

    def overdue(self, *, now: float) -> Iterator[Request]:
        """The requests whose deadline passed; the caller refuses each."""
        while self._deadlines and self._deadlines[0][0] <= now:
            request = heapq.heappop(self._deadlines)[2]
            if request.open:
                yield request

    def _close(self, request: Request) -> None:
        request.open = False
        del self._by_id[request.frame.request_id]
        if request.job:
            request.job.requests.remove(request)
            request.job.session.outstanding -= 1
        # Closed requests leave their timers behind; without this they would stay until they are due.
        if len(self._deadlines) > 2 * len(self._by_id) + _STALE_TIMERS:
            self._deadlines = [timer for timer in self._deadlines if timer[2].open]
            heapq.heapify(self._deadlines)

    def _tell_when(self, refusal: Busy, now: float) -> None:
        low, high = _RETRY_AFTER_S
        refusal.retry_after_s = round(min(high, max(low, self._pace_s * len(self._by_id))), 1)
        if now >= self._busy_noted_until:
            self._busy_noted_until = now + _BUSY_NOTED_EVERY_S
            text = "busy, requests are refused: %s (%d so far)"
            self._outbox.note(logging.WARNING, text, refusal.message, self._outbox.counters["busy"])


def _addressed(message: Result | Failure, asked: Frame) -> Result | Failure:
    """A worker's answer under the id and the number that were asked; as it is, where it bears them."""
    if isinstance(message, Failure):
        return msgspec.structs.replace(message, request_id=asked.request_id)
    if (message.request_id, message.frame_number) == (asked.request_id, asked.frame_number):
        return message
    return msgspec.structs.replace(message, request_id=asked.request_id, frame_number=asked.frame_number)
