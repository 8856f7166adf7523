"""What can happen to a server of sessions: it ends, is paused, is full, refuses, or has forgotten."""

import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from tests.workers.redis_server import RedisServer, redis_server
from tests.workers.store_process import SETTINGS, answer_to, head, state_of
from wire.settings import load
from workers.redis_link import checked, without_secrets
from workers.redis_store import RedisStore
from workers.store import StoredSession, Superseded

#: What one call may take where the server does answer, be its disk and the machine ever so busy.
PATIENCE_S = 60.0

#: What one call may take where it does not, and what ten of them: less than a deadline for each.
TIMEOUT_S = 1.0
TEN_AT_ONCE_S = 7 * TIMEOUT_S


def open_store(server: RedisServer, **settings: Any) -> RedisStore:
    rules = {name: SETTINGS[name] for name in ("kept_answers", "idle_s")}
    url = settings.pop("url", server.url)
    return RedisStore(url, "space", **(rules | {"timeout_s": PATIENCE_S} | settings))


def commit(store: RedisStore, folded: int, **more: Any) -> bool:
    return store.commit(head(folded=folded, **more), state_of(folded), answer_to(folded))


def rested(store: RedisStore, folded: int, **more: Any) -> None:
    """Commit frame after frame until the store takes one again; raises where it never does."""
    until = time.monotonic() + PATIENCE_S
    while not commit(store, folded, **more):
        assert time.monotonic() < until, "the store never works again"
        time.sleep(0.05)


def whole(found: StoredSession | None) -> int:
    """How many frames are in a session all of whose parts say the same."""
    assert found is not None
    assert found.state == state_of(found.head.folded), "a state of another moment"
    assert found.answers[-1].seen.frame_number == found.head.folded
    return found.head.folded


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


# ---------------------------------------------------------------------------- the fence


def test_a_former_owners_late_commit_is_refused_by_the_server(server: RedisServer) -> None:
    former, owner = open_store(server), open_store(server)
    commit(former, 1, epoch=7)
    owner.take_over("dance", 1, 9, now=1.0)

    with pytest.raises(Superseded, match="epoch 9"):
        commit(former, 2, epoch=7)

    assert whole(owner.take_over("dance", 1, 9, now=1.0)) == 1


def test_who_owns_a_video_that_nobody_stored_yet_fences_as_well(server: RedisServer) -> None:
    former, owner = open_store(server), open_store(server)
    assert former.take_over("dance", 1, 7, now=0.0) is None
    assert owner.take_over("dance", 1, 9, now=0.0) is None

    with pytest.raises(Superseded):
        commit(former, 1, epoch=7)

    assert owner.held(now=0.0, max_sessions=9) == []


def test_two_workers_that_race_for_a_session_leave_one_line_of_frames(server: RedisServer) -> None:
    chance = random.Random(3)
    stores = [open_store(server) for _ in range(2)]
    folded = {0: 0, 1: 0}
    epochs = {0: 0, 1: 0}
    refused = 0
    for epoch in range(1, 200):
        who = chance.randrange(2)
        if chance.random() < 0.3:  # the broker gives it the session
            found = stores[who].take_over("dance", 1, epoch, now=0.0)
            epochs[who], folded[who] = epoch, whole(found) if found else 0
        if epochs[who]:
            try:
                assert commit(stores[who], folded[who] + 1, epoch=epochs[who])
            except Superseded:
                refused += 1
                assert epochs[who] < max(epochs.values()), "the owner is refused"
            else:
                folded[who] += 1
                assert epochs[who] == max(epochs.values()), "a former owner is not"
    assert refused > 10
    assert whole(stores[0].take_over("dance", 1, 1000, now=0.0)) == max(folded.values())


def test_a_commit_that_comes_late_does_not_undo_the_one_after_it(server: RedisServer) -> None:
    store = open_store(server)
    assert commit(store, 1)
    paused_connection = copy(store)  # the server gets to what it says here only after what follows
    assert commit(store, 2)
    assert commit(store, 3)

    assert commit(paused_connection, 2)

    found = open_store(server).take_over("dance", 1, 1, now=0.0)
    assert whole(found) == 3
    assert [answer.seen.frame_number for answer in found.answers] == [1, 2, 3]


