"""From frames in hand to replies: each is folded into its session once, and stored before it is answered."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Generic

from wire.errors import Internal, PoseError
from wire.messages import Work
from workers import replies
from workers.job import Job
from workers.pipeline import Drawn, Folded, FrameAnswer, Pipeline
from workers.replies import Makers, Reply
from workers.sessions import Given, Session, Sessions
from workers.store import Superseded
from workers.tracker import StateT
from workers.types import Progress

log = logging.getLogger(__name__)


class Folding(Generic[StateT]):
    """A worker's pipeline, over the sessions that it folds."""

    def __init__(self, *, pipeline: Pipeline[StateT], sessions: Sessions[StateT, FrameAnswer]) -> None:
        self._pipeline = pipeline
        self._sessions = sessions
        self._makers = Makers(
            observer=pipeline.observer.name,
            tracker=pipeline.tracker.name,
            model_version=pipeline.observer.model_version,
        )

    def replies(self, jobs: Sequence[Job], on_progress: Progress) -> list[Reply]:
        """The replies to one frame of each of several sessions; a repeat is not folded again.

        `on_progress` is called between the parts of a batch, and while networks work.
        """
        told = []
        fresh = []
        for job in jobs:
            on_progress()  # a store on a server may be slow
            try:
                key = job.key
                session = self._sessions.open(job.work, now=time.time())
                known = session.answers.get(key)
                if known is None:
                    fresh.append((job, session))
                else:
                    drawn = self._pipeline.repeat(known.answer, job.frame)
                    told.append(self._result(job.work, session, known, drawn))
            except PoseError as error:  # `PictureGone`, `Superseded`; `InvalidImage`, lent for a repeat
                told.append(replies.failure(job.work, error))
        for (job, session), outcome in zip(fresh, self._fold(fresh, on_progress), strict=True):
            if isinstance(outcome, Folded):
                on_progress()
                told.append(self._commit(job, session, outcome))
            else:
                told.append(replies.failure(job.work, outcome))
        return told

    def _fold(
        self, fresh: list[tuple[Job, Session[StateT, FrameAnswer]]], on_progress: Progress
    ) -> list[Folded[StateT] | PoseError]:
        try:
            states = [(session.state, job.frame) for job, session in fresh]
            return self._pipeline.fold(states, on_progress=on_progress)
        except Exception:
            # A bug of ours: nobody else can name it, and the other sessions go on.
            log.exception("frames failed: %s", [(job.work.session_id, job.key[0]) for job, _ in fresh])
        if len(fresh) == 1:
            return [Internal("an internal error; the log of the service tells more")]
        return [outcome for item in fresh for outcome in self._fold([item], on_progress)]

    def _commit(self, job: Job, session: Session[StateT, FrameAnswer], folded: Folded[StateT]) -> Reply:
        """Store what a frame gave; its reply."""
        started = time.perf_counter()
        try:
            given = self._sessions.commit(
                session, job.work, job.key, state=folded.state, answer=folded.answer, now=time.time()
            )
        except Superseded as error:
            return replies.failure(job.work, error)
        store_ms = (time.perf_counter() - started) * 1e3
        return self._result(job.work, session, given, folded.drawn, {"store": store_ms})

    def _result(
        self,
        work: Work,
        session: Session[StateT, FrameAnswer],
        given: Given[FrameAnswer],
        drawn: Drawn,
        more_stages_ms: Mapping[str, float] = {},
    ) -> Reply:
        return replies.result(
            work, session.head, given, drawn, makers=self._makers, more_stages_ms=more_stages_ms
        )
