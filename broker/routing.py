"""Who folds which frame, and when: sessions, order, ownership, credits, liveness.

Pure state: no sockets and no clock. `server.py` tells it what arrived and when (`now`, in
seconds of any steady clock) and sends the actions that it takes back. Payloads pass through
unread.
"""

import heapq
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import msgspec

from broker.jobs import Job, Session, Waiter, Worker
from broker.order import FrameOrder
from broker.streams import Streams
from wire.errors import Busy, DeadlineExceeded, ModelNotLoaded, PoisonFrame, PoseError, ProtocolError
from wire.messages import (
    BrokerToWorker,
    Failure,
    Forget,
    Frame,
    FromBroker,
    Goodbye,
    Heartbeat,
    LoadFailed,
    Ready,
    Result,
    Status,
    StatusRequest,
    WhoAreYou,
    Work,
    WorkerStatus,
)
from wire.settings import Settings

#: How often silence and idleness are looked at, as a part of `heartbeat_s`.
_LOOKS_PER_HEARTBEAT = 4

#: A worker that was lost this often with the same frame was lost because of it.
_POISON_LOSSES = 2

#: Bounds of the hint in `Busy`, seconds.
_RETRY_AFTER_S = (0.1, 10.0)

#: Overload is one event to an operator, however many requests it refuses.
_BUSY_NOTED_EVERY_S = 10.0

#: Weight of the newest interval in the running mean time between answers.
_PACE_WEIGHT = 0.1

#: The counters of `Status`, so that each is there from the start.
COUNTERS = (
    "accepted",  # requests taken in
    "answered",  # requests answered with a result
    "failed",  # requests that a worker failed by name
    "busy",  # requests refused because a bound was reached
    "expired",  # requests whose deadline passed
    "poisoned",  # requests for frames that ended two workers
    "not_loaded",  # requests answered while no worker could load
    "duplicates",  # requests that joined a frame already on its way
    "stepped_over",  # gaps that were not waited for any longer, and frames that expired unseen
    "stale_results",  # answers of former owners, dropped
    "redispatched",  # frames handed out again after their worker was lost
    "workers_lost",
    "sessions_moved",
    "sessions_forgotten",
    "undelivered",  # answers whose client is gone or does not read
    "protocol_errors",
)


@dataclass(frozen=True, slots=True)
class ToClient:
    """Send this to a client."""

    client: bytes
    message: FromBroker
    payload: Sequence[object] = ()


@dataclass(frozen=True, slots=True)
class ToWorker:
    """Send this to a worker."""

    worker: bytes
    message: BrokerToWorker
    payload: Sequence[object] = ()


@dataclass(frozen=True, slots=True)
class Noted:
    """Something an operator cares about happened; log it."""

    level: int
    text: str
    details: tuple[object, ...] = ()


Action = ToClient | ToWorker | Noted


