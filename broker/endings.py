"""Ends of frames: their pictures are let go, and who waits for one without a result is told why.

Pure.
"""

from broker.jobs import Job
from broker.requests import OpenRequests
from wire.errors import PoseError


class Endings:
    """How a frame that has its place in a session ends."""

    def __init__(self, requests: OpenRequests) -> None:
        self._requests = requests

    def end(self, job: Job) -> None:
        """Nobody waits for the job, and no worker holds it."""
        self.let_go(job)
        self._requests.landed(job)

    def let_go(self, job: Job) -> None:
        """Let go of the picture; a repeat of this frame is a new job from now on."""
        job.session.close(job)
        if job.picture:
            self._requests.let_go(job.picture)
            job.picture = None

    def fail(self, job: Job, error: PoseError, *, counter: str) -> None:
        """All who wait for the frame are refused it, and its session goes on without."""
        for request in list(job.requests):
            self._requests.refuse(request, error, counter=counter)
        self.give_up(job, expired=False)

    def displace(self, job: Job, *, now: float) -> None:
        """The frame has to come again: an earlier one, for which it waits, gets its room."""
        job.session.queue.remove(job)
        self._requests.displace(job, now=now)
        self.end(job)

    def give_up(self, job: Job, *, expired: bool) -> None:
        """Nobody waits for the frame any more, and its session goes on without."""
        job.session.give_up(job, expired=expired)
        self.end(job)
