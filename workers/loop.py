"""The worker's loop: receive, fold, answer, heartbeat, drain.

One thread does all of it. Heartbeats leave from the loop that works and, while a batch takes long,
from between its parts, so a worker that hangs goes silent and is given up; nothing else would prove
that frames still move.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic

from msgspec.structs import replace

from wire.errors import PoseError
from wire.messages import (
    BrokerToWorker,
    Buffer,
    Forget,
    Goodbye,
    Heartbeat,
    HeldSession,
    LoadFailed,
    Ready,
    Recall,
    Recalled,
    Result,
    WhoAreYou,
    Work,
)
from wire.settings import Settings
from workers import replies
from workers.ahead import Ahead
from workers.borrowing import Borrowing
from workers.brokers import Brokers, NewConnection
from workers.folding import Folding
from workers.job import Job
from workers.pipeline import FrameAnswer, Pipeline
from workers.sessions import Sessions
from workers.store import first_within
from workers.tracker import StateT
from workers.watchdog import Watchdog

log = logging.getLogger(__name__)

#: How often in the time after which a session is forgotten the store is looked through.
_SWEEPS_PER_IDLE_TIME = 4


class WorkerLoop(Generic[StateT]):
    """Folds the frames that the broker hands over, until told to stop."""

    def __init__(
        self,
        *,
        brokers: Brokers,
        pipeline: Pipeline[StateT],
        sessions: Sessions[StateT, FrameAnswer],
        ready: Ready,
        watchdog: Watchdog,
        settings: Settings,
    ) -> None:
        """`ready` says who this worker is; the sessions in it are added when it is sent."""
        self._brokers = brokers
        self._decode = pipeline.decode
        self._sessions = sessions
        self._folding = Folding(pipeline=pipeline, sessions=sessions)
        self._ready = ready
        self._watchdog = watchdog
        self._settings = settings
        self._inbox: deque[Job] = deque()
        self._ahead = Ahead()
        self._borrowing = Borrowing(max_bytes=settings.max_body_bytes)
        self._ended: set[int] = set()  # epochs of which a frame was dropped: those still unread are, too
        self._parted = False  # no broker sends more
        self._beat_at = 0.0  # when the next heartbeat is due, `time.monotonic`
        self._sweep_at = time.monotonic() + settings.session_idle_s / _SWEEPS_PER_IDLE_TIME

    def run(self, stopping: Callable[[], bool]) -> None:
        """Serve until `stopping` says so; then answer what is in hand and part from the broker."""
        while not stopping():
            self._turn(idle_s=self._settings.heartbeat_s / 2)
        self._drain()
        self._ahead.close()

    def _turn(self, *, idle_s: float) -> None:
        self._receive_all(idle_s=0 if self._inbox else idle_s)
        if self._inbox:
            self._answer(self._next_batch())
        self._beat()
        now = time.monotonic()
        if now >= self._sweep_at:
            self._sessions.sweep(now=time.time())
            self._sweep_at = now + self._settings.session_idle_s / _SWEEPS_PER_IDLE_TIME

    def _answer(self, jobs: list[Job]) -> None:
        """Fold frames of several sessions, and reply; what waits is made ready meanwhile."""
        self._ahead.put(*(job.make_ready for job in self._waiting()))
        self._ahead.begin()
        with self._watchdog.limit(self._settings.frame_limit_s * len(jobs)):
            told = self._folding.replies(jobs, self._beat)
        for reply, payload in told:
            self._brokers.send(reply, *payload)
        if log.isEnabledFor(logging.INFO):  # the next frame need not wait for it
            results = [reply for reply, _ in told if isinstance(reply, Result)]
            self._ahead.put(*(partial(replies.tell, result) for result in results))
        if not self._inbox:
            self._ahead.begin()

    def _beat(self) -> None:
        """A sign of life when one is due: also between the parts of a batch that takes long."""
        now = time.monotonic()
        if now >= self._beat_at and self._brokers.can_send():
            self._brokers.send(Heartbeat(store=self._sessions.figures()))
            self._beat_at = now + self._settings.heartbeat_s
            self._borrowing.let_go()

    def _receive_all(self, *, idle_s: float) -> None:
        """Take everything that has come; wait up to `idle_s` for the first."""
        received = self._brokers.receive(timeout_s=idle_s)
        while received is not None:
            if isinstance(received, NewConnection):
                self._introduce()
            else:
                self._take(*received)
            received = self._brokers.receive(timeout_s=0)
        # Nothing more can come of what was sent before a new connection: it could be read at once.
        self._ended.clear()

    def _take(self, message: BrokerToWorker, payload: list[Buffer]) -> None:
        match message:
            case Work() if message.epoch not in self._ended:
                try:
                    picture = self._borrowing.picture(payload)
                    self._inbox.append(Job(message, picture, self._decode))
                except PoseError as error:
                    reply, _ = replies.failure(message, error)
                    self._brokers.send(reply)
            case Forget():
                session_id, generation, epoch = message.session_id, message.generation, message.epoch
                self._sessions.forget(session_id, generation, epoch=epoch, now=time.time())
            case Recall():
                self._tell_what_is_known(message)
            case Goodbye():
                self._parted = True
            case Work() | Heartbeat() | WhoAreYou():
                pass

    def _introduce(self) -> None:
        """Tell a broker that does not know us who we are, at once: callers may be waiting for it.

        It gives what we hold to whom it likes, under new epochs, and drops our answers to it.
        """
        lost = [job for job in self._inbox if not self._brokers.waits_for(job.work)]
        if lost:
            # What was sent behind them before the connection broke may be still to be read.
            self._ended.update(job.work.epoch for job in lost)
            self._inbox = deque(job for job in self._inbox if job not in lost)
            log.warning("the broker is a new one, or gave us up: %d frames are others' now", len(lost))
        sessions: list[HeldSession] = []
        if not self._brokers.ask_for_each_session:
            sessions = self._sessions.recalled(now=time.time(), max_sessions=self._settings.max_sessions)
        fitting = first_within(sessions, self._settings.max_body_bytes // 2)
        self._brokers.send(replace(self._ready, sessions=fitting))

    def _tell_what_is_known(self, question: Recall) -> None:
        """Answer a broker that sees a session for the first time, and may not be the first to see it."""
        session_id, origin = question.session_id, question.origin
        known = self._sessions.find(session_id=session_id, origin=origin, now=time.time())
        self._brokers.send(Recalled(session_id=session_id, origin=origin, sessions=known))

    def _next_batch(self) -> list[Job]:
        """The first frame of every session in hand; later frames of a session wait for its state."""
        batch: dict[str, Job] = {}
        later: deque[Job] = deque()
        for job in self._inbox:
            if job.work.session_id in batch:
                later.append(job)
            else:
                batch[job.work.session_id] = job
        self._inbox = later
        return list(batch.values())

    def _waiting(self) -> list[Job]:
        """The frames whose turn comes next."""
        return list({job.work.session_id: job for job in reversed(self._inbox)}.values())

    def _drain(self) -> None:
        """Ask for no more frames, answer those in hand or under way, and leave."""
        log.info("draining, %d frames in hand", len(self._inbox))
        self._brokers.send(Goodbye())
        asked_at = time.monotonic()
        while self._inbox or not self._parted:
            heard = self._inbox or self._parted
            # A broker that says nothing at all is gone, and hands us no frames any more.
            patience_s = self._settings.drain_s if heard else self._settings.worker_silence_s
            if time.monotonic() - asked_at > patience_s:
                log.warning("stopping with %d frames unanswered", len(self._inbox))
                return
            self._turn(idle_s=self._settings.heartbeat_s / 2)


def report_load_failure(brokers: Brokers, *, name: str, reason: str) -> None:
    """Tell the broker why this worker cannot serve, so that waiting callers hear it."""
    brokers.send(LoadFailed(name=name, reason=reason))
