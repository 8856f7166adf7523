"""What the pipeline asks of a tracker, whichever it is: whom it expects in a frame, and who is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from wire.messages import Box
from workers.thumbnail import Thumbnail
from workers.types import Observation, Plan, TrackedPerson


class State(Protocol):
    """What a tracker remembers of a session: a plain value."""

    def to_bytes(self) -> bytes:
        """The state, to be read by the tracker's `read_state`."""


StateT = TypeVar("StateT", bound=State)


@dataclass(frozen=True, slots=True, eq=False)
class FrameFacts:
    """What the tracker has to know of a frame: its number in the session, its size in pixels, its looks.

    Without a thumbnail the frame is taken for one that follows the last. timestamp_ms, fps: its time in the
    video and the video's rate, as far as the caller says them. target: whom the caller wants to be primary
    from now on, pixels; see `workers.target`.
    """

    frame_number: int
    width: int
    height: int
    thumbnail: Thumbnail | None = None
    timestamp_ms: float | None = None
    fps: float | None = None
    target: Box | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Expected(Generic[StateT]):
    """A session's next frame, before anybody looked at it.

    view: what the tracker knows of the frame by then; it is the tracker's own, and nobody else reads it.
    """

    state: StateT
    facts: FrameFacts
    view: Any
    plan: Plan


@dataclass(frozen=True, slots=True, eq=False)
class Tracked(Generic[StateT]):
    """A session's next state, who is followed (by rising id), and the index of the primary person.

    new_shot: the frame shows another shot than the one before it.
    """

    state: StateT
    people: list[TrackedPerson]
    primary: int | None
    new_shot: bool = False


class Tracker(Protocol[StateT]):
    """Whoever follows people through sessions; it keeps nothing of any of them.

    The frames that it is given together are of different sessions, one of each. What it says of a frame
    does not depend on its company.
    """

    name: str

    def start(self) -> StateT:
        """The state of a session that has seen nothing."""

    def read_state(self, stored: bytes) -> StateT:
        """The state that became these bytes. Raises `ValueError` where they are not one of this tracker."""

    def expect(self, frames: Sequence[tuple[StateT, FrameFacts]]) -> list[Expected[StateT]]:
        """Where each frame's observer should expect the people of its session."""

    def follow(self, seen: Sequence[tuple[Expected[StateT], Sequence[Observation]]]) -> list[Tracked[StateT]]:
        """The sessions once people were observed, or nobody was, in the frames that `expect` told of."""
