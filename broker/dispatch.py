"""Who owns which session, and which frame is handed out next.

Pure: time is an argument. Sessions with a frame to go stand in line, at their owner's or, without
one, before all workers; workers with credits take one frame of each in turn.
"""

import heapq
import logging
import math
from itertools import count

from broker.fleet import Fleet
from broker.jobs import Session, Worker
from broker.outbox import Outbox
from broker.serials import Serials
from wire.messages import Forget, Work


class Dispatch:
    """The lines, the owners, and the gaps that are waited for."""

    def __init__(self, fleet: Fleet, outbox: Outbox, serials: Serials) -> None:
        self._fleet = fleet
        self._outbox = outbox
        self._serials = serials
        self._homeless: dict[Session, int] = {}  # sessions with a frame to go and no owner -> turn
        self._gaps: list[tuple[float, int, Session]] = []
        self._turns = count()
        self._hand_outs = count()

    def next_gap(self) -> float:
        """When the next gap was waited for long enough, seconds."""
        return self._gaps[0][0] if self._gaps else math.inf

    def look_at_gaps(self, *, now: float) -> None:
        """Consider the sessions whose gaps were waited for long enough."""
        while self._gaps and self._gaps[0][0] <= now:
            self.consider(heapq.heappop(self._gaps)[2], now=now)

    def consider(self, session: Session, *, now: float) -> None:
        """Put the session in line if its next frame may go, and let it go if a worker is free."""
        if session.owner and session.owner.draining and not session.in_flight:
            self.disown(session)
        if not session.queue or self._waits_for_gap(session, now):
            return
        if session.owner is None and session.queue[0].losses:
            # It goes alone, so it waits at one worker until that has nothing else.
            self._own(session, self._fleet.least_loaded())
        if session.owner is None:
            self._homeless.setdefault(session, next(self._turns))
        elif not session.owner.draining:
            session.owner.line.setdefault(session, next(self._turns))
        if worker := session.owner or self._fleet.freest():
            self.hand_out(worker, now=now)

    def hand_out(self, worker: Worker, *, now: float) -> None:
        """Give the worker frames while it has credits, one of each session in turn."""
        while worker.free_credits > 0:
            line = self._next_line(worker)
            if not line:
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
                worker.line[session] = next(self._turns)

    def _next_line(self, worker: Worker) -> dict[Session, int]:
        """Whose turn is first: the worker's own sessions', or those' that nobody owns."""
        own, homeless = worker.line, self._homeless
        if not (own and homeless):
            return own or homeless
        return own if next(iter(own.values())) < next(iter(homeless.values())) else homeless

    def disown(self, session: Session) -> None:
        """The session needs another owner, which will have another epoch."""
        if session.owner:
            session.owner.part_with(session)
            session.owner = None

    def forget(self, session: Session) -> None:
        """The session is no more: its owner, or any worker that can reach the store, drops it."""
        if worker := session.owner or self._fleet.least_loaded():
            forget = Forget(
                session_id=session.session_id, generation=session.video.generation, epoch=session.epoch
            )
            self._outbox.to_worker(worker.address, forget)
        self.let_go(session)

    def let_go(self, session: Session) -> None:
        """The session is in no line and has no owner any more."""
        self.disown(session)
        self._homeless.pop(session, None)

    def _own(self, session: Session, worker: Worker | None) -> None:
        if worker is None:
            return
        if session.had_owner:
            self._outbox.counters["sessions_moved"] += 1
            text = "session %s moved to worker %s"
            self._outbox.note(logging.INFO, text, session.session_id, worker.ready.name)
        self._homeless.pop(session, None)
        session.owner, session.had_owner = worker, True
        session.owned_under(self._serials.draw())
        worker.own(session)

    def _waits_for_gap(self, session: Session, now: float) -> bool:
        """Whether the session's next frame still waits for a missing one; if so, a timer is set.

        None where it waits for an answer: that makes us look again.
        """
        may_go_at = session.may_go_at(session.queue[0])
        if may_go_at <= now:
            return False
        if may_go_at < math.inf and may_go_at != session.gap_timer:
            session.gap_timer = may_go_at
            heapq.heappush(self._gaps, (may_go_at, next(self._turns), session))
        return True

    def _send_work(self, session: Session, worker: Worker, now: float) -> None:
        job, gap = session.hand_out_next(hand_out=next(self._hand_outs))
        assert job.picture is not None, "a frame in line has requests, and they its picture"
        if gap:
            self._outbox.counters["stepped_over"] += 1
        worker.take(job)
        job.mark = self._outbox.mark
        work = Work(
            request_id=job.frame.request_id,
            session_id=session.session_id,
            generation=job.video.generation,
            epoch=job.epoch,
            continues=job.continues,
            frame_number=job.frame_number,
            deadline_ms=max(1, round((job.deadline - now) * 1000)),
            options=job.frame.options,
            timestamp_ms=job.frame.timestamp_ms,
            fps=job.frame.fps,
            source=job.frame.source if job.frame.session_id is None else None,
            skipped=job.skipped,
            expired=job.expired,
            folded=job.video.folded,
            folded_under=job.video.folded_under,
            known_epoch=session.known_epoch,
            tried_epochs=session.tried_epochs,
        )
        self._fleet.tell(worker, work, now=now, payload=job.picture.payload)