# -------------------------------------------------------------------- ends and pauses


def test_a_server_that_is_killed_in_a_stream_costs_no_frame_and_has_it_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(server)
    for folded in range(1, 6):
        assert commit(store, folded)
    server.kill()
    for folded in range(6, 9):
        assert not commit(store, folded)
        assert store.take_over("another", 1, 1, now=0.0) is None
        assert store.held(now=0.0, max_sessions=9) == []
    assert store.figures().failed_writes == 3
    assert [r.levelname for r in caplog.records if "cannot be reached" in r.message].count("ERROR") > 0

    server.start()  # with nothing: it kept all in memory
    rested(store, 9)

    found = open_store(server).take_over("dance", 1, 2, now=0.0)
    assert whole(found) == 9
    assert [answer.seen.frame_number for answer in found.answers] == [9]
    assert store.figures().sessions == 1


def test_a_server_that_comes_back_with_older_data_gets_the_newest_state(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        store = open_store(server)
        for folded in range(1, 4):
            assert commit(store, folded)
        server.tell("SAVE")
        assert commit(store, 4)
        server.kill()
        server.start()

        found = open_store(server).take_over("dance", 1, 1, now=0.0)
        assert whole(found) == 3, "outdated; what a `Work` says tells"
        rested(store, 5)
        found = open_store(server).take_over("dance", 1, 2, now=0.0)
        assert whole(found) == 5
        assert [answer.seen.frame_number for answer in found.answers] == [5], "3 and 5 are no neighbours"


def test_a_restart_between_two_frames_goes_unnoticed(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        store = open_store(server)
        assert commit(store, 1)
        server.kill()
        server.start()

        rested(store, 2)  # it may still be loading
        assert whole(open_store(server).take_over("dance", 1, 2, now=0.0)) == 2


def test_a_server_that_is_paused_holds_nobody_up_longer_than_the_deadline(server: RedisServer) -> None:
    store = open_store(server, timeout_s=TIMEOUT_S)
    rested(store, 1)
    server.pause()

    started = time.monotonic()
    for folded in range(2, 12):  # ten sessions of one batch
        assert not commit(store, folded)
    store.figures()
    assert time.monotonic() - started < TEN_AT_ONCE_S, "it is asked once, not ten times"

    server.go_on()
    rested(store, 12)
    assert whole(open_store(server).take_over("dance", 1, 2, now=0.0)) == 12


def test_a_server_that_was_never_there_is_no_reason_not_to_serve(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    store = open_store(server, url=server.url.replace("redis://", "valkey://:secret-word@"))

    assert store.take_over("dance", 1, 1, now=0.0) is None
    assert not commit(store, 1)

    assert "cannot be reached" in caplog.text
    assert "secret-word" not in caplog.text
    assert store.figures().failed_writes == 1
    store.close()


def test_quiet_sessions_go_by_themselves(server: RedisServer) -> None:
    store = open_store(server, idle_s=0.2)
    assert commit(store, 1, stored_at=time.time())
    until = time.monotonic() + PATIENCE_S
    while server.tell("DBSIZE"):
        assert time.monotonic() < until, "the server keeps what nobody wants"

    assert store.take_over("dance", 1, 2, now=time.time()) is None


# ------------------------------------------------------------------------------ refusals


def full(server: RedisServer) -> None:
    server.tell("CONFIG", "SET", "maxmemory", "1")


def replica(server: RedisServer) -> None:
    server.tell("REPLICAOF", "127.0.0.1", "1")


def with_a_password(server: RedisServer) -> None:
    server.tell("CONFIG", "SET", "requirepass", "other")


def forbidden(server: RedisServer) -> None:
    server.tell("ACL", "SETUSER", "default", "-evalsha")


@pytest.mark.parametrize(
    ("refuse", "reason"),
    [
        (full, "its memory is full"),
        (replica, "it is a replica"),
        (with_a_password, "refuses the user or the password"),
        (forbidden, "the user may not do this"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_the_server_refuses_is_named_and_stored_whole_or_not_at_all(
    server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    refuse: Callable[[RedisServer], None],
    reason: str,
) -> None:
    store = open_store(server)
    assert commit(store, 1)
    refuse(server)
    store.close()  # a new connection has to present itself anew

    assert not commit(store, 2)

    assert reason in caplog.text
    assert store.figures().failed_writes == 1


def test_a_server_that_loads_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server(tmp_path) as server:
        for number in range(200):
            server.tell("SET", str(number), str(number) * 2000)
        server.tell("SAVE")
        server.kill()
        # Microseconds a key, and how often it looks at its sockets meanwhile.
        server.start("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")

        assert not commit(open_store(server), 1)

    assert "it is loading its data" in caplog.text


def test_what_is_dropped_for_an_outdated_record_needs_no_memory(server: RedisServer) -> None:
    store = open_store(server)
    assert commit(store, 1)
    full(server)

    assert not commit(store, 2)

    assert store.take_over("dance", 1, 1, now=0.0) is None, "it lacks a frame that was answered"
    server.tell("CONFIG", "SET", "maxmemory", "0")
    assert commit(store, 3)
    assert whole(store.take_over("dance", 1, 1, now=0.0)) == 3


def test_a_state_too_large_is_not_sent_and_neither_is_an_older_one_read(server: RedisServer) -> None:
    store = open_store(server)
    assert commit(store, 1)

    assert not store.commit(head(folded=2), bytes(9 * 2**20), answer_to(2))

    assert store.figures().failed_writes == 1
    assert store.take_over("dance", 1, 2, now=0.0) is None
    assert commit(store, 3, epoch=2)


def test_records_that_are_none_are_passed_over(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(server)
    assert commit(store, 1)
    assert commit(store, 1, session_id="other")
    for key in server.tell("KEYS", "*:video:*"):
        server.tell("HSET", key, "h", "no MessagePack")
        break

    assert len(store.held(now=0.0, max_sessions=9)) == 1
    assert "cannot be read" in caplog.text


# ----------------------------------------------------------------------------- addresses


def test_a_user_needs_no_more_than_the_page_says(server: RedisServer) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    commands = re.search(r"the\s+commands\s+`([A-Z\s]+)`", page)[1].lower().split()
    allowed = ["reset", "on", ">a b", "~everyframe:*", *(f"+{command}" for command in commands)]
    server.tell("ACL", "SETUSER", "pose", *allowed)
    store = open_store(server, url=f"redis://pose:a%20b@127.0.0.1:{server.port}/0")

    for folded in range(1, 8):
        assert commit(store, folded)
    assert whole(store.take_over("dance", 1, 2, now=0.0)) == 7
    assert len(store.held(now=0.0, max_sessions=9)) == 1
    store.sweep(now=1000.0)
    assert store.figures().used_bytes > 0
    assert store.figures().sessions == 0
    store.forget("dance", 1, epoch=9, now=0.0)
    assert store.figures().failed_writes == 0


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:6379/1?password=secret", "redis://user:***@host:6379/1"),
        ("rediss://:secret@host", "rediss://:***@host"),
        ("unix:///run/valkey.sock?password=secret", "unix:///run/valkey.sock"),
        ("valkey://host:1", "valkey://host:1"),
    ],
)
def test_secrets_are_not_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    assert checked(url)


def test_a_url_that_cannot_be_is_refused_without_its_password(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ValueError, match="host") as refused:
        checked("redis://user:secret@host:6379/0?db=none")

    assert "secret" not in str(refused.value) + caplog.text


def test_what_is_no_address_of_a_server_is_no_setting() -> None:
    assert load({"POSE_STORE_URL": "valkeys://cache:6380/2"}).store_url == "valkeys://cache:6380/2"
    with pytest.raises(ValueError, match="POSE_STORE_URL") as refused:
        load({"POSE_STORE_URL": "http://:secret@cache"})
    assert "secret" not in str(refused.value)
