"""What a worker goes on from: its memory, the store, or nothing; each frame once along the line of owners."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import Source, Work
from workers.memory_store import Memory, MemoryStore
from workers.sessions import Codec, Session, Sessions
from workers.store import SessionHead, StoredAnswer, StoredSession, Superseded

Line = tuple[int, ...]  # the frames that were folded, in their order: a state by which every fold shows

KEPT = 4


class Unreadable(ValueError):
    """The bytes are no line of frames."""


def decoded(stored: bytes) -> Line:
    if b"?" in stored:
        raise Unreadable("not a line")
    return tuple(stored)


LINES: Codec[Line] = Codec(bytes, decoded)


def sessions(memory: Memory, worker: str = "a", **more: Any) -> Sessions[Line, Line]:
    """A worker's sessions, as a process that has just started has them."""
    store = more.pop("store", None) or MemoryStore(memory, worker, kept_answers=KEPT, idle_s=300.0)
    return Sessions(store=store, start=tuple, states=LINES, answers=LINES, kept_answers=KEPT, **more)


def work(number: int, *, epoch: int = 1, generation: int = 1, **more: Any) -> Work:
    facts: dict[str, Any] = {"session_id": "dance", "continues": number > 0, "deadline_ms": 1000}
    return Work(
        request_id=bytes(16), epoch=epoch, generation=generation, frame_number=number, **(facts | more)
    )


def fold(held: Sessions[Line, Line], frame: Work, *, now: float = 0.0) -> tuple[Session[Line, Line], Line]:
    """What the loop does with a frame: a repeat is looked up, else folded and stored. The answer, too."""
    session = held.open(frame, now=now)
    key = (frame.frame_number, 1000 + frame.frame_number, 0)
    known = session.answers.get(key)
    if known is None:
        line = (*session.state, frame.frame_number)
        known = held.commit(session, frame, key, state=line, answer=line, now=now)
    return session, known.answer


@pytest.fixture
def memory() -> Memory:
    return Memory()


def test_a_video_goes_on_in_memory(memory: Memory) -> None:
    worker = sessions(memory)

    for number in range(3):
        session, answer = fold(worker, work(number))

    assert answer == (0, 1, 2)
    assert session is worker.open(work(3), now=0.0)
    assert session.head.history == "complete"


def test_a_repeat_gets_its_answer_with_what_was_true_then(memory: Memory) -> None:
    worker = sessions(memory)
    fold(worker, work(0, skipped=2, expired=1))
    fold(worker, work(1, skipped=5))

    heir = sessions(memory, "b")
    session, answer = fold(heir, work(0, epoch=2, skipped=5))

    assert answer == (0,)
    given = session.answers[(0, 1000, 0)]
    assert (given.history, given.skipped, given.expired) == ("complete", 2, 1)
    assert session.head.folded == 2


def test_a_frame_with_another_picture_is_none_that_came_before(memory: Memory) -> None:
    worker = sessions(memory)
    session, _ = fold(worker, work(0))

    assert (0, 4711) not in session.answers


def test_an_heir_goes_on_and_says_restored(memory: Memory) -> None:
    former, heir = sessions(memory, "a"), sessions(memory, "b")
    for number in range(6):
        fold(former, work(number))

    session, answer = fold(heir, work(6, epoch=2))

    assert answer == (0, 1, 2, 3, 4, 5, 6)
    assert session.head.history == "restored"
    assert (heir.restored, heir.cold) == (1, 0)


def test_a_frame_that_was_stored_and_not_answered_is_answered_by_the_heir(memory: Memory) -> None:
    former, heir = sessions(memory, "a"), sessions(memory, "b")
    fold(former, work(0))
    fold(former, work(1))

    _, answer = fold(heir, work(1, epoch=2))

    assert answer == (0, 1)


def test_a_video_that_went_on_elsewhere_and_left_nothing_is_cold_for_good(memory: Memory) -> None:
    session, _ = fold(sessions(memory, "a"), work(5))
    assert session.head.history == "cold"

    heir, heirs_heir = sessions(memory, "b"), sessions(memory, "c")
    assert fold(heir, work(6, epoch=2))[0].head.history == "cold"
    assert fold(heirs_heir, work(7, epoch=3))[0].head.history == "cold"
    assert (heir.cold, heirs_heir.restored) == (0, 1)


def test_another_video_of_the_session_starts_anew(memory: Memory) -> None:
    worker = sessions(memory)
    fold(worker, work(0))
    fold(worker, work(1))

    session, answer = fold(worker, work(0, generation=5))

    assert answer == (0,)
    assert session.head.history == "complete"


def test_who_kept_a_video_all_the_time_stays_complete_under_a_new_epoch(memory: Memory) -> None:
    # The broker was restarted, and nobody else had the session.
    worker = sessions(memory)
    fold(worker, work(0))

    session, answer = fold(worker, work(1, epoch=9))

    assert answer == (0, 1)
    assert session.head.history == "complete"
    assert worker.restored == 0


