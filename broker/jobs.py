"""What the broker keeps of frames, sessions and workers while they are its business.

Plain records for `routing.py`, which alone changes them and decides.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from broker.order import FrameOrder
from wire.messages import Frame, Ready


@dataclass(slots=True, eq=False)
class Waiter:
    """One request that waits for a frame's answer; a repeated frame has several."""

    client: bytes  # routing id of the client's connection
    request_id: bytes
    deadline: float  # seconds, the core's clock
    job: "Job"
    open: bool = True  # not answered yet


@dataclass(slots=True, eq=False)
class Job:
    """One frame on its way to one answer."""

    request: Frame  # of its first request
    session: "Session"
    generation: int
    digest: int
    payload: Sequence[object]
    payload_bytes: int
    arrived_at: float
    arrival: int  # counts all frames
    waiters: list[Waiter] = field(default_factory=list)
    hand_out: int | None = None  # counts all hand-outs; None: never handed out
    epoch: int = 0  # under which it was handed out last
    continues: bool = False  # frames of its video had gone out before it did
    lost: int = 0  # workers lost while they held it

    @property
    def place(self) -> tuple[int, ...]:
        """Where it stands in its session: what was handed out before goes first, as it went then."""
        if self.hand_out is not None:
            return (0, self.hand_out)
        return (1, self.generation, self.request.frame_number, self.arrival)

    @property
    def deadline(self) -> float:
        """The last of its requests' deadlines, seconds."""
        return max(waiter.deadline for waiter in self.waiters)


@dataclass(slots=True, eq=False)
class Session:
    """One video, or several one after the other: generations."""

    session_id: str
    order: FrameOrder
    active_at: float  # of the last arrival or answer, seconds
    generation: int = 0
    epoch: int = 0
    owner: "Worker | None" = None
    had_owner: bool = False
    queue: list[Job] = field(default_factory=list)  # sorted by place
    in_flight: int = 0
    outstanding: int = 0  # open requests, waiting or in flight
    open_jobs: dict[tuple[int, int], Job] = field(default_factory=dict)  # (generation, frame number)
    zero_digest: int | None = None  # of this generation's frame 0
    gap_timer: float = 0.0  # latest time for which a gap timer is set

    def enqueue(self, job: Job) -> None:
        """Put `job` at its place."""
        insort(self.queue, job, key=lambda queued: queued.place)

    def may_go_at(self, job: Job) -> float:
        """When the first job of the queue may be handed out, seconds."""
        if job.hand_out is not None or job.generation < self.generation:
            return job.arrived_at
        wait_s = self.order.wait_s(job.request.frame_number, outstanding=self.outstanding)
        return job.arrived_at + wait_s


@dataclass(slots=True, eq=False)
class Worker:
    """One worker's connection."""

    address: bytes  # routing id of its connection
    ready: Ready
    heard_at: float  # seconds
    spoken_at: float  # when we sent it something last, seconds
    draining: bool = False
    in_flight: OrderedDict[bytes, Job] = field(default_factory=OrderedDict)  # in the order of hand-out
    sessions: set[Session] = field(default_factory=set)
    runnable: dict[Session, int] = field(default_factory=dict)  # session -> its turn

    @property
    def free_credits(self) -> int:
        """Frames it can take now."""
        return 0 if self.draining else self.ready.credits - len(self.in_flight)

    def accepts(self, job: Job) -> bool:
        """Whether `job` may join what the worker holds.

        A frame that was held when a worker was lost goes alone: if the next one is lost
        too, it is known whose fault it was.
        """
        if self.free_credits <= 0:
            return False
        return not self.in_flight if job.lost else not any(held.lost for held in self.in_flight.values())
