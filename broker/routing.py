"""What happens when a message comes or time passes: the verbs of the broker.

Pure state: no sockets and no clock. `server.py` tells it what arrived and when (`now`, in
seconds of any steady clock) and sends the actions that it takes back. Payloads pass through
unread.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from broker import report
from broker.dispatch import Dispatch
from broker.endings import Endings
from broker.fleet import Fleet
from broker.intake import Intake
from broker.jobs import Picture, Request
from broker.losses import Losses
from broker.outbox import Action, Outbox
from broker.requests import OpenRequests
from broker.serials import Serials
from broker.sessions import Sessions
from broker.streams import Streams
from wire.errors import DeadlineExceeded, ModelNotLoaded, PoseError
from wire.messages import Failure, Frame, Goodbye, LoadFailed, Ready, Recalled, Result, StatusRequest
from wire.settings import Settings

#: How often silence and idleness are looked at, as a part of `heartbeat_s`.
_LOOKS_PER_HEARTBEAT = 4


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
        self._endings = Endings(self._requests)
        self._intake = Intake(
            settings,
            self._outbox,
            serials=serials,
            fleet=self._fleet,
            sessions=self._sessions,
            requests=self._requests,
            endings=self._endings,
            dispatch=self._dispatch,
        )
        self._losses = Losses(
            self._outbox,
            is_one_of_several=len(settings.broker_addresses()) > 1,
            serials=serials,
            fleet=self._fleet,
            dispatch=self._dispatch,
            sessions=self._sessions,
            intake=self._intake,
            endings=self._endings,
        )
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
            self._intake.next_due(),
        )

    def tick(self, *, now: float) -> None:
        """Do what is due: deadlines, gaps that were waited for, silence, idleness."""
        for request in self._requests.overdue(now=now):
            self._expire(request, now)
        self._intake.look(now=now)
        self._dispatch.look_at_gaps(now=now)
        self._fleet.probe(now=now)
        if now >= self._next_look:
            self._look(now)

    def _look(self, now: float) -> None:
        late_s = now - self._next_look
        stood_still_s = late_s if late_s > self._settings.heartbeat_s else 0.0
        self._next_look = now + self._settings.heartbeat_s / _LOOKS_PER_HEARTBEAT
        for worker in self._fleet.look(stood_still_s=stood_still_s, now=now):
            self._losses.lose(worker, f"silent for {now - worker.heard_at:.1f} s", now=now, died=False)
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
            self._intake.take_in(client, frame, picture, now=now)
        except PoseError as refusal:
            self._requests.turn_away([client], frame, refusal, now=now)

    def status(self, client: bytes, request: StatusRequest, *, now: float) -> None:
        """A client asks how we are."""
        reply = report.status(
            request.request_id,
            self._settings,
            fleet=self._fleet,
            sessions=self._sessions,
            intake=self._intake,
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
        if not self._intake.knows_the_sessions:
            # Before anybody can take one: a frame must not go while an earlier one still waits to be placed.
            self._sessions.recall(message.sessions, now=now)
            self._intake.let_in(now=now)
        worker = self._fleet.join(address, message, now=now)
        self._intake.worker_joined()
        self._dispatch.hand_out(worker, now=now)

    def recalled(self, address: bytes, message: Recalled, *, now: float) -> None:
        """A worker tells what is known of a session, or of the videos from one place, that was asked for."""
        self._fleet.heard(address, now=now)
        self._intake.recalled(message, now=now)

    def load_failed(self, message: LoadFailed) -> None:
        """A worker cannot serve; its supervisor starts another, which may."""
        self._outbox.note(logging.ERROR, "worker %s could not load: %s", message.name, message.reason)
        self._load_error = message.reason
        if self._fleet.serves:
            return
        self._nobody_loads = True
        for request in list(self._intake):
            self._intake.refuse(request, ModelNotLoaded(message.reason), counter="not_loaded")
        for session in self._sessions:
            for job in list(session.queue):
                self._endings.fail(job, ModelNotLoaded(message.reason), counter="not_loaded")

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
        self._fleet.drain(worker, now=now)
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
        worker.give_back(job)
        if isinstance(message, Result):
            job.session.knows(message.epoch)
            if message.folded:
                job.video.folded, job.video.folded_under = message.folded, message.epoch
        elif message.superseded_by:
            self._losses.supersede(job, message.superseded_by, now=now)
            self._dispatch.hand_out(worker, now=now)
            return
        self._requests.measure_pace(now=now)
        for request in list(job.requests):
            self._requests.answer(request, message, payload)
        self._endings.end(job)
        self._sessions.answered(job.session, now=now)
        self._dispatch.consider(job.session, now=now)
        self._dispatch.hand_out(worker, now=now)

    def connection_closed(self, *, now: float) -> None:
        """Some worker's connection closed: all are spoken to, so that it is found."""
        self._fleet.connection_closed(now=now)

    def worker_unroutable(self, address: bytes, *, now: float) -> None:
        """What was sent to this worker could not be delivered: its connection is gone."""
        if worker := self._fleet.get(address):
            self._losses.lose(worker, "its connection closed", now=now, died=True)

    def worker_blocked(self, address: bytes, *, now: float) -> None:
        """More waits for this worker than may: it does not read."""
        if worker := self._fleet.get(address):
            self._losses.lose(worker, "it does not read", now=now, died=False)

    # -------------------------------------------------------------------- deadlines

    def _expire(self, request: Request, now: float) -> None:
        late = DeadlineExceeded(f"no answer within {now - request.arrived_at:.1f} s")
        job = request.job
        if job is None:
            self._intake.refuse(request, late, counter="expired")
            return
        self._requests.refuse(request, late, counter="expired")
        if job.requests:
            return
        if job in job.session.queue:
            self.counters["stepped_over"] += 1
            self._endings.give_up(job, expired=True)
        else:
            # With its worker: the fold is not stopped, its late answer has nobody to go to.
            self._endings.let_go(job)
        self._dispatch.consider(job.session, now=now)
