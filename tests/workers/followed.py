"""Trackers that follow stick people, frame by frame, and their answers in a form that can be compared."""

from tests.workers.stick_people import HEIGHT, WIDTH, Person
from workers.phalp.state import SessionState
from workers.phalp.tracker import Tracker
from workers.tracker import FrameFacts
from workers.types import Observation, TrackedPerson

Frames = list[list[Observation]]


def facts(number: int) -> FrameFacts:
    return FrameFacts(number, WIDTH, HEIGHT)


def follow(
    tracker: Tracker, frames: Frames, *, state: SessionState | None = None, first: int = 0
) -> tuple[SessionState, list[list[TrackedPerson]], list[int | None]]:
    """Fold frames `first`, `first` + 1, ... and collect what is answered."""
    state = state or tracker.start()
    answers, primaries = [], []
    for number, observations in enumerate(frames, start=first):
        state, people, primary = tracker.track(state, facts(number), observations)
        answers.append(people)
        primaries.append(primary)
    return state, answers, primaries


def walk(person: Person, count: int, *, noise: float = 0.02, first: int = 0) -> Frames:
    return [[person.observed(frame, noise=noise)] for frame in range(first, first + count)]


def numbers_of(people: list[TrackedPerson]) -> list[object]:
    """Everything in an answer, comparable bit by bit."""
    return [
        (
            one.track_id,
            one.state,
            one.frames_since_detected,
            one.confidence,
            *(
                array.tobytes()
                for array in (
                    one.pose.rotations,
                    one.pose.betas,
                    one.pose.translation,
                    one.box,
                    one.joint_confidence,
                )
            ),
        )
        for one in people
    ]