def test_who_gets_a_video_back_goes_on_from_what_the_other_left(memory: Memory) -> None:
    first, second = sessions(memory, "a"), sessions(memory, "b")
    fold(first, work(0))
    fold(second, work(1, epoch=2))

    session, answer = fold(first, work(2, epoch=3))

    assert answer == (0, 1, 2)
    assert session.head.history == "restored"


def test_a_former_owner_goes_on_for_itself_and_harms_nobody(memory: Memory) -> None:
    former, owner = sessions(memory, "a"), sessions(memory, "b")
    fold(former, work(0))
    fold(owner, work(1, epoch=2))

    fold(former, work(1))  # was in its hands when it was given up
    fold(former, work(2))

    assert fold(owner, work(2, epoch=2))[1] == (0, 1, 2)
    assert fold(sessions(memory, "c"), work(3, epoch=3))[1] == (0, 1, 2, 3)


def test_a_former_owner_that_forgot_is_told_so(memory: Memory) -> None:
    fold(sessions(memory, "a"), work(0, epoch=5))

    with pytest.raises(Superseded):
        sessions(memory, "b").open(work(1, epoch=4), now=0.0)


def test_a_state_that_cannot_be_read_is_named_and_the_video_starts_cold(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    fold(sessions(memory, "a"), work(0))
    record = memory.shelves["a"]["dance", 1]
    broken = type(record)(record.head, b"?", record.answers)
    memory.shelves["a"]["dance", 1] = broken
    heir = sessions(memory, "b")

    session, repeated = fold(heir, work(0, epoch=2))
    _, answer = fold(heir, work(1, epoch=2))

    assert "Unreadable: not a line" in caplog.text
    assert repeated == (0,), "its answer can still be read"
    assert answer == (1,)
    assert session.head.history == "cold"
    assert heir.cold == 1


def test_an_answer_that_cannot_be_read_costs_only_itself(memory: Memory) -> None:
    former = sessions(memory, "a")
    fold(former, work(0))
    fold(former, work(1))
    record = memory.shelves["a"]["dance", 1]
    first = record.answers[0]
    broken = StoredAnswer(first.seen, first.history, first.skipped, first.expired, b"?")
    memory.shelves["a"]["dance", 1] = type(record)(record.head, record.state, [broken, record.answers[1]])

    session = sessions(memory, "b").open(work(2, epoch=2), now=0.0)

    assert list(session.answers) == [(1, 1001, 0)]
    assert session.state == (0, 1)


def test_more_sessions_than_fit_into_memory_are_read_back(memory: Memory) -> None:
    worker = sessions(memory, held_sessions=2)
    for number in range(3):
        for name in ("one", "two", "three"):
            session, answer = fold(worker, work(number, session_id=name))
            assert len(answer) == number + 1

    assert session.head.history == "complete"
    assert (worker.restored, worker.cold) == (0, 0)


def test_a_forgotten_video_is_dropped_from_memory_and_store(memory: Memory) -> None:
    worker = sessions(memory)
    fold(worker, work(0))

    worker.forget("dance", 1, epoch=9, now=1.0)

    assert worker.recalled(now=1.0, max_sessions=9) == []
    assert fold(worker, work(1, epoch=2), now=1.0)[0].head.history == "cold"


def test_a_late_word_to_forget_spares_the_video_after(memory: Memory) -> None:
    worker = sessions(memory)
    fold(worker, work(0))
    fold(worker, work(0, generation=5))

    worker.forget("dance", 1, epoch=9, now=1.0)

    assert fold(worker, work(1, generation=5), now=1.0)[1] == (0, 1)


def test_what_a_new_broker_learns(memory: Memory) -> None:
    worker = sessions(memory)
    source = Source(client="10.0.0.1", width_px=640, height_px=360, thumbnail=b"grey")
    for number in range(6):
        fold(worker, work(number, source=source, skipped=number))

    (held,) = sessions(memory, "b").recalled(now=1.0, max_sessions=9)

    assert held.source == Source(client="10.0.0.1", width_px=640, height_px=360)
    assert [frame.frame_number for frame in held.frames] == [0, 2, 3, 4, 5]
    assert held.frames[-1].digest == 1005
    assert held.frames[-1].thumbnail == b"grey"
    assert held.skipped == 5


class _FullStore(MemoryStore):
    """A disk that takes nothing more: it drops what it cannot bring up to date, as every store does."""

    def commit(self, head: SessionHead, state: bytes, answer: StoredAnswer) -> bool:
        super().commit(head, state, answer)
        self.forget(head.session_id, head.generation, epoch=head.epoch, now=head.stored_at)
        return False


def test_what_cannot_be_stored_is_answered_and_an_heir_says_cold(memory: Memory) -> None:
    fold(sessions(memory, "a"), work(0))
    full = sessions(memory, store=_FullStore(memory, "b", kept_answers=KEPT, idle_s=300.0))

    assert fold(full, work(1, epoch=2))[1] == (0, 1)
    assert fold(full, work(2, epoch=2))[1] == (0, 1, 2)
    assert fold(sessions(memory, "c"), work(3, epoch=3))[0].head.history == "cold"


class _LostStore(MemoryStore):
    """A server that cannot be reached any more: what it has stays as it is."""

    is_lost = False

    def take_over(self, *video: Any, **known: Any) -> StoredSession | None:
        return None if self.is_lost else super().take_over(*video, **known)

    def commit(self, head: SessionHead, state: bytes, answer: StoredAnswer) -> bool:
        return not self.is_lost and super().commit(head, state, answer)


def with_lost_stores(memory: Memory, *workers: str) -> dict[str, tuple[_LostStore, Sessions[Line, Line]]]:
    stores = {name: _LostStore(memory, name, kept_answers=KEPT, idle_s=300.0) for name in workers}
    return {name: (store, sessions(memory, store=store)) for name, store in stores.items()}


def test_a_stored_state_that_lacks_answered_frames_is_not_gone_on_from(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    ((store, worker), (_, heir)) = with_lost_stores(memory, "a", "b").values()
    fold(worker, work(0))
    store.is_lost = True
    fold(worker, work(1))

    session, answer = fold(heir, work(2, epoch=2, folded=2, folded_under=1))

    assert (answer, session.head.history) == ((2,), "cold")
    assert "lacks 1 answered frames" in caplog.text
    assert session.head.folded == 3, "goes on counting, so that the next heir can tell"


def test_a_stored_state_with_frames_whose_answers_were_lost_is_gone_on_from(memory: Memory) -> None:
    fold(sessions(memory, "a"), work(0))
    fold(sessions(memory, "a"), work(1))

    session, answer = fold(sessions(memory, "b"), work(2, epoch=2, folded=1, folded_under=1))

    assert (answer, session.head.history) == ((0, 1, 2), "restored")


def test_who_gave_the_last_answer_goes_on_from_memory_without_the_store(memory: Memory) -> None:
    ((store, worker),) = with_lost_stores(memory, "a").values()
    fold(worker, work(0))
    store.is_lost = True
    fold(worker, work(1))

    # The broker gave the worker up and took it back.
    session, answer = fold(worker, work(2, epoch=2, folded=2, folded_under=1))

    assert (answer, session.head.history) == ((0, 1, 2), "complete")


def test_who_did_not_give_the_last_answer_says_cold_without_the_store(memory: Memory) -> None:
    ((store, first), (others, second)) = with_lost_stores(memory, "a", "b").values()
    fold(first, work(0))
    fold(first, work(1))
    store.is_lost = others.is_lost = True
    assert fold(second, work(1, epoch=2, folded=1, folded_under=1))[0].head.history == "cold"

    session, answer = fold(first, work(2, epoch=3, folded=2, folded_under=2))

    assert (answer, session.head.history) == ((2,), "cold")


def test_frames_of_former_owners_are_counted(memory: Memory) -> None:
    worker = sessions(memory, "a")
    fold(sessions(memory, "b"), work(0, epoch=9))

    with pytest.raises(Superseded):
        worker.open(work(1, epoch=7), now=0.0)

    assert worker.figures()["superseded"] == 1


# --------------------------------------------------------------- whatever happens

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fold"), st.just(0)),
        st.tuples(st.just("fold"), st.just(0)),
        st.tuples(st.just("repeat"), st.integers(0, KEPT - 1)),
        st.tuples(st.just("move"), st.integers(0, 2)),
        st.tuples(st.just("restart"), st.integers(0, 2)),
        st.tuples(st.just("late"), st.integers(0, 2)),
        st.tuples(st.just("unanswered"), st.integers(0, 2)),
    ),
    max_size=60,
)


