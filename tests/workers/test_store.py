"""What a store promises, whether it is in memory, on disk or on a server: two workers, one store."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.workers.redis_server import RedisServer, redis_server
from tests.workers.store_process import SETTINGS, StoreProcess, answer_to, head, store_process
from wire.messages import HeldSession, SeenFrame, Source
from workers.memory_store import Memory, MemoryStore
from workers.redis_store import RedisStore
from workers.store import Known, SessionHead, Store, Superseded, check_owner, claimed, first_within, newest

Workers = tuple[Store, Store]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StoreProcess, StoreProcess]]:
    root = tmp_path_factory.mktemp("store")
    with store_process(root, 0) as first, store_process(root, 1) as second:
        yield first, second


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(params=["memory", "lmdb", "redis"])
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Workers:
    rules = {name: SETTINGS[name] for name in ("kept_answers", "idle_s")}
    if request.param == "memory":
        memory = Memory()
        return MemoryStore(memory, "a", **rules), MemoryStore(memory, "b", **rules)
    if request.param == "redis":
        server = request.getfixturevalue("server")
        server.tell("FLUSHALL")
        rules |= {"timeout_s": 5.0}
        return RedisStore(server.url, "space", **rules), RedisStore(server.url, "space", **rules)
    both = request.getfixturevalue("processes")
    for process in both:
        process.reopen(tmp_path)
    return both


def commit(store: Store, *, epoch: int, folded: int, state: bytes = b"state", **more: Any) -> None:
    assert store.commit(head(epoch=epoch, folded=folded, **more), state, answer_to(folded))


def test_a_session_is_what_was_committed_last(workers: Workers) -> None:
    store, _ = workers
    for folded in (1, 2, 3):
        commit(store, epoch=7, folded=folded, state=b"state %d" % folded)

    found = store.take_over("dance", 1, 7, now=1.0)

    assert found.head == head(epoch=7, folded=3)
    assert found.state == b"state 3"
    assert found.answers == [answer_to(1), answer_to(2), answer_to(3)]


def test_nothing_is_found_of_another_session_or_generation(workers: Workers) -> None:
    store, _ = workers
    commit(store, epoch=7, folded=1)

    assert store.take_over("dancer", 1, 9, now=1.0) is None
    assert store.take_over("dance", 2, 9, now=1.0) is None


def test_the_last_answers_are_kept_and_no_more(workers: Workers) -> None:
    store, _ = workers
    for folded in range(1, 11):
        commit(store, epoch=7, folded=folded)

    found = store.take_over("dance", 1, 7, now=1.0)

    assert [answer.seen.frame_number for answer in found.answers] == [7, 8, 9, 10]


def test_the_next_owner_finds_all_of_it_and_says_restored(workers: Workers) -> None:
    former, owner = workers
    for folded in range(1, 7):
        commit(former, epoch=7, folded=folded)

    found = owner.take_over("dance", 1, 9, now=5.0)
    again = owner.take_over("dance", 1, 9, now=6.0)

    assert found.head == head(epoch=7, folded=6)
    assert again.head == head(epoch=9, folded=6, history="restored", stored_at=5.0)
    assert found.answers == again.answers
    assert len(found.answers) == 4


def test_what_a_former_owner_writes_late_is_never_read(workers: Workers) -> None:
    former, owner = workers
    commit(former, epoch=7, folded=1, state=b"before")
    owner.take_over("dance", 1, 9, now=1.0)

    with suppress(Superseded):  # a store that all write says so at once
        commit(former, epoch=7, folded=2, state=b"late")

    for store in workers:
        assert store.take_over("dance", 1, 11, now=1.0).state == b"before"
        (session,) = store.held(now=1.0, max_sessions=10)
        assert session.frames == [answer_to(1).seen]


def test_a_former_owner_that_asks_is_told(workers: Workers) -> None:
    former, owner = workers
    commit(former, epoch=7, folded=1)
    owner.take_over("dance", 1, 9, now=1.0)

    with pytest.raises(Superseded):
        former.take_over("dance", 1, 8, now=1.0)


def test_who_does_not_know_of_the_owner_before_is_told(workers: Workers) -> None:
    former, owner = workers
    commit(former, epoch=7, folded=1)
    owner.take_over("dance", 1, 9, known=Known(7), now=1.0)

    with pytest.raises(Superseded) as refused:
        former.take_over("dance", 1, 50, known=Known(8, (10,)), now=1.0)

    assert refused.value.epoch == 9
    assert owner.take_over("dance", 1, 9, known=Known(7), now=1.0).head.epoch == 9
    assert former.take_over("dance", 1, 51, known=Known(8, (9,)), now=1.0).head.folded == 1


def test_a_worker_that_owned_a_session_again_since_refuses_its_own_late_write(workers: Workers) -> None:
    store, _ = workers
    commit(store, epoch=9, folded=2, state=b"newer")

    with pytest.raises(Superseded):
        store.commit(head(epoch=7, folded=3), b"late", answer_to(3))

    assert store.take_over("dance", 1, 9, now=1.0).state == b"newer"


def test_a_session_comes_back_to_a_former_owner_as_the_last_owner_left_it(workers: Workers) -> None:
    first, second = workers
    for folded in range(1, 4):
        commit(first, epoch=7, folded=folded, state=b"first")
    second.take_over("dance", 1, 9, now=1.0)
    for folded in range(4, 20):
        commit(second, epoch=9, folded=folded, state=b"second")

    found = first.take_over("dance", 1, 11, now=2.0)
    again = first.take_over("dance", 1, 11, now=2.0)

    assert (found.state, found.head.folded) == (b"second", 19)
    assert [answer.seen.frame_number for answer in again.answers] == [16, 17, 18, 19]


def test_a_cold_session_stays_cold(workers: Workers) -> None:
    first, second = workers
    commit(first, epoch=7, folded=1, history="cold")

    second.take_over("dance", 1, 9, now=1.0)

    assert second.take_over("dance", 1, 9, now=1.0).head.history == "cold"


def test_a_forgotten_session_is_gone_wherever_it_was_stored(workers: Workers) -> None:
    former, owner = workers
    commit(former, epoch=7, folded=1)
    owner.take_over("dance", 1, 9, now=1.0)

    owner.forget("dance", 1, epoch=9, now=2.0)

    for store in workers:
        assert store.take_over("dance", 1, 11, now=2.0) is None
        assert store.held(now=2.0, max_sessions=10) == []
    assert owner.figures().sessions == 0


def test_who_never_had_a_session_can_forget_it_for_all(workers: Workers) -> None:
    owner, other = workers
    commit(owner, epoch=7, folded=1)

    other.forget("dance", 1, epoch=9, now=2.0)

    assert owner.take_over("dance", 1, 9, now=2.0) is None
    assert owner.held(now=2.0, max_sessions=10) == []


def test_a_quiet_session_expires(workers: Workers) -> None:
    store, other = workers
    commit(store, epoch=7, folded=1, stored_at=100.0)

    assert other.take_over("dance", 1, 9, now=401.0) is None
    assert store.held(now=401.0, max_sessions=10) == []
    assert store.figures().sessions == 1
    store.sweep(now=401.0)
    assert store.figures().sessions == 0
    assert store.take_over("dance", 1, 9, now=101.0) is None


def test_sessions_are_listed_once_the_last_used_first(workers: Workers) -> None:
    first, second = workers
    source = Source(client="10.0.0.1", width_px=640, height_px=360)
    commit(first, session_id="old", epoch=1, folded=1, stored_at=10.0)
    commit(first, session_id="new", epoch=2, folded=1, stored_at=30.0, source=source, skipped=3, expired=1)
    commit(second, session_id="between", epoch=3, folded=1, stored_at=20.0)
    commit(second, session_id="between", generation=4, epoch=4, folded=1, stored_at=21.0)
    first.take_over("between", 4, 5, now=22.0)

    listed = second.held(now=40.0, max_sessions=10)

    assert [(held.session_id, held.generation, held.epoch) for held in listed] == [
        ("new", 1, 2),
        ("between", 4, 5),
        ("old", 1, 1),
    ]
    assert (listed[0].source, listed[0].skipped, listed[0].expired) == (source, 3, 1)
    assert second.held(now=40.0, max_sessions=2) == listed[:2]


def test_a_listed_session_knows_its_last_frames_and_its_first(workers: Workers) -> None:
    store, _ = workers
    first = SeenFrame(0, 4711, b"grey")
    for number in range(8):
        facts = head(epoch=7, folded=number + 1, first=first)
        assert store.commit(facts, b"state", answer_to(number, thumbnail=b"grey"))

    (held,) = store.held(now=3.5, max_sessions=1)

    assert held.quiet_s == 3.5 - facts.stored_at
    assert held.frames == [first, *(SeenFrame(number, 1000 + number, b"grey") for number in (4, 5, 6, 7))]


def test_a_later_owners_session_is_not_forgotten(workers: Workers) -> None:
    former, owner = workers
    commit(former, epoch=7, folded=1)
    owner.take_over("dance", 1, 9, now=1.0)

    former.forget("dance", 1, epoch=7, now=2.0)

    assert owner.take_over("dance", 1, 9, now=2.0).head.folded == 1


def test_a_session_and_the_videos_from_one_place_can_be_looked_for(workers: Workers) -> None:
    store, other = workers
    small = Source(client="a", width_px=640, height_px=360)
    large = Source(client="a", width_px=64, height_px=36)
    commit(store, epoch=7, folded=1)
    commit(store, generation=5, epoch=7, folded=1)
    commit(store, session_id="stream-1", epoch=8, folded=1, source=small)
    commit(store, session_id="stream-2", epoch=9, folded=1, source=small)
    commit(store, session_id="stream-3", epoch=10, folded=1, source=large)

    def found(session_id: str | None = None, source: Source = small) -> set[tuple[str, int]]:
        held = other.find(session_id=session_id, origin=source.origin, now=1.0)
        return {(session.session_id, session.generation) for session in held}

    assert found("dance") == {("dance", 5)}
    assert found("dancer") == set()
    assert found() == {("stream-1", 1), ("stream-2", 1)}
    assert found(source=large) == {("stream-3", 1)}
    store.forget("stream-1", 1, epoch=9, now=1.0)
    assert found() == {("stream-2", 1)}


def test_ids_of_any_characters_are_told_apart(workers: Workers) -> None:
    store, other = workers
    ids = ["\U0010ffff" * 128, "\U0010ffff" * 127, "\0", "a\0", "a", "../../etc", "é", "e\u0301"]
    for session_id in ids:
        assert store.commit(head(session_id), session_id.encode(), answer_to(0))

    for session_id in ids:
        assert other.take_over(session_id, 1, 9, now=1.0).state == session_id.encode()
    assert {held.session_id for held in other.held(now=1.0, max_sessions=100)} == set(ids)


# ------------------------------------------------------------------------------- rules


def test_the_highest_epoch_counts_and_of_one_epoch_the_tombstone() -> None:
    records = [head(epoch=3), head(epoch=9), head(epoch=9, dropped=True), head(epoch=5, stored_at=99.0)]

    assert newest(records) == records[2]
    assert newest([]) is None


def test_only_a_later_owner_is_refused() -> None:
    check_owner(None, epoch=1)
    check_owner(head(epoch=5), epoch=5)
    with pytest.raises(Superseded):
        check_owner(head(epoch=6), epoch=5)


@pytest.mark.parametrize(
    ("history", "epoch", "then"),
    [
        ("complete", 5, "complete"),
        ("complete", 6, "restored"),
        ("restored", 6, "restored"),
        ("cold", 6, "cold"),
    ],
)
def test_what_an_owner_says_of_the_past(history: str, epoch: int, then: str) -> None:
    found: SessionHead = head(epoch=5, history=history)

    assert claimed(found, epoch=epoch, now=1.0).history == then


def test_a_message_gets_as_many_sessions_as_fit() -> None:
    def held(thumbnail: bytes) -> HeldSession:
        return HeldSession(session_id="s", generation=1, epoch=1, frames=[SeenFrame(0, 1, thumbnail)])

    small, large = held(b"t" * 100), held(b"t" * 4000)

    assert first_within([small, large, small], 1_000_000) == [small, large, small]
    assert first_within([small, large, small], 3_000) == [small]
    assert first_within([], 0) == []


def test_a_machine_whose_clock_is_an_hour_fast_lists_the_sessions_of_a_server_as_soon_as_it_starts(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.tell("FLUSHALL")
    rules = {name: SETTINGS[name] for name in ("kept_answers", "idle_s")} | {"timeout_s": 60.0}
    commit(RedisStore(server.url, "space", **rules), epoch=7, folded=1)
    monkeypatch.setattr("workers.redis_store.time", SimpleNamespace(time=lambda: time.time() + 3600))

    [held] = RedisStore(server.url, "space", **rules).held(now=3601.0, max_sessions=9)

    assert held.quiet_s < 60
