"""What the broker keeps of requests, frames, sessions and workers while they are its business.

Records, and what follows from one record alone; `routing.py` and its parts decide. What each frame has is a
`Struct`, which is made in a fifth of the time that a dataclass takes.
"""

import math
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from broker.order import FrameOrder
from broker.receipts import Receipts
from wire.messages import Frame, Ready

#: Owners without a result that are remembered; a frame is given up after fewer.
_TRIED = 16


class Picture(Struct, frozen=True, eq=False):
    """The payload of a request, unread."""

    payload: Sequence[object]
    size_bytes: int
    digest: int  # tells it from other pictures


class Request(Struct, eq=False):
    """One open request: it waits for a frame's answer; a repeated frame has several."""

    clients: list[bytes]  # routing ids of the connections over which it came, in any order
    frame: Frame
    digest: int
    arrived_at: float  # seconds, the core's clock
    deadline: float  # seconds
    job: "Job | None" = None  # None: it waits in the lobby
    open: bool = True  # not answered yet


class Job(Struct, eq=False):
    """One frame on its way to one answer."""

    frame: Frame  # of its first request
    frame_number: int  # in its session, which may count otherwise than the client
    session: "Session"
    video: "Video"
    picture: Picture | None  # None: let go, nobody waits for the answer any more
    admitted_at: float  # seconds
    arrival: int  # counts all frames
    requests: list[Request] = []  # that wait for it
    hand_out: int | None = None  # counts all hand-outs; None: never handed out
    mark: int = 0  # when it was handed out last, as the outbox counts
    epoch: int = 0  # under which it was handed out last
    continues: bool = False  # of `Work`, as these: settled when it goes out first
    skipped: int = 0
    expired: int = 0
    deaths: int = 0  # workers that ended while they held it
    silences: int = 0  # workers that fell silent while they held it

    @property
    def losses(self) -> int:
        """Workers lost while they held it."""
        return self.deaths + self.silences

    @property
    def place(self) -> tuple[int, ...]:
        """Where it stands in its session: what was handed out before goes first, as it went then."""
        if self.hand_out is not None:
            return (0, self.hand_out)
        return (1, self.video.generation, self.frame_number, self.arrival)

    @property
    def deadline(self) -> float:
        """The last of its requests' deadlines, seconds."""
        if len(self.requests) == 1:
            return self.requests[0].deadline
        return max(request.deadline for request in self.requests)


@dataclass(slots=True, eq=False)
class Video:
    """One video of a session."""

    generation: int
    receipts: Receipts = field(default_factory=Receipts)
    frames_out: int = 0  # frames of it that went out, as far as is known
    zero_digest: int | None = None  # of its frame 0
    folded: int = 0  # frames in its state, as its last result said
    folded_under: int = 0  # the epoch of that result


