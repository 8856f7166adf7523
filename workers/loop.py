"""The worker's loop: receive, fold, answer, heartbeat, drain.

One thread does all of it. Heartbeats leave from the loop that works and, while a batch takes long,
from between its parts, so a worker that hangs goes silent and is given up; nothing else would prove
that frames still move.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Generic

from msgspec.structs import replace

from wire import messages
from wire.errors import Internal, PoseError
from wire.messages import (
    BrokerToWorker,
    Buffer,
    Failure,
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
from workers.ahead import Ahead, Once
from workers.borrowing import Borrowing, Handed
from workers.brokers import Brokers, NewConnection
from workers.pipeline import Drawn, Folded, FrameAnswer, FrameInput, Pipeline
from workers.sessions import FrameKey, Given, Session, Sessions, asked_of
from workers.store import Superseded, first_within
from workers.tracker import StateT
from workers.types import Image
from workers.watchdog import Watchdog

log = logging.getLogger(__name__)

_Reply = tuple[Result | Failure, list[Buffer]]

#: How often in the time after which a session is forgotten the store is looked through.
_SWEEPS_PER_IDLE_TIME = 4


class _Job:
    """One frame in hand, whose picture may be decoded before its turn comes."""

    def __init__(self, work: Work, picture: Handed, decode: Callable[[Buffer], Image]) -> None:
        self.work = work
        self._encoded = picture.encoded
        self._image = Once(lambda: decode(picture.encoded))
        self._digest = Once(picture.digest)

    def make_ready(self) -> None:
        """All that can be made ready without the session, by any thread."""
        self._digest.make()
        self._image.make()

    @property
    def frame(self) -> FrameInput:
        """The frame as the pipeline takes it."""
        work = self.work
        return FrameInput(
            work.frame_number, self._encoded, work.options, work.timestamp_ms, work.fps, self._image
        )

    @property
    def key(self) -> FrameKey:
        """What makes it the same frame when it comes again. Raises `PictureGone`."""
        return self.work.frame_number, self._digest(), asked_of(self.work.options)


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
        self._pipeline = pipeline
        self._sessions = sessions
        self._ready = ready
        self._watchdog = watchdog
        self._settings = settings
        self._inbox: deque[_Job] = deque()
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
            jobs = self._next_batch()
            self._ahead.put(*(job.make_ready for job in self._waiting()))
            self._ahead.begin()
            with self._watchdog.limit(self._settings.frame_limit_s * len(jobs)):
                replies = self._fold_batch(jobs)
            for reply, payload in replies:
                self._brokers.send(reply, *payload)
            if log.isEnabledFor(logging.INFO):  # the next frame need not wait for it
                self._ahead.put(*(partial(_tell, reply) for reply, _ in replies if isinstance(reply, Result)))
            if not self._inbox:
                self._ahead.begin()
        self._beat()
        now = time.monotonic()
        if now >= self._sweep_at:
            self._sessions.sweep(now=time.time())
            self._sweep_at = now + self._settings.session_idle_s / _SWEEPS_PER_IDLE_TIME

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
                    self._inbox.append(_Job(message, picture, self._pipeline.decode))
                except PoseError as error:
                    reply, _ = _failure(message, error)
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

    def _next_batch(self) -> list[_Job]:
        """The first frame of every session in hand; later frames of a session wait for its state."""
        batch: dict[str, _Job] = {}
        later: deque[_Job] = deque()
        for job in self._inbox:
            if job.work.session_id in batch:
                later.append(job)
            else:
                batch[job.work.session_id] = job
        self._inbox = later
        return list(batch.values())

    def _waiting(self) -> list[_Job]:
        """The frames whose turn comes next."""
        return list({job.work.session_id: job for job in reversed(self._inbox)}.values())

    def _fold_batch(self, jobs: list[_Job]) -> list[_Reply]:
        """The answers to one frame of each of several sessions, stored; a repeat is not folded again."""
        replies = []
        fresh = []
        for job in jobs:
            self._beat()  # a store on a server may be slow
            try:
                key = job.key
                session = self._sessions.open(job.work, now=time.time())
            except PoseError as error:  # `PictureGone`, `Superseded`
                replies.append(_failure(job.work, error))
                continue
            known = session.answers.get(key)
            if known is None:
                fresh.append((job, session))
            else:
                drawn = self._pipeline.repeat(known.answer, job.frame)
                replies.append(self._answer(job.work, session, known, drawn))
        for (job, session), outcome in zip(fresh, self._fold(fresh), strict=True):
            if isinstance(outcome, Folded):
                self._beat()
                replies.append(self._commit(job, session, outcome))
            else:
                replies.append(_failure(job.work, outcome))
        return replies

    def _commit(self, job: _Job, session: Session[StateT, FrameAnswer], folded: Folded[StateT]) -> _Reply:
        """Store what a frame gave; its answer."""
        started = time.perf_counter()
        try:
            given = self._sessions.commit(
                session, job.work, job.key, state=folded.state, answer=folded.answer, now=time.time()
            )
        except Superseded as error:
            return _failure(job.work, error)
        store_ms = (time.perf_counter() - started) * 1e3
        return self._answer(job.work, session, given, folded.drawn, {"store": store_ms})

    def _fold(
        self, fresh: list[tuple[_Job, Session[StateT, FrameAnswer]]]
    ) -> list[Folded[StateT] | PoseError]:
        try:
            states = [(session.state, job.frame) for job, session in fresh]
            return self._pipeline.fold(states, on_progress=self._beat)
        except Exception:
            # A bug of ours: nobody else can name it, and the other sessions go on.
            log.exception("frames failed: %s", [(job.work.session_id, job.key[0]) for job, _ in fresh])
        if len(fresh) == 1:
            return [Internal("an internal error; the log of the service tells more")]
        return [outcome for item in fresh for outcome in self._fold([item])]

    def _answer(
        self,
        work: Work,
        session: Session[StateT, FrameAnswer],
        given: Given[FrameAnswer],
        drawn: Drawn,
        more_stages_ms: Mapping[str, float] = {},
    ) -> _Reply:
        answer = given.answer
        specs, buffers = messages.pack_arrays(answer.arrays | {"vertices": drawn.vertices})
        if work.options.joined:
            buffers = [b"".join(buffers)]
        observer = self._pipeline.observer
        result = Result(
            request_id=work.request_id,
            session_id=work.session_id,
            epoch=work.epoch,
            frame_number=work.frame_number,
            width_px=answer.width_px,
            height_px=answer.height_px,
            people=answer.people,
            primary=answer.primary,
            history=given.history,
            skipped=given.skipped,
            expired=given.expired,
            folded=session.head.folded,
            num_persons_detected=answer.num_persons_detected,
            num_tracks=len(answer.people),
            observer=observer.name,
            tracker=self._pipeline.tracker.name,
            model_version=observer.model_version,
            stages_ms={**answer.stages_ms, **drawn.stages_ms, **more_stages_ms},
            arrays=specs,
            has_png=drawn.png is not None,
            joined=work.options.joined,
            notes=answer.notes,
            new_shot=answer.new_shot,
        )
        return result, [*buffers, *([] if drawn.png is None else [drawn.png])]

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


def _tell(result: Result) -> None:
    """A frame's line in the log."""
    primary = None if result.primary is None else result.people[result.primary]
    stages = " ".join(f"{stage}_ms=%.1f" for stage in result.stages_ms)
    log.info(
        f"session=%s frame=%d {stages} people=%d state=%s confidence=%.2f",
        result.session_id,
        result.frame_number,
        *result.stages_ms.values(),
        len(result.people),
        primary.state if primary else "nobody",
        primary.confidence if primary else 0.0,
    )


def _failure(work: Work, error: PoseError) -> _Reply:
    log.warning(
        "session=%s frame=%d code=%s %s", work.session_id, work.frame_number, error.code, error.message
    )
    failure = Failure(
        request_id=work.request_id,
        code=error.code,
        message=error.message,
        retry_after_s=error.retry_after_s,
        session_id=work.session_id,
        epoch=work.epoch,
        superseded_by=error.epoch if isinstance(error, Superseded) else 0,
    )
    return failure, []