class Routing:
    """The broker's state. Every method may queue actions; `take_actions` hands them over."""

    def __init__(self, settings: Settings, *, streams: Streams, first_epoch: int, now: float) -> None:
        self._settings = settings
        self._streams = streams
        self._epochs = count(first_epoch)  # one sequence for all sessions: an epoch names one ownership
        self._started_at = now
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # longest quiet first
        self._workers: dict[bytes, Worker] = {}
        self._jobs: dict[bytes, Job] = {}  # by the request id that travels with the frame
        self._waiters: dict[bytes, Waiter] = {}  # open requests by their id
        self._homeless: dict[Session, int] = {}  # sessions with a frame to go and no owner -> turn
        self._held_bytes = 0
        self._turns = count()
        self._arrivals = count()
        self._hand_outs = count()
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._gaps: list[tuple[float, int, Session]] = []
        self._next_look = now
        self._load_error: str | None = None
        self._nobody_loads = False
        self._pace_s = 0.1  # mean time between answers
        self._answered_at = now
        self._busy_noted_until = now
        self._actions: list[Action] = []
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))

    # ------------------------------------------------------------- what the rim asks

    def take_actions(self) -> list[Action]:
        """What is to be done now, in this order."""
        actions, self._actions = self._actions, []
        return actions

    def wake_at(self) -> float:
        """When `tick` has something to do at the latest, seconds."""
        return min([self._next_look, *(timers[0][0] for timers in (self._deadlines, self._gaps) if timers)])

    def tick(self, *, now: float) -> None:
        """Do what is due: deadlines, gaps that were waited for, silence, idleness."""
        while self._deadlines and self._deadlines[0][0] <= now:
            waiter = heapq.heappop(self._deadlines)[2]
            if waiter.open and waiter.deadline <= now:
                self._expire(waiter, now)
        while self._gaps and self._gaps[0][0] <= now:
            self._consider(heapq.heappop(self._gaps)[2], now)
        if now >= self._next_look:
            self._next_look = now + self._settings.heartbeat_s / _LOOKS_PER_HEARTBEAT
            self._look_at_workers(now)
            self._forget_idle_sessions(now)
            self._drop_stale_deadlines()

    # ---------------------------------------------------------------- from clients

    def frame(
        self,
        client: bytes,
        request: Frame,
        payload: Sequence[object],
        *,
        payload_bytes: int,
        digest: int,
        now: float,
    ) -> None:
        """A client sent one picture; `digest` tells it from other pictures."""
        try:
            self._accept(client, request, payload, payload_bytes=payload_bytes, digest=digest, now=now)
        except PoseError as refusal:
            if isinstance(refusal, Busy):
                self._note_busy(refusal, now)
            self._refuse(client, request.request_id, refusal, session_id=request.session_id)

    def status(self, client: bytes, request: StatusRequest, *, now: float) -> None:
        """A client asks how we are."""
        workers = [
            WorkerStatus(
                name=worker.ready.name,
                state="draining" if worker.draining else "ready",
                sessions=len(worker.sessions),
                in_flight=len(worker.in_flight),
                device=worker.ready.device,
                models=worker.ready.models,
                observer=worker.ready.observer,
            )
            for worker in self._workers.values()
        ]
        queued = [job for session in self._sessions.values() for job in session.queue]
        reply = Status(
            request_id=request.request_id,
            workers=workers,
            sessions=len(self._sessions),
            queued_frames=len(queued),
            queued_bytes=sum(job.payload_bytes for job in queued),
            in_flight=sum(len(worker.in_flight) for worker in self._workers.values()),
            counters=dict(self.counters),
            limits=self._limits(),
            load_error=self._load_error,
            uptime_s=now - self._started_at,
        )
        self._actions.append(ToClient(client, reply))

    # ---------------------------------------------------------------- from workers

    def ready(self, address: bytes, message: Ready, *, now: float) -> None:
        """A worker can serve, or says so again because it was asked who it is."""
        worker = self._workers.get(address)
        if worker is None:
            worker = Worker(address=address, ready=message, heard_at=now, spoken_at=now)
            self._workers[address] = worker
            self._note(
                logging.INFO, "worker %s ready: %s on %s", message.name, message.observer, message.device
            )
        worker.ready, worker.heard_at, worker.draining = message, now, False
        self._load_error, self._nobody_loads = None, False
        # At once, so that the worker knows it is known and sees us alive.
        self._tell(worker, Heartbeat(), now)
        self._hand_out(worker, now)

    def load_failed(self, message: LoadFailed) -> None:
        """A worker cannot serve; its supervisor starts another, which may."""
        self._note(logging.ERROR, "worker %s could not load: %s", message.name, message.reason)
        self._load_error = message.reason
        if any(not worker.draining for worker in self._workers.values()):
            return
        self._nobody_loads = True
        for session in list(self._sessions.values()):
            for job in list(session.queue):
                self._fail(job, ModelNotLoaded(message.reason), "not_loaded")

    def heartbeat(self, address: bytes, *, now: float) -> None:
        """A worker is alive."""
        self._known(address, now)

    def goodbye(self, address: bytes, *, now: float) -> None:
        """A worker wants to end: it gets no more frames, and its sessions move on."""
        worker = self._known(address, now)
        if worker is None:
            return
        if not worker.draining:
            self._note(logging.INFO, "worker %s drains %d frames", worker.ready.name, len(worker.in_flight))
        worker.draining = True
        self._tell(worker, Goodbye(), now)
        for session in list(worker.sessions):
            self._consider(session, now)

    def answer(
        self, address: bytes, message: Result | Failure, payload: Sequence[object], *, now: float
    ) -> None:
        """A worker answered a frame, or failed it by name."""
        worker = self._known(address, now)
        job = worker.in_flight.get(message.request_id) if worker else None
        if worker is None or job is None or job.epoch != message.epoch:
            self.counters["stale_results"] += 1
            return
        del worker.in_flight[message.request_id]
        job.session.in_flight -= 1
        self._measure_pace(now)
        counter = "answered" if isinstance(message, Result) else "failed"
        for waiter in list(job.waiters):
            self.counters[counter] += 1
            self._close(waiter)
            reply = msgspec.structs.replace(message, request_id=waiter.request_id)
            self._actions.append(ToClient(waiter.client, reply, payload))
        self._drop(job)
        self._touch(job.session, now)
        self._streams.answered(job.session.session_id, now=now)
        self._consider(job.session, now)
        self._hand_out(worker, now)

    def worker_unroutable(self, address: bytes, *, now: float) -> None:
        """What was sent to this worker could not be delivered: its connection is gone."""
        if worker := self._workers.get(address):
            self._lose(worker, "its connection closed", now)

    # ------------------------------------------------------------ taking a frame in

    def _accept(
        self,
        client: bytes,
        request: Frame,
        payload: Sequence[object],
        *,
        payload_bytes: int,
        digest: int,
        now: float,
    ) -> None:
        if self._is_resent(client, request, digest):
            return
        if self._nobody_loads:
            self.counters["accepted"] += 1
            self.counters["not_loaded"] += 1
            raise ModelNotLoaded(self._load_error or "no worker is ready")
        self._check_bounds(payload_bytes)
        session = self._session_for(request, digest, now)
        if session.outstanding >= self._settings.max_session_frames:
            raise self._busy(f"session {session.session_id} has {session.outstanding} frames waiting")
        self._begin_generation(session, request.frame_number, digest)
        self._touch(session, now)
        self.counters["accepted"] += 1
        session.outstanding += 1

        key = (session.generation, request.frame_number)
        job = session.open_jobs.get(key)
        if job and job.digest == digest and job.request.options == request.options:
            self.counters["duplicates"] += 1
            self._wait_for(job, client, request, now)
            return
        job = Job(
            request=request,
            session=session,
            generation=session.generation,
            digest=digest,
            payload=payload,
            payload_bytes=payload_bytes,
            arrived_at=now,
            arrival=next(self._arrivals),
        )
        self._jobs[request.request_id] = job
        self._held_bytes += payload_bytes
        session.open_jobs[key] = job
        self._wait_for(job, client, request, now)
        session.order.arrived(request.frame_number, outstanding=session.outstanding)
        session.enqueue(job)
        self._consider(session, now)

    def _is_resent(self, client: bytes, request: Frame, digest: int) -> bool:
        """Whether this is an open request that its client sent again, perhaps over a new connection."""
        waiter = self._waiters.get(request.request_id)
        job = waiter.job if waiter else self._jobs.get(request.request_id)
        if job is None:
            return False
        same = job.digest == digest and job.request.frame_number == request.frame_number
        if waiter is None or not same:
            raise ProtocolError("request_id names another open request")
        waiter.client = client
        return True

    def _check_bounds(self, payload_bytes: int) -> None:
        if len(self._waiters) >= self._settings.max_queue_frames:
            raise self._busy(f"{len(self._waiters)} frames are waiting")
        if self._held_bytes + payload_bytes > self._settings.max_queue_bytes:
            raise self._busy(f"{self._held_bytes} bytes are waiting")

    def _session_for(self, request: Frame, digest: int, now: float) -> Session:
        session_id = request.session_id
        if session_id is None:
            session_id = self._streams.place(
                request.source, request.frame_number, digest=digest, now=now
            ).session_id
        session = self._sessions.get(session_id)
        if session is None:
            if len(self._sessions) >= self._settings.max_sessions and not self._forget_quietest():
                raise self._busy(f"{len(self._sessions)} sessions have frames waiting")
            order = FrameOrder(gap_wait_s=self._settings.gap_wait_s)
            session = self._sessions[session_id] = Session(session_id=session_id, order=order, active_at=now)
        return session

    def _begin_generation(self, session: Session, frame_number: int, digest: int) -> None:
        """Note frame 0, which may begin another video of the session.

        The first 0 is merely late where other frames are open that may have overtaken it. The
        same picture is a repeat while others are open or a worker still keeps its answer.
        """
        if frame_number != 0:
            return
        newest = session.order.newest
        if session.zero_digest is None:
            same_video = newest is None or session.outstanding > 0
        else:
            kept = newest is None or newest <= self._settings.kept_answers
            same_video = session.zero_digest == digest and (kept or session.outstanding > 0)
        if not same_video:
            session.generation += 1
            session.order.restart()
        session.zero_digest = digest

    def _wait_for(self, job: Job, client: bytes, request: Frame, now: float) -> None:
        deadline = now + request.deadline_ms / 1000
        waiter = Waiter(client=client, request_id=request.request_id, deadline=deadline, job=job)
        job.waiters.append(waiter)
        self._waiters[request.request_id] = waiter
        heapq.heappush(self._deadlines, (deadline, next(self._turns), waiter))

    # ------------------------------------------------------------- handing frames out

    def _consider(self, session: Session, now: float) -> None:
        """Put the session in line if its next frame may go, and let it go if a worker is free."""
        if session.owner and session.owner.draining and not session.in_flight:
            self._disown(session)
        if not session.queue:
            return
        job = session.queue[0]
        if self._waits_for_gap(session, now):
            return
        if session.owner is None and job.lost:
            self._own(session, self._least_loaded(lambda worker: not worker.draining))
        if session.owner is None:
            self._homeless.setdefault(session, next(self._turns))
        elif not session.owner.draining:
            session.owner.runnable.setdefault(session, next(self._turns))
        if worker := session.owner or self._least_loaded(lambda worker: worker.accepts(job)):
            self._hand_out(worker, now)

    def _hand_out(self, worker: Worker, now: float) -> None:
        """Give the worker frames while it has credits, one of each session in turn."""
        while worker.free_credits > 0:
            line = min(
                (line for line in (worker.runnable, self._homeless) if line),
                key=lambda line: next(iter(line.values())),
                default=None,
            )
            if line is None:
                return
            session = next(iter(line))
            if session.queue and not self._waits_for_gap(session, now):
                if not worker.accepts(session.queue[0]):
                    return
                if session.owner is None:
                    self._own(session, worker)
                self._send_work(session, worker, now)
            line.pop(session, None)
            if session.queue and not self._waits_for_gap(session, now):
                worker.runnable[session] = next(self._turns)

    def _waits_for_gap(self, session: Session, now: float) -> bool:
        """Whether the session's next frame still waits for a missing one; if so, a timer is set."""
        may_go_at = session.may_go_at(session.queue[0])
        if may_go_at > now and may_go_at != session.gap_timer:
            session.gap_timer = may_go_at
            heapq.heappush(self._gaps, (may_go_at, next(self._turns), session))
        return may_go_at > now

    def _send_work(self, session: Session, worker: Worker, now: float) -> None:
        job = session.queue.pop(0)
        if job.hand_out is None:
            job.hand_out = next(self._hand_outs)
            job.continues = session.order.newest is not None or job.generation != session.generation
            if job.generation == session.generation:
                self.counters["stepped_over"] += session.order.handed_out(job.request.frame_number)
        job.epoch = session.epoch
        session.in_flight += 1
        worker.in_flight[job.request.request_id] = job
        work = Work(
            request_id=job.request.request_id,
            session_id=session.session_id,
            generation=job.generation,
            epoch=job.epoch,
            continues=job.continues,
            frame_number=job.request.frame_number,
            deadline_ms=max(1, round((job.deadline - now) * 1000)),
            options=job.request.options,
            timestamp_ms=job.request.timestamp_ms,
            fps=job.request.fps,
        )
        self._tell(worker, work, now, job.payload)

    # -------------------------------------------------------------------- ownership

    def _least_loaded(self, fits: Callable[[Worker], bool]) -> Worker | None:
        fitting = (worker for worker in self._workers.values() if fits(worker))
        return min(fitting, key=lambda w: (len(w.sessions), len(w.in_flight)), default=None)

    def _own(self, session: Session, worker: Worker | None) -> None:
        if worker is None:
            return
        if session.had_owner:
            self.counters["sessions_moved"] += 1
            self._note(logging.INFO, "session %s moved to worker %s", session.session_id, worker.ready.name)
        self._homeless.pop(session, None)
        session.owner, session.had_owner = worker, True
        session.epoch = next(self._epochs)
        worker.sessions.add(session)

    def _disown(self, session: Session) -> None:
        if session.owner:
            session.owner.sessions.discard(session)
            session.owner.runnable.pop(session, None)
            session.owner = None

    # --------------------------------------------------------------------- liveness

    def _known(self, address: bytes, now: float) -> Worker | None:
        """The worker that spoke; a stranger is asked who it is."""
        worker = self._workers.get(address)
        if worker is None:
            self._actions.append(ToWorker(address, WhoAreYou()))
            return None
        worker.heard_at = now
        return worker

    def _look_at_workers(self, now: float) -> None:
        for worker in list(self._workers.values()):
            if now - worker.heard_at > self._settings.worker_silence_s:
                self._lose(worker, f"silent for {now - worker.heard_at:.1f} s", now)
            elif now - worker.spoken_at >= self._settings.heartbeat_s:
                self._tell(worker, Heartbeat(), now)

    def _lose(self, worker: Worker, reason: str, now: float) -> None:
        """Give a worker up: its frames go back to the front, its sessions to others."""
        del self._workers[worker.address]
        if worker.draining and not worker.in_flight:
            self._note(logging.INFO, "worker %s left", worker.ready.name)
        else:
            self.counters["workers_lost"] += 1
            text = "worker %s lost with %d frames and %d sessions: %s"
            held, owned = len(worker.in_flight), len(worker.sessions)
            self._note(logging.WARNING, text, worker.ready.name, held, owned, reason)
        for job in worker.in_flight.values():
            job.session.in_flight -= 1
            self._take_back(job)
        worker.in_flight.clear()
        sessions = sorted(worker.sessions, key=lambda session: session.epoch)
        for session in sessions:
            self._disown(session)
        for session in sessions:
            self._consider(session, now)

    def _take_back(self, job: Job) -> None:
        job.lost += 1
        if not job.waiters:
            self._drop(job)
        elif job.lost >= _POISON_LOSSES:
            self._note(
                logging.ERROR,
                "session %s frame %d ended its worker %d times; stepped over",
                job.session.session_id,
                job.request.frame_number,
                job.lost,
            )
            self._fail(job, PoisonFrame(f"this frame ended its worker {job.lost} times"), "poisoned")
        else:
            self.counters["redispatched"] += 1
            job.session.enqueue(job)

    # ----------------------------------------------------------- ends of a request

    def _expire(self, waiter: Waiter, now: float) -> None:
        job, session = waiter.job, waiter.job.session
        self.counters["expired"] += 1
        self._close(waiter)
        self._refuse(
            waiter.client,
            waiter.request_id,
            DeadlineExceeded(f"no answer within {now - job.arrived_at:.1f} s"),
            session_id=session.session_id,
        )
        if job.waiters:
            return
        if job in session.queue:
            self.counters["stepped_over"] += 1
            self._drop(job)
        else:
            # With its worker: the fold is not stopped, its late answer has nobody to go to.
            self._release(job)
        self._consider(session, now)

    def _fail(self, job: Job, error: PoseError, counter: str) -> None:
        for waiter in list(job.waiters):
            self.counters[counter] += 1
            self._close(waiter)
            self._refuse(waiter.client, waiter.request_id, error, session_id=job.session.session_id)
        self._drop(job)

    def _refuse(self, client: bytes, request_id: bytes, error: PoseError, *, session_id: str | None) -> None:
        failure = Failure(
            request_id=request_id,
            code=error.code,
            message=error.message,
            retry_after_s=error.retry_after_s,
            session_id=session_id,
        )
        self._actions.append(ToClient(client, failure))

    def _close(self, waiter: Waiter) -> None:
        waiter.open = False
        waiter.job.waiters.remove(waiter)
        waiter.job.session.outstanding -= 1
        del self._waiters[waiter.request_id]

    def _release(self, job: Job) -> None:
        """Let go of the picture; a repeat of this frame is a new job from now on."""
        self._held_bytes -= job.payload_bytes
        job.payload, job.payload_bytes = (), 0
        key = (job.generation, job.request.frame_number)
        if job.session.open_jobs.get(key) is job:
            del job.session.open_jobs[key]

    def _drop(self, job: Job) -> None:
        """Forget a job that nobody waits for any more; its session goes on without it."""
        self._release(job)
        self._jobs.pop(job.request.request_id, None)
        if job in job.session.queue:
            job.session.queue.remove(job)
            if job.hand_out is None and job.generation == job.session.generation:
                job.session.order.stepped_over(job.request.frame_number)

    # --------------------------------------------------------------------- sessions

    def _touch(self, session: Session, now: float) -> None:
        session.active_at = now
        self._sessions.move_to_end(session.session_id)

    def _quiet_sessions(self) -> Iterator[Session]:
        """Sessions with nothing under way, longest quiet first."""
        return (s for s in self._sessions.values() if not s.queue and not s.in_flight)

    def _forget_idle_sessions(self, now: float) -> None:
        idle = []
        for session in self._quiet_sessions():
            if now - session.active_at <= self._settings.session_idle_s:
                break
            idle.append(session)
        for session in idle:
            self._forget(session)

    def _forget_quietest(self) -> bool:
        """Make room for a session; False if every session has frames under way."""
        session = next(self._quiet_sessions(), None)
        if session is not None:
            self._forget(session)
        return session is not None

    def _forget(self, session: Session) -> None:
        self.counters["sessions_forgotten"] += 1
        if session.owner:
            forget = Forget(session_id=session.session_id, generation=session.generation)
            self._actions.append(ToWorker(session.owner.address, forget))
        self._disown(session)
        self._homeless.pop(session, None)
        self._streams.forget(session.session_id)
        del self._sessions[session.session_id]

    # ------------------------------------------------------------------- small parts

    def _tell(
        self, worker: Worker, message: BrokerToWorker, now: float, payload: Sequence[object] = ()
    ) -> None:
        worker.spoken_at = now
        self._actions.append(ToWorker(worker.address, message, payload))

    def _note(self, level: int, text: str, *details: object) -> None:
        self._actions.append(Noted(level, text, details))

    def _busy(self, reason: str) -> Busy:
        low, high = _RETRY_AFTER_S
        return Busy(reason, retry_after_s=round(min(high, max(low, self._pace_s * len(self._waiters))), 1))

    def _note_busy(self, refusal: Busy, now: float) -> None:
        self.counters["busy"] += 1
        if now >= self._busy_noted_until:
            self._busy_noted_until = now + _BUSY_NOTED_EVERY_S
            text = "busy, requests are refused: %s (%d so far)"
            self._note(logging.WARNING, text, refusal.message, self.counters["busy"])

    def _measure_pace(self, now: float) -> None:
        self._pace_s += _PACE_WEIGHT * (now - self._answered_at - self._pace_s)
        self._answered_at = now

    def _drop_stale_deadlines(self) -> None:
        # Answered requests leave their timers behind; without this they would stay until they are due.
        if len(self._deadlines) > 2 * len(self._waiters) + 64:
            self._deadlines = [timer for timer in self._deadlines if timer[2].open]
            heapq.heapify(self._deadlines)

    def _limits(self) -> dict[str, float]:
        names = (
            "max_queue_frames",
            "max_queue_bytes",
            "max_sessions",
            "max_session_frames",
            "worker_silence_s",
            "heartbeat_s",
            "session_idle_s",
            "gap_wait_s",
        )
        return {name: float(getattr(self._settings, name)) for name in names}
