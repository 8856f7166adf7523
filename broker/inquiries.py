"""Sessions that another broker may have served: workers are asked what the store knows of them.

Only where there are several brokers. A frame of a session that this one sees for the first time waits here
for the answer, in its order. Pure: it knows no sockets and no clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from broker.fleet import Fleet
from broker.jobs import Picture, Request
from broker.outbox import Outbox
from wire.messages import Frame, Origin, Recall, Recalled

#: A session, or where the videos of callers come from who name none.
Subject = str | Origin


@dataclass(slots=True, eq=False)
class _Inquiry:
    subject: Subject
    asked: bytes | None = None  # address of the worker; None: there was none
    waiting: dict[bytes, tuple[Request, Picture]] = field(default_factory=dict)


def subject_of(frame: Frame) -> Subject:
    """What has to be known before the frame can be placed."""
    return frame.source.origin if frame.session_id is None else frame.session_id


def subject_told(message: Recalled) -> Subject | None:
    """What a worker tells about; None: of nothing."""
    return message.origin if message.session_id is None else message.session_id


class Inquiries:
    """What was asked of the workers and is not answered yet, and the requests that wait for it."""

    def __init__(self, fleet: Fleet, outbox: Outbox) -> None:
        self._fleet = fleet
        self._outbox = outbox
        self._open: dict[Subject, _Inquiry] = {}
        self._by_request: dict[bytes, _Inquiry] = {}

    def __len__(self) -> int:
        return len(self._by_request)

    def __contains__(self, request: Request) -> bool:
        return request.frame.request_id in self._by_request

    def __iter__(self) -> Iterator[Request]:
        return (request for inquiry in list(self._open.values()) for request, _ in inquiry.waiting.values())

    @property
    def held_bytes(self) -> int:
        """Of all pictures that wait."""
        waiting = (pair for inquiry in self._open.values() for pair in inquiry.waiting.values())
        return sum(picture.size_bytes for _, picture in waiting)

    def is_open(self, subject: Subject) -> bool:
        """Whether the workers were asked about it, and have not answered."""
        return subject in self._open

    def enter(self, subject: Subject, request: Request, picture: Picture) -> None:
        """Wait until it is known what there is of the subject; ask, if nobody has."""
        inquiry = self._open.get(subject)
        if inquiry is None:
            inquiry = self._open[subject] = _Inquiry(subject)
            self._ask(inquiry)
        inquiry.waiting[request.frame.request_id] = (request, picture)
        self._by_request[request.frame.request_id] = inquiry

    def leave(self, request: Request) -> Picture:
        """Stop waiting; the picture that was held meanwhile."""
        inquiry = self._by_request.pop(request.frame.request_id)
        return inquiry.waiting.pop(request.frame.request_id)[1]

    def answered(self, message: Recalled) -> list[tuple[Request, Picture]] | None:
        """A worker told what there is: who waited for it, first come first; None: nobody asked."""
        subject = subject_told(message)
        inquiry = None if subject is None else self._open.pop(subject, None)
        if inquiry is None:
            return None
        for request_id in inquiry.waiting:
            del self._by_request[request_id]
        return list(inquiry.waiting.values())

    def worker_joined(self) -> None:
        """Ask what nobody could be asked before."""
        self._ask_again(None)

    def worker_lost(self, address: bytes) -> None:
        """Ask another worker what this one was asked."""
        self._ask_again(address)

    def _ask_again(self, asked: bytes | None) -> None:
        for inquiry in self._open.values():
            if inquiry.asked == asked:
                self._ask(inquiry)

    def _ask(self, inquiry: _Inquiry) -> None:
        worker = self._fleet.least_loaded()
        inquiry.asked = None if worker is None else worker.address
        if worker is None:
            return
        if isinstance(inquiry.subject, str):
            question = Recall(session_id=inquiry.subject)
        else:
            question = Recall(origin=inquiry.subject)
        self._outbox.to_worker(worker.address, question)