@dataclass(slots=True, eq=False)
class Session:
    """One video, or several one after the other."""

    session_id: str
    order: FrameOrder  # of the newest video
    video: Video  # the newest
    active_at: float  # of the last arrival or answer, seconds
    answered_at: float = 0.0  # of the last answer, seconds
    epoch: int = 0
    known_epoch: int = 0  # of the last owner whose results are known here
    tried_epochs: tuple[int, ...] = ()  # of owners since then, who gave none
    owner: "Worker | None" = None
    had_owner: bool = False
    queue: list[Job] = field(default_factory=list)  # sorted by place
    in_flight: int = 0
    outstanding: int = 0  # open requests, waiting or in flight
    open_jobs: dict[tuple[int, int], Job] = field(default_factory=dict)  # (generation, frame number)
    gap_timer: float = 0.0  # latest time for which a gap timer is set
    is_gone: bool = False  # another broker had it, and it is learnt anew under its id

    @property
    def quiet(self) -> bool:
        """Nothing of it is under way."""
        return not self.queue and not self.in_flight

    def begin_video(self, generation: int) -> None:
        """What comes from now on belongs to another video."""
        self.video = Video(generation)
        self.order.restart()

    def twin(self, frame_number: int, request: Request) -> Job | None:
        """The job that a repeat may join: the same frame of the same picture, with the same wishes."""
        job = self.open_jobs.get((self.video.generation, frame_number))
        if job is None or job.picture is None or job.picture.digest != request.digest:
            return None
        return job if job.frame.options == request.frame.options else None

    def add(self, job: Job) -> None:
        """Take a new frame in."""
        self.open_jobs[job.video.generation, job.frame_number] = job
        self.order.arrived(job.frame_number, outstanding=self.outstanding)
        self.enqueue(job)

    def waiting_for(self, frame_number: int) -> list[Job]:
        """The frames in line that frame `frame_number` has yet to come before, the last first."""
        is_late = self.order.newest is not None and frame_number <= self.order.newest
        if is_late or (self.video.generation, frame_number) in self.open_jobs:
            return []
        newer = (job for job in self.queue if job.hand_out is None and job.video is self.video)
        return [job for job in newer if job.frame_number > frame_number][::-1]

    def owned_under(self, epoch: int) -> None:
        """It has another owner."""
        if self.epoch > self.known_epoch:
            self.tried_epochs = (*self.tried_epochs[1 - _TRIED :], self.epoch)
        self.epoch = epoch

    def knows(self, epoch: int) -> None:
        """What was folded until then is known, whoever did it."""
        if epoch > self.known_epoch:
            self.known_epoch, self.tried_epochs = epoch, ()

    def enqueue(self, job: Job) -> None:
        """Put `job` at its place in line."""
        if self.queue:
            insort(self.queue, job, key=lambda queued: queued.place)
        else:
            self.queue.append(job)

    def may_go_at(self, job: Job) -> float:
        """When the first job of the queue may be handed out, seconds."""
        if job.hand_out is not None or job.video is not self.video:
            return job.admitted_at
        wait_s = self.order.wait_s(job.frame_number, outstanding=self.outstanding)
        if not wait_s:
            return job.admitted_at
        if self.in_flight:
            # What is missing may be what the client sends next, once it has an answer.
            return math.inf
        return max(job.admitted_at, self.answered_at) + wait_s

    def hand_out_next(self, *, hand_out: int) -> tuple[Job, bool]:
        """The first job of the queue, which goes out now; and whether that steps over a gap."""
        job, gap = self.queue.pop(0), False
        if job.hand_out is None:
            job.hand_out = hand_out
            job.continues = job.video.frames_out > 0
            job.video.frames_out += 1
            job.video.receipts.went_out(job.frame_number)
            job.skipped, job.expired = job.video.receipts.skipped, job.video.receipts.expired
            gap = job.video is self.video and self.order.handed_out(
                job.frame_number, outstanding=self.outstanding
            )
        job.epoch = self.epoch
        self.in_flight += 1
        return job, gap

    def give_up(self, job: Job, *, expired: bool) -> None:
        """Go on without a frame that will not go out, or not again."""
        job.video.receipts.gave_up(job.frame_number, expired=expired)
        if job in self.queue:
            self.queue.remove(job)
        if job.video is self.video:
            self.order.stepped_over(job.frame_number)

    def close(self, job: Job) -> None:
        """No repeat joins `job` from now on."""
        key = (job.video.generation, job.frame_number)
        if self.open_jobs.get(key) is job:
            del self.open_jobs[key]


@dataclass(slots=True, eq=False)
class Worker:
    """One worker's connection."""

    address: bytes  # routing id of its connection
    serial: int  # counts the workers, first come first
    ready: Ready
    heard_at: float  # seconds
    spoken_at: float  # when we sent it something last, seconds
    changed: "dict[Worker, None]"  # of all workers, whose load was not looked at since it changed
    draining: bool = False
    store: Mapping[str, int] = field(default_factory=dict)  # as it said last
    in_flight: dict[bytes, Job] = field(default_factory=dict)  # in the order of hand-out
    suspects: int = 0  # frames of those in flight with which a worker was lost before
    sessions: dict[Session, None] = field(default_factory=dict)  # its own, the first that it got first
    line: dict[Session, int] = field(default_factory=dict)  # its sessions with a frame to go -> turn

    @property
    def free_credits(self) -> int:
        """Frames it can take now."""
        return 0 if self.draining else self.ready.credits - len(self.in_flight)

    @property
    def has_room(self) -> bool:
        """Whether it can take a frame with which no worker was lost."""
        return not self.suspects and self.free_credits > 0

    def accepts(self, job: Job) -> bool:
        """Whether `job` may join what the worker holds.

        A frame that was held when a worker was lost goes alone: if the next one is lost
        too, it is known whose fault it was.
        """
        return self.has_room and not (job.losses and self.in_flight)

    def take(self, job: Job) -> None:
        """It is given the frame."""
        self.in_flight[job.frame.request_id] = job
        self.suspects += job.losses > 0
        self.changed[self] = None

    def give_back(self, job: Job) -> None:
        """It holds the frame no longer."""
        del self.in_flight[job.frame.request_id]
        job.session.in_flight -= 1
        self.suspects -= job.losses > 0
        self.changed[self] = None

    def own(self, session: Session) -> None:
        """The session is its own."""
        self.sessions[session] = None
        self.changed[self] = None

    def part_with(self, session: Session) -> None:
        """The session is its own no longer."""
        self.sessions.pop(session, None)
        self.line.pop(session, None)
        self.changed[self] = None
