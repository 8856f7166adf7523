"""How a request gets its place in a session, and where it waits until it can have one.

Pure: time is an argument. Which session it is, `sessions.py` decides; when the frame goes out, `dispatch.py`.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, count

from broker.choice import Undecided
from broker.dispatch import Dispatch
from broker.endings import Endings
from broker.fleet import Fleet
from broker.inquiries import Inquiries, subject_of, subject_told
from broker.jobs import Job, Picture, Request, Session
from broker.lobby import Lobby
from broker.outbox import Outbox
from broker.requests import OpenRequests
from broker.serials import Serials
from broker.sessions import SessionFull, Sessions
from broker.terms import Terms
from broker.waiting_room import WaitingRoom
from wire.errors import Busy, PoseError
from wire.messages import Frame, Recalled
from wire.settings import Settings


class Intake:
    """The requests that have no place yet: in the lobby, the waiting room, or until a worker has told."""

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        *,
        serials: Serials,
        fleet: Fleet,
        sessions: Sessions,
        requests: OpenRequests,
        endings: Endings,
        dispatch: Dispatch,
    ) -> None:
        self._counters = outbox.counters
        self._sessions = sessions
        self._requests = requests
        self._endings = endings
        self._dispatch = dispatch
        self._lobby = Lobby(max_session_frames=settings.max_session_frames)
        self._waiting_room = WaitingRoom()
        self._inquiries = Inquiries(fleet, outbox)
        self._terms = Terms(serials, max_subjects=settings.max_sessions)
        self._is_one_of_several = len(settings.broker_addresses()) > 1
        self._arrivals = count()

    def __len__(self) -> int:
        return len(self._lobby) + len(self._waiting_room) + len(self._inquiries)

    def __iter__(self) -> Iterator[Request]:
        return chain(self._lobby, self._waiting_room, self._inquiries)

    @property
    def held_bytes(self) -> int:
        """Of all pictures that wait for a place."""
        return self._lobby.held_bytes + self._waiting_room.held_bytes + self._inquiries.held_bytes

    @property
    def knows_the_sessions(self) -> bool:
        """Whether a worker has told which there are."""
        return not self._lobby.is_open

    def take_in(self, client: bytes, frame: Frame, picture: Picture, *, now: float) -> None:
        """Open a request, and give it its place if that is clear. Raises `Busy`."""
        if self._terms.is_over(frame):
            self._send_back([client], frame)
            return
        if self._lobby.is_open:
            self._lobby.check_room(frame.session_id)
            self._lobby.enter(self._requests.open(client, frame, picture, now=now), picture)
            return
        try:
            request = self._requests.open(client, frame, picture, now=now)
        except Busy:
            self._make_room(frame, picture, now)
            request = self._requests.open(client, frame, picture, now=now)
        self.admit(request, picture, now=now)

    def let_in(self, *, now: float) -> None:
        """It is known which sessions there are: who waits in the lobby gets a place."""
        for request, picture in self._lobby.let_in():
            self.admit(request, picture, now=now)

    def recalled(self, message: Recalled, *, now: float) -> None:
        """A worker tells what is known of a session, or of the videos from one place, that was asked for."""
        waiting = self._inquiries.answered(message)
        subject = subject_told(message)
        if waiting is None or subject is None:
            return
        self._terms.another_had(subject, message.sessions)
        surely_open = []
        for request, picture in waiting:
            if self._terms.is_over(request.frame):
                self._drop_and_send_back(request, picture)
            else:
                surely_open.append((request, picture))
        if not surely_open:
            return  # what is known by now may be outdated when they come again
        self._sessions.learn(message.sessions, now=now)
        seats = [self._seat(request, picture, now) for request, picture in surely_open]
        for session in dict.fromkeys(seats):  # once all have their places: none goes before an earlier one
            if session is not None:
                self._dispatch.consider(session, now=now)

    def worker_joined(self) -> None:
        """Ask what nobody could be asked before."""
        self._inquiries.worker_joined()

    def worker_lost(self, address: bytes) -> None:
        """Ask another worker what this one was asked."""
        self._inquiries.worker_lost(address)

    def next_due(self) -> float:
        """When `look` has something to do, seconds."""
        return self._waiting_room.next_due()

    def look(self, *, now: float) -> None:
        """Place those of whom more may be known by now."""
        for request, picture in self._waiting_room.due(now=now):
            self.admit(request, picture, now=now)

    def admit(self, request: Request, picture: Picture, *, now: float) -> None:
        """Give a request its place in a session, turn it away, or let it wait until more is known."""
        if self._terms.is_over(request.frame):
            self._drop_and_send_back(request, picture)
        elif self._is_one_of_several and self._sessions.is_stranger(request.frame):
            self._inquiries.enter(subject_of(request.frame), request, picture)
        elif session := self._seat(request, picture, now):
            self._dispatch.consider(session, now=now)

    def _seat(self, request: Request, picture: Picture, now: float) -> Session | None:
        """The session in which the request has got a place as a new frame."""
        try:
            session, number = self._place(request, picture, now)
        except Undecided as doubt:
            self._waiting_room.enter(request, picture, until=doubt.until)
            return None
        except PoseError as refusal:
            self._requests.drop(request, picture)
            self._requests.turn_away(request.clients, request.frame, refusal, now=now)
            return None
        self._counters["accepted"] += 1
        if job := session.twin(number, request):
            self._counters["duplicates"] += 1
            self._requests.join(request, job)
            self._requests.let_go(picture)
            return None
        job = Job(
            frame=self._requests.as_job(request.frame),
            frame_number=number,
            session=session,
            video=session.video,
            picture=picture,
            admitted_at=now,
            arrival=next(self._arrivals),
        )
        self._requests.join(request, job)
        session.add(job)
        return session

    def place_again(self, job: Job, *, now: float, is_out: bool = False) -> None:
        """Another broker has the job's session: its requests get a place in what is learnt anew.

        is_out: a worker still has the frame, and nobody waits for what it says of it.
        """
        job.session.close(job)
        if not is_out:
            self._requests.landed(job)
        if (picture := job.picture) is None:
            return
        requests, job.picture = list(job.requests), None
        for request in requests:
            self._requests.part(request, picture)
            self._counters["accepted"] -= 1
            self.admit(request, picture, now=now)

    def refuse(self, request: Request, error: PoseError, *, counter: str) -> None:
        """End a request that has no place yet."""
        self._end(request, self._take_out(request), error, counter)

    def _place(self, request: Request, picture: Picture, now: float) -> tuple[Session, int]:
        try:
            return self._sessions.place(request.frame, digest=picture.digest, now=now)
        except SessionFull as full:
            waiting = full.session.waiting_for(full.frame_number)
            if not waiting:
                raise
            self._endings.displace(waiting[0], now=now)
            return self._sessions.place(request.frame, digest=picture.digest, now=now)

    def _make_room(self, frame: Frame, picture: Picture, now: float) -> None:
        """At a bound, frames that wait for this one give it their room, the last first.

        They would hold it until nobody waits for this one any more. So a session goes on in its order however
        many frames its client has under way, and the bounds hold.
        """
        for session in self._sessions.that_may_take(frame, digest=picture.digest):
            waiting = session.waiting_for(frame.frame_number)
            for many in range(1, len(waiting) + 1):
                if self._requests.has_room(picture, without=waiting[:many]):
                    for job in waiting[:many]:
                        self._endings.displace(job, now=now)
                    return

    def _take_out(self, request: Request) -> Picture:
        if request in self._waiting_room:
            self._sessions.give_up(request.frame, digest=request.digest)
            return self._waiting_room.leave(request)
        if request in self._inquiries:
            return self._inquiries.leave(request)
        return self._lobby.leave(request)

    def _drop_and_send_back(self, request: Request, picture: Picture) -> None:
        self._requests.drop(request, picture)
        self._send_back(request.clients, request.frame)

    def _send_back(self, clients: Sequence[bytes], frame: Frame) -> None:
        self._requests.send_back(clients, frame, term=self._terms.current)

    def _end(self, request: Request, picture: Picture, error: PoseError, counter: str) -> None:
        self._counters["accepted"] += 1
        self._requests.refuse(request, error, counter=counter)
        self._requests.let_go(picture)