@given(steps=STEPS, held_sessions=st.sampled_from([1, 64]))
def test_every_frame_is_folded_exactly_once_along_the_line_of_owners(
    steps: list[tuple[str, int]], held_sessions: int
) -> None:
    memory = Memory()
    workers = [sessions(memory, f"w{index}", held_sessions=held_sessions) for index in range(3)]
    owner, epoch, told = 0, 1, 0
    left = {0: 1}  # worker -> the last epoch under which it owned the session

    def answered(number: int) -> None:
        session, answer = fold(workers[owner], work(number, epoch=epoch))
        assert answer == tuple(range(number + 1))
        assert session.state == tuple(range(max(told, number + 1)))
        assert session.head.history != "cold"

    for step, which in steps:
        if step == "fold":
            answered(told)
            told += 1
        elif step == "repeat" and told > which:
            answered(told - 1 - which)
        elif step == "move":
            owner, epoch = which, epoch + 1
            left[owner] = epoch
        elif step == "restart":
            workers[which] = sessions(memory, f"w{which}", held_sessions=held_sessions)
            if which == owner:
                epoch += 1
                left[owner] = epoch
        elif step == "unanswered":
            # The owner folds and stores, and ends before it answers; the frame goes to another.
            answered(told)
            workers[owner] = sessions(memory, f"w{owner}", held_sessions=held_sessions)
            owner, epoch = which, epoch + 1
            left[owner] = epoch
            answered(told)
            told += 1
        elif step == "late" and which in left and left[which] < epoch:
            # A former owner, paused until now, folds what it held under its old epoch.
            try:
                fold(workers[which], work(told, epoch=left[which]))
            except Superseded:
                continue
    if told:
        answered(told - 1)
