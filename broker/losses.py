"""What becomes of frames that a worker will not answer: it is lost, or another broker has their session.

Pure: time is an argument. `fleet.py` finds who is lost.
"""

import logging

from broker.dispatch import Dispatch
from broker.endings import Endings
from broker.fleet import Fleet
from broker.intake import Intake
from broker.jobs import Job, Worker
from broker.outbox import Outbox
from broker.serials import Serials
from broker.sessions import Sessions
from wire.errors import PoisonFrame

#: So many workers ended while they held a frame: it was the frame.
_POISON_DEATHS = 2

#: So many ended or fell silent. A worker may be paused, or starved, without its frame's doing, and
#: come back; that this happens twice to one frame must not cost it.
_POISON_LOSSES = 3


class Losses:
    """Frames go back to the front of their sessions, and sessions to other owners."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        is_one_of_several: bool,
        serials: Serials,
        fleet: Fleet,
        dispatch: Dispatch,
        sessions: Sessions,
        intake: Intake,
        endings: Endings,
    ) -> None:
        """`is_one_of_several`: other brokers may have sessions of this one."""
        self._outbox = outbox
        self._is_one_of_several = is_one_of_several
        self._serials = serials
        self._fleet = fleet
        self._dispatch = dispatch
        self._sessions = sessions
        self._intake = intake
        self._endings = endings

    def lose(self, worker: Worker, reason: str, *, now: float, died: bool) -> None:
        """Give a worker up: its frames go back to the front, its sessions to others."""
        self._fleet.remove(worker)
        self._intake.worker_lost(worker.address)
        self._note(worker, reason)
        for job in list(worker.in_flight.values()):
            worker.give_back(job)
            if self._outbox.is_sent(job.mark):  # else it never got there, and is not to blame
                job.deaths += died
                job.silences += not died
            self._take_back(job, now)
        sessions = sorted(worker.sessions, key=lambda session: session.epoch)
        for session in sessions:
            self._dispatch.disown(session)
        for session in sessions:
            self._dispatch.consider(session, now=now)

    def supersede(self, job: Job, by: int, *, now: float) -> None:
        """The store has another owner, `by`, for the job's session, of whom nothing was known here."""
        self._serials.rise_above(by)
        if self._is_one_of_several:
            self._learn_anew(job, by, now)
            return
        # It was given by the broker before this one, whose clock was ahead of ours.
        if job.epoch == job.session.epoch:  # else somebody has it already, for an earlier frame's sake
            self._dispatch.disown(job.session)
        job.session.knows(by)
        self._take_back(job, now)
        self._dispatch.consider(job.session, now=now)

    def _learn_anew(self, job: Job, by: int, now: float) -> None:
        """Nothing that is under way of the session counts, and no answer of a worker is waited for."""
        session = job.session
        with_workers = [
            held for worker in self._fleet for held in worker.in_flight.values() if held.session is session
        ]
        jobs = [job, *with_workers, *session.queue]
        session.queue.clear()
        self._sessions.superseded(session, by=by)
        for each in sorted(jobs, key=lambda each: each.place):
            self._intake.place_again(each, now=now, is_out=each in with_workers)

    def _take_back(self, job: Job, now: float) -> None:
        if job.session.is_gone:
            self._intake.place_again(job, now=now)
        elif not job.requests:
            self._endings.give_up(job, expired=True)
        elif job.deaths >= _POISON_DEATHS or job.losses >= _POISON_LOSSES:
            text = "session %s frame %d: its worker was lost %d times; stepped over"
            self._outbox.note(logging.ERROR, text, job.session.session_id, job.frame_number, job.losses)
            poison = PoisonFrame(f"the worker was lost {job.losses} times with this frame")
            self._endings.fail(job, poison, counter="poisoned")
        else:
            self._outbox.counters["redispatched"] += 1
            job.session.enqueue(job)

    def _note(self, worker: Worker, reason: str) -> None:
        name, held = worker.ready.name, len(worker.in_flight)
        if worker.draining and not held:
            self._outbox.note(logging.INFO, "worker %s left", name)
            return
        self._outbox.counters["workers_lost"] += 1
        text = "worker %s lost with %d frames and %d sessions: %s"
        self._outbox.note(logging.WARNING, text, name, held, len(worker.sessions), reason)
