"""Bugs to be planted: a simulation that finds none of them proves nothing."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from msgspec.structs import replace

import broker.losses
import broker.routing
import broker.sessions
import broker.terms
import workers.memory_store
import workers.sessions
from broker.order import FrameOrder
from wire.messages import Failure, Result
from workers.store import SessionHead


def epochs_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    """The broker takes any worker's answer for a frame that some worker holds."""
    answer = broker.routing.Routing.answer

    def taken(self: Any, address: bytes, message: Result | Failure, payload: Any, *, now: float) -> None:
        for worker in self._fleet:
            if job := worker.in_flight.get(message.request_id):
                job.epoch = message.epoch
                return answer(self, worker.address, message, payload, now=now)
        return answer(self, address, message, payload, now=now)

    patch.setattr(broker.routing.Routing, "answer", taken)


def answers_leave_before_they_are_stored(patch: pytest.MonkeyPatch) -> None:
    """What a frame gave is stored with the next frame."""
    commit = workers.memory_store.MemoryStore.commit
    late: dict[int, tuple[Any, ...]] = {}

    def stored_later(self: Any, *frame: Any) -> bool:
        before = late.pop(id(self), None)
        late[id(self)] = frame
        return commit(self, *before) if before else True

    patch.setattr(workers.memory_store.MemoryStore, "commit", stored_later)


def any_record_counts(patch: pytest.MonkeyPatch) -> None:
    """Who takes a session over reads its oldest owner's record."""

    def oldest(heads: Iterable[SessionHead]) -> SessionHead | None:
        return min(heads, key=lambda head: head.epoch, default=None)

    patch.setattr(workers.memory_store, "newest", oldest)
    patch.setattr(workers.memory_store, "check_owner", lambda *_, **__: None)


def nobody_is_asked_for_a_session_that_is_new_here(patch: pytest.MonkeyPatch) -> None:
    """A broker begins it, whatever another one has made of it."""
    patch.setattr(broker.sessions.Sessions, "is_stranger", lambda *_: False)


def what_another_broker_has_had_is_taken(patch: pytest.MonkeyPatch) -> None:
    """A broker that goes on after a pause works on what it held, or had not read."""
    patch.setattr(broker.terms.Terms, "is_over", lambda *_: False)


def repeats_are_folded_again(patch: pytest.MonkeyPatch) -> None:
    """A worker does not know a frame that it has folded."""
    open_ = workers.sessions.Sessions.open

    def forgetful(self: Any, *args: Any, **named: Any) -> Any:
        session = open_(self, *args, **named)
        session.answers.clear()
        return session

    patch.setattr(workers.sessions.Sessions, "open", forgetful)


def a_restarted_broker_recalls_nothing(patch: pytest.MonkeyPatch) -> None:
    """It begins all sessions anew."""
    patch.setattr(broker.sessions.Sessions, "recall", lambda *_, **__: None)


def nobody_waits_for_a_missing_frame(patch: pytest.MonkeyPatch) -> None:
    """Frames go out as they arrive."""
    patch.setattr(FrameOrder, "wait_s", lambda *_, **__: 0.0)


def poison_is_handed_out_for_ever(patch: pytest.MonkeyPatch) -> None:
    """No frame is blamed for the workers that end with it."""
    patch.setattr(broker.losses, "_POISON_DEATHS", 10**6)
    patch.setattr(broker.losses, "_POISON_LOSSES", 10**6)


def generations_come_again(patch: pytest.MonkeyPatch) -> None:
    """A second video of a session is stored as its first."""
    take_over = workers.memory_store.MemoryStore.take_over

    def of_any(self: Any, session_id: str, generation: int, epoch: int, **more: Any) -> Any:
        known = [
            video for shelf in self._memory.shelves.values() for video in shelf if video[0] == session_id
        ]
        earlier = max((other for _, other in known), default=generation)
        found = take_over(self, session_id, earlier, epoch, **more)
        return found and replace(found, head=replace(found.head, generation=generation))

    patch.setattr(workers.memory_store.MemoryStore, "take_over", of_any)


BUGS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    epochs_are_not_checked,
    answers_leave_before_they_are_stored,
    any_record_counts,
    nobody_is_asked_for_a_session_that_is_new_here,
    what_another_broker_has_had_is_taken,
    repeats_are_folded_again,
    a_restarted_broker_recalls_nothing,
    nobody_waits_for_a_missing_frame,
    poison_is_handed_out_for_ever,
    generations_come_again,
)
