"""What happens when a message comes or time passes: the verbs of the broker.

Pure state: no sockets and no clock. `server.py` tells it what arrived and when (`now`, in
seconds of any steady clock) and sends the actions that it takes back. Payloads pass through
unread.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

from broker import report
from broker.choice import Undecided
from broker.dispatch import Dispatch
from broker.fleet import Fleet
from broker.inquiries import Inquiries, subject_of
from broker.jobs import Job, Picture, Request, Worker
from broker.lobby import Lobby
from broker.outbox import Action, Outbox
from broker.requests import OpenRequests
from broker.serials import Serials
from broker.sessions import Sessions
from broker.streams import Streams
from broker.waiting_room import WaitingRoom
from wire.errors import DeadlineExceeded, Internal, ModelNotLoaded, PoisonFrame, PoseError
from wire.messages import Failure, Frame, Goodbye, LoadFailed, Ready, Recalled, Result, StatusRequest
from wire.settings import Settings

#: How often silence and idleness are looked at, as a part of `heartbeat_s`.
_LOOKS_PER_HEARTBEAT = 4

#: So many workers ended while they held a frame: it was the frame.
_POISON_DEATHS = 2

#: So many ended or fell silent. A worker may be paused, or starved, without its frame's doing, and
#: come back; that this happens twice to one frame must not cost it.
_POISON_LOSSES = 3


class Routing:
    """The broker's state. Every method may queue actions; `take_actions` hands them over.

    No method raises for what a peer sends: what is wrong with a request is answered, by name, and
    what is wrong with a worker's message is counted. `now` must not fall from call to call; who
    calls no method until `wake_at` has to call `tick` then.
    """

    def __init__(
        self, settings: Settings, *, streams: Streams, first_serial: int, serial_step: int = 1, now: float
    ) -> None:
        """Begin without a session: the first `ready` tells which there are, or workers do when asked.

        `streams` places frames without a session id; nobody else uses it. `first_serial` is above
        every epoch and generation of earlier brokers as far as is known; those that are recalled
        raise it. Brokers beside this one draw from other remainders of `serial_step`.
        """
        self._settings = settings
        self._started_at = now
        self._outbox = Outbox()
        self._serials = serials = Serials(first=first_serial, step=serial_step)
        self._fleet = Fleet(settings, self._outbox)
        self._dispatch = Dispatch(self._fleet, self._outbox, serials)
        self._sessions = Sessions(
            settings, self._outbox, streams=streams, serials=serials, dispatch=self._dispatch
        )
        self._requests = OpenRequests(settings, self._outbox, now=now)
        self._lobby = Lobby(max_session_frames=settings.max_session_frames)
        self._waiting_room = WaitingRoom()
        self._inquiries = Inquiries(self._fleet, self._outbox)
        self._is_one_of_several = len(settings.broker_addresses()) > 1
        self._arrivals = count()
        self._next_look = now
        self._load_error: str | None = None
        self._nobody_loads = False

    @property
    def counters(self) -> Counter[str]:
        """The counters of `Status`; the rim counts here what only it sees."""
        return self._outbox.counters

    def take_actions(self) -> list[Action]:
        """What is to be done now, in this order."""
        return self._outbox.take()

    def wake_at(self) -> float:
        """When `tick` has something to do at the latest, seconds."""
        return min(
            self._next_look,
            self._fleet.next_probe(),
            self._requests.next_deadline(),
            self._dispatch.next_gap(),
            self._waiting_room.next_due(),
        )

    def tick(self, *, now: float) -> None:
        """Do what is due: deadlines, gaps that were waited for, silence, idleness."""
        for request in self._requests.overdue(now=now):
            self._expire(request, now)
        for request, picture in self._waiting_room.due(now=now):
            self._admit(request, picture, now)
        self._dispatch.look_at_gaps(now=now)
        self._fleet.probe(now=now)
        if now >= self._next_look:
            self._look(now)

    def _look(self, now: float) -> None:
        late_s = now - self._next_look
        stood_still_s = late_s if late_s > self._settings.heartbeat_s else 0.0
        self._next_look = now + self._settings.heartbeat_s / _LOOKS_PER_HEARTBEAT
        for worker in self._fleet.look(stood_still_s=stood_still_s, now=now):
            self._lose(worker, f"silent for {now - worker.heard_at:.1f} s", now, died=False)
        self._sessions.forget_idle(now=now)

    # ---------------------------------------------------------------- from clients

    def frame(
        self,
        client: bytes,
        frame: Frame,
        payload: Sequence[object],
        *,
        payload_bytes: int,
        digest: int,
        now: float,
    ) -> None:
        """A client sent one picture; `digest` tells it from other pictures.

        The request is answered once, with a `Result` or a `Failure`, now or by a later action.
        """
        picture = Picture(payload, payload_bytes, digest)
        try:
            if self._requests.recognise(client, frame, digest=digest):
                return
            if self._nobody_loads:
                self.counters["accepted"] += 1
                self.counters["not_loaded"] += 1
                raise ModelNotLoaded(self._load_error or "no worker is ready")
            if self._lobby.is_open:
                self._lobby.check_room(frame.session_id)
            request = self._requests.open(client, frame, picture, now=now)
        except PoseError as refusal:
            self._requests.turn_away(client, frame, refusal, now=now)
            return
        if self._lobby.is_open:
            self._lobby.enter(request, picture)
        else:
            self._admit(request, picture, now)

    def status(self, client: bytes, request: StatusRequest, *, now: float) -> None:
        """A client asks how we are."""
        reply = report.status(
            request.request_id,
            self._settings,
            fleet=self._fleet,
            sessions=self._sessions,
            lobby=self._lobby,
            waiting_room=self._waiting_room,
            inquiries=self._inquiries,
            outbox=self._outbox,
            load_error=self._load_error,
            uptime_s=now - self._started_at,
        )
        self._outbox.to_client(client, reply)

    # ---------------------------------------------------------------- from workers

    def ready(self, address: bytes, message: Ready, *, now: float) -> None:
        """A worker can serve, or says so again because it was asked who it is.

        The first one tells which sessions there are; until then no frame is placed.
        """
        self._load_error, self._nobody_loads = None, False
        if self._lobby.is_open:
            # Before anybody can take one: a frame must not go while an earlier one still waits to be placed.
            self._sessions.recall(message.sessions, now=now)
            for request, picture in self._lobby.let_in():
                self._admit(request, picture, now)
        worker = self._fleet.join(address, message, now=now)
        self._inquiries.worker_joined()
        self._dispatch.hand_out(worker, now=now)

    def recalled(self, address: bytes, message: Recalled, *, now: float) -> None:
        """A worker tells what is known of a session, or of the videos from one place, that was asked for."""
        self._fleet.heard(address, now=now)
        waiting = self._inquiries.answered(message)
        if waiting is not None:
            self._sessions.learn(message.sessions, now=now)
            kept = {held.session_id: [seen.frame_number for seen in held.frames] for held in message.sessions}
            for request, picture in waiting:
                numbers = kept.get(request.frame.session_id or "")
                if (
                    request.placed_before
                    and numbers
                    and request.frame.frame_number < max(numbers) - len(numbers)
                ):
                    # Its answer is not kept any more, and to fold it once more would change the session.
                    answered = Internal("another broker has answered this frame")
                    self._end_unplaced(request, picture, answered, "failed")
                else:
                    self._admit(request, picture, now, is_known=True)

    def load_failed(self, message: LoadFailed) -> None:
        """A worker cannot serve; its supervisor starts another, which may."""
        self._outbox.note(logging.ERROR, "worker %s could not load: %s", message.name, message.reason)
        self._load_error = message.reason
        if self._fleet.serves:
            return
        self._nobody_loads = True
        for request in [*self._lobby, *self._waiting_room, *self._inquiries]:
            reason = ModelNotLoaded(message.reason)
            self._end_unplaced(request, self._take_out(request), reason, "not_loaded")
        for session in self._sessions:
            for job in list(session.queue):
                self._fail(job, ModelNotLoaded(message.reason), "not_loaded")

    def heartbeat(self, address: bytes, *, store: Mapping[str, int] | None = None, now: float) -> None:
        """A worker is alive, and may say how its part of the store is."""
        worker = self._fleet.heard(address, now=now)
        if worker is not None and store is not None:
            worker.store = store

    def goodbye(self, address: bytes, *, now: float) -> None:
        """A worker wants to end: it gets no more frames, and its sessions move on."""
        worker = self._fleet.get(address)
        if worker is None:
            self._outbox.to_worker(address, Goodbye())  # no frame will follow to a stranger either
            return
        if not worker.draining:
            text = "worker %s drains %d frames"
            self._outbox.note(logging.INFO, text, worker.ready.name, len(worker.in_flight))
        worker.heard_at, worker.draining = now, True
        self._fleet.tell(worker, Goodbye(), now=now)
        for session in list(worker.sessions):
            self._dispatch.consider(session, now=now)

    def answer(
        self, address: bytes, message: Result | Failure, payload: Sequence[object], *, now: float
    ) -> None:
        """A worker answered a frame, or failed it by name; a former owner's answer is dropped."""
        worker = self._fleet.heard(address, now=now)
        job = worker.in_flight.get(message.request_id) if worker else None
        if worker is None or job is None or job.epoch != message.epoch:
            self.counters["stale_results"] += 1
            return
        del worker.in_flight[message.request_id]
        job.session.in_flight -= 1
        if isinstance(message, Failure) and message.superseded_by:
            self._supersede(job, message.superseded_by, now)
            self._dispatch.hand_out(worker, now=now)
            return
        if isinstance(message, Result):
            job.session.knows(message.epoch)
        if isinstance(message, Result) and message.folded:
            job.video.folded, job.video.folded_under = message.folded, message.epoch
        self._requests.measure_pace(now=now)
        for request in list(job.requests):
            self._requests.answer(request, message, payload)
        self._end(job)
        self._sessions.answered(job.session, now=now)
        self._dispatch.consider(job.session, now=now)
        self._dispatch.hand_out(worker, now=now)

    def connection_closed(self, *, now: float) -> None:
        """Some worker's connection closed: all are spoken to, so that it is found."""
        self._fleet.connection_closed(now=now)

    def worker_unroutable(self, address: bytes, *, now: float) -> None:
        """What was sent to this worker could not be delivered: its connection is gone."""
        if worker := self._fleet.get(address):
            self._lose(worker, "its connection closed", now, died=True)

    def worker_blocked(self, address: bytes, *, now: float) -> None:
        """More waits for this worker than may: it does not read."""
        if worker := self._fleet.get(address):
            self._lose(worker, "it does not read", now, died=False)

    # ------------------------------------------------------------ taking a frame in

    def _admit(self, request: Request, picture: Picture, now: float, *, is_known: bool = False) -> None:
        """Give a request its place in a session, or turn it away; `is_known`: all that can be of it."""
        if self._is_one_of_several and not is_known and self._sessions.is_stranger(request.frame):
            self._inquiries.enter(subject_of(request.frame), request, picture)
            return
        try:
            session, number = self._sessions.place(request.frame, digest=picture.digest, now=now)
        except Undecided as doubt:
            self._waiting_room.enter(request, picture, until=doubt.until)
            return
        except PoseError as refusal:
            self._requests.drop(request, picture)
            self._requests.turn_away(request.client, request.frame, refusal, now=now)
            return
        self.counters["accepted"] += 1
        if job := session.twin(number, request):
            self.counters["duplicates"] += 1
            self._requests.join(request, job)
            self._requests.let_go(picture)
            return
        job = Job(
            frame=request.frame,
            frame_number=number,
            session=session,
            video=session.video,
            picture=picture,
            admitted_at=now,
            arrival=next(self._arrivals),
        )
        self._requests.join(request, job)
        session.add(job)
        self._dispatch.consider(session, now=now)

    def _supersede(self, job: Job, by: int, now: float) -> None:
        """Another broker has the job's session by now: learn it anew, and place its frames again."""
        self._serials.rise_above(by)
        if not self._is_one_of_several:  # one before this one, whose clock was ahead of ours
            if job.epoch == job.session.epoch:  # else somebody has it already, for an earlier frame's sake
                self._dispatch.disown(job.session)
            job.session.knows(by)
            self._take_back(job, now)
            self._dispatch.consider(job.session, now=now)
            return
        jobs = [job, *job.session.queue]
        job.session.queue.clear()
        self._sessions.superseded(job.session, by=by)
        for each in jobs:
            self._place_again(each, now)

    def _place_again(self, job: Job, now: float) -> None:
        job.session.close(job)
        self._requests.landed(job)
        if (picture := job.picture) is None:
            return
        requests, job.picture = list(job.requests), None
        for request in requests:
            self._requests.part(request, picture)
            self.counters["accepted"] -= 1
            self._admit(request, picture, now)

    # ----------------------------------------------------------------- lost workers

    def _lose(self, worker: Worker, reason: str, now: float, *, died: bool) -> None:
        """Give a worker up: its frames go back to the front, its sessions to others."""
        self._fleet.remove(worker)
        self._inquiries.worker_lost(worker.address)
        if worker.draining and not worker.in_flight:
            self._outbox.note(logging.INFO, "worker %s left", worker.ready.name)
        else:
            self.counters["workers_lost"] += 1
            text = "worker %s lost with %d frames and %d sessions: %s"
            held, owned = len(worker.in_flight), len(worker.sessions)
            self._outbox.note(logging.WARNING, text, worker.ready.name, held, owned, reason)
        for job in worker.in_flight.values():
            job.session.in_flight -= 1
            job.deaths += died
            job.silences += not died
            self._take_back(job, now)
        worker.in_flight.clear()
        sessions = sorted(worker.sessions, key=lambda session: session.epoch)
        for session in sessions:
            self._dispatch.disown(session)
        for session in sessions:
            self._dispatch.consider(session, now=now)

    def _take_back(self, job: Job, now: float) -> None:
        if job.session.is_gone:
            self._place_again(job, now)
        elif not job.requests:
            job.session.give_up(job, expired=True)
            self._end(job)
        elif job.deaths >= _POISON_DEATHS or job.losses >= _POISON_LOSSES:
            text = "session %s frame %d: its worker was lost %d times; stepped over"
            self._outbox.note(logging.ERROR, text, job.session.session_id, job.frame_number, job.losses)
            poison = PoisonFrame(f"the worker was lost {job.losses} times with this frame")
            self._fail(job, poison, "poisoned")
        else:
            self.counters["redispatched"] += 1
            job.session.enqueue(job)

    # ------------------------------------------------------------ ends without a result

    def _expire(self, request: Request, now: float) -> None:
        late = DeadlineExceeded(f"no answer within {now - request.arrived_at:.1f} s")
        job = request.job
        if job is None:
            self._end_unplaced(request, self._take_out(request), late, "expired")
            return
        self._requests.refuse(request, late, counter="expired")
        if job.requests:
            return
        if job in job.session.queue:
            self.counters["stepped_over"] += 1
            job.session.give_up(job, expired=True)
            self._end(job)
        else:
            # With its worker: the fold is not stopped, its late answer has nobody to go to.
            self._let_go(job)
        self._dispatch.consider(job.session, now=now)

    def _fail(self, job: Job, error: PoseError, counter: str) -> None:
        for request in list(job.requests):
            self._requests.refuse(request, error, counter=counter)
        job.session.give_up(job, expired=False)
        self._end(job)

    def _take_out(self, request: Request) -> Picture:
        """Let a request that has no place yet wait no longer."""
        if request in self._waiting_room:
            self._sessions.give_up(request.frame, digest=request.digest)
            return self._waiting_room.leave(request)
        if request in self._inquiries:
            return self._inquiries.leave(request)
        return self._lobby.leave(request)

    def _end_unplaced(self, request: Request, picture: Picture, error: PoseError, counter: str) -> None:
        self.counters["accepted"] += 1
        self._requests.refuse(request, error, counter=counter)
        self._requests.let_go(picture)

    def _end(self, job: Job) -> None:
        """Nobody waits for the job, and no worker holds it."""
        self._let_go(job)
        self._requests.landed(job)

    def _let_go(self, job: Job) -> None:
        """Let go of the picture; a repeat of this frame is a new job from now on."""
        job.session.close(job)
        if job.picture:
            self._requests.let_go(job.picture)
            job.picture = None
