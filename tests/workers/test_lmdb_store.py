"""What can happen to a store on disk: its workers end anywhere, its files are full, broken or too many."""

import errno
import logging
import os
import random
import resource
import signal
import time
import unittest.mock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest

from tests.workers.store_process import (
    SETTINGS,
    answer_to,
    head,
    open_store,
    state_of,
    store_process,
)
from workers import lmdb_place
from workers.store import StoredSession

#: Time in which a store that waits for nobody commits, seconds, however busy the machine; who is paused
#: would be waited for without end.
AT_ONCE_S = 30.0


def consistent(found: StoredSession) -> int:
    """How many frames are in a session of `commit_forever`, all of whose parts say the same."""
    folded = found.head.folded
    assert found.state == state_of(folded), "a state of another moment, or of two"
    numbers = range(max(1, folded - SETTINGS["kept_answers"] + 1), folded + 1)
    assert [answer.seen.frame_number for answer in found.answers] == list(numbers)
    assert [int.from_bytes(answer.answer, "big") for answer in found.answers] == list(numbers)
    return folded


def commits(count: int, **settings: int) -> Callable[[Path], None]:
    """A former worker 0, which stored `count` sessions of one frame and ended in order."""

    def run(root: Path) -> None:
        store = open_store(root, **settings)
        for number in range(count):
            facts = head(f"session {number}", stored_at=float(number))
            assert store.commit(facts, state_of(number), answer_to(0))
        store.close()

    return run


@contextmanager
def file_bytes_limited(most: int) -> Iterator[None]:
    """A full disk: no file can be written to past `most`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def data_file(root: Path) -> Path:
    (found,) = root.glob("0-*/data.mdb")
    return found


# -------------------------------------------------------------------- ends and pauses


def test_a_kill_at_any_moment_leaves_a_frame_whole_or_not_at_all(tmp_path: Path) -> None:
    chance = random.Random(0)
    last = 0
    for epoch in range(1, 31):
        with store_process(tmp_path, 0) as writer:
            writer.begin("commit_forever", epoch)
            assert writer.result() == last + 1
            time.sleep(chance.uniform(0, 0.02))  # the moment, not a wait
            writer.process.send_signal(signal.SIGKILL)
            writer.process.wait()
            said = writer.last_result() or last + 1
        reader = open_store(tmp_path, 9)
        folded = consistent(reader.take_over("dance", 1, epoch, now=0.0))
        reader.close()
        assert folded in (said, said + 1), "stored, and ended before it could be said"
        last = folded
    assert last > 60


def test_a_worker_that_is_paused_in_a_write_stops_nobody(tmp_path: Path) -> None:
    chance = random.Random(1)
    own = open_store(tmp_path, 1)
    with store_process(tmp_path, 0) as writer:
        writer.begin("commit_forever", 1)
        writer.result()
        for turn in range(1, 21):
            time.sleep(chance.uniform(0, 0.01))  # the moment, not a wait
            writer.process.send_signal(signal.SIGSTOP)
            started = time.monotonic()
            found = own.take_over("dance", 1, 1, now=0.0)
            consistent(found)
            for folded in range(1, 21):
                facts = head("another", generation=turn, folded=folded)
                assert own.commit(facts, state_of(folded), answer_to(folded))
            assert own.held(now=0.0, max_sessions=5)[0].session_id
            assert time.monotonic() - started < AT_ONCE_S
            writer.process.send_signal(signal.SIGCONT)
    own.close()


def test_a_session_outlives_every_process(tmp_path: Path) -> None:
    commits(3)(tmp_path)

    store = open_store(tmp_path)

    assert store.take_over("session 2", 1, 9, now=0.0).state == state_of(2)
    assert store.figures().sessions == 3
    store.close()


def test_two_processes_with_one_index_do_not_share_a_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with store_process(tmp_path, 0) as first:
        second = open_store(tmp_path, 0)
        second.commit(head("mine"), b"state", answer_to(0))

        assert first.take_over("mine", 1, 2, now=0.0).state == b"state"
        assert "is in use" in caplog.text
        second.close()


# ------------------------------------------------------------------------------- full


def test_a_full_store_drops_the_longest_quiet_and_keeps_its_bound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bound = 4 * 2**20
    store = open_store(tmp_path, max_bytes=bound)
    for number in range(400):
        # States of many sizes, so that the room is in pieces.
        state = state_of(number)[: 20_000 + number * 7919 % 40_000]
        facts = head(f"session {number}", stored_at=float(number), folded=1)
        assert store.commit(facts, state, answer_to(0, bytes(3000)))
        assert store.figures().used_bytes < bound

    figures = store.figures()
    assert figures.failed_writes == 0
    assert figures.evicted + figures.sessions == 400
    assert figures.sessions > 30
    kept = [held.session_id for held in store.held(now=100.0, max_sessions=400)]
    assert kept == [f"session {number}" for number in range(399, 399 - figures.sessions, -1)]
    assert store.take_over("session 0", 1, 2, now=100.0) is None
    assert data_file(tmp_path).stat().st_size <= bound
    assert "full" in caplog.text
    store.close()


def test_a_store_whose_room_is_in_pieces_takes_every_frame(tmp_path: Path) -> None:
    chance = random.Random(0)
    store = open_store(tmp_path, max_bytes=2 * 2**20, kept_answers=16)
    frame = 0
    for session in range(60):
        largest = chance.randrange(5_000, 130_000)
        for folded in range(1, 41):
            frame += 1
            state = bytes(min(largest, 3_000 + folded * 4_000))
            facts = head(f"session {session}", folded=folded, stored_at=frame * 0.01)
            assert store.commit(facts, state, answer_to(folded, bytes(3_900)))
            assert store.take_over(facts.session_id, 1, 1, now=facts.stored_at).head == facts
    assert store.figures().failed_writes == 0
    store.close()


def test_a_session_that_was_dropped_for_room_is_not_replaced_by_an_older_record(tmp_path: Path) -> None:
    with store_process(tmp_path, 1) as former:
        former.commit(head("moved", epoch=1), b"older", answer_to(0))
        store = open_store(tmp_path, max_bytes=2**20)
        assert store.take_over("moved", 1, 2, now=0.0).state == b"older"
        for number in range(40):
            facts = head(f"session {number}", stored_at=1.0 + number)
            assert store.commit(facts, state_of(number), answer_to(0))

        assert store.take_over("moved", 1, 3, now=50.0) is None
        assert former.take_over("moved", 1, 3, now=50.0) is None
        store.close()


def test_a_state_too_large_is_not_stored_and_neither_is_an_older_one_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path, max_bytes=2**20)
    assert store.commit(head("other"), b"state", answer_to(0))
    assert store.commit(head(folded=1), b"small", answer_to(1))

    assert not store.commit(head(folded=2), bytes(2**19), answer_to(2))

    assert store.figures().failed_writes == 1
    assert "dance" in caplog.text
    assert store.take_over("dance", 1, 2, now=0.0) is None
    assert store.take_over("other", 1, 2, now=0.0).state == b"state"
    assert store.commit(head(epoch=2, folded=3), b"small again", answer_to(3))
    found = store.take_over("dance", 1, 2, now=0.0)
    assert (found.state, found.answers) == (b"small again", [answer_to(3)])
    store.close()


def test_on_a_full_disk_what_is_answered_unstored_is_not_gone_on_from(tmp_path: Path) -> None:
    with store_process(tmp_path, 0) as writer:
        for folded in (1, 2, 3):
            assert writer.commit(head(folded=folded), state_of(folded), answer_to(folded))
        writer.limit_file_bytes(data_file(tmp_path).stat().st_size)

        outcomes = [
            writer.commit(head(f"session {number}"), state_of(number), answer_to(0)) for number in range(4)
        ]
        assert not all(outcomes)
        stored = [f"session {number}" for number, outcome in enumerate(outcomes) if outcome]
        reader = open_store(tmp_path, 1)
        listed = {held.session_id for held in reader.held(now=0.0, max_sessions=9)}
        assert listed == {*stored, "dance"}
        reader.close()

        writer.limit_file_bytes(2**30)
        assert writer.commit(head(folded=4), state_of(4), answer_to(4))


def test_a_disk_that_takes_nothing_costs_the_store_and_not_the_service(tmp_path: Path) -> None:
    reader = open_store(tmp_path, 1)
    with store_process(tmp_path, 0) as writer:
        assert writer.commit(head(folded=1), state_of(1), answer_to(1))
        writer.limit_file_bytes(0)

        assert not writer.commit(head(folded=2), state_of(2), answer_to(2))
        assert not writer.commit(head(folded=3), state_of(3), answer_to(3))
        assert reader.take_over("dance", 1, 1, now=0.0) is None, "it lacks frames that were answered"
        assert writer.take_over("dance", 1, 1, now=0.0) is None
        writer.sweep(now=0.0)
        assert writer.figures().failed_writes == 2

        writer.limit_file_bytes(2**30)
        # The first commit finds out that there can be a store again.
        assert not writer.commit(head(folded=4), state_of(4), answer_to(4))
        assert writer.commit(head(folded=5), state_of(5), answer_to(5))
        assert reader.take_over("dance", 1, 1, now=0.0).state == state_of(5)
    reader.close()


# ------------------------------------------------------------------- files of others


def test_a_file_that_has_become_too_long_is_made_shorter_when_it_is_opened(tmp_path: Path) -> None:
    commits(200)(tmp_path)
    long_bytes = data_file(tmp_path).stat().st_size

    store = open_store(tmp_path, now=490.0)  # all but ten are too old by now

    assert data_file(tmp_path).stat().st_size < long_bytes / 4
    assert store.figures().sessions == 10
    assert store.take_over("session 199", 1, 1, now=490.0).state == state_of(199)
    store.close()


def test_a_file_beside_a_place_that_is_taken_is_made_shorter_as_well(tmp_path: Path) -> None:
    with store_process(tmp_path, 0) as first:
        commits(200)(tmp_path)

        store = open_store(tmp_path, now=490.0)

        (data,) = tmp_path.glob("0.1-*/data.mdb")
        assert data.stat().st_size < 2 * 2**20
        assert first.take_over("session 199", 1, 1, now=490.0).state == state_of(199)
        store.close()


def test_where_there_is_no_room_for_a_shorter_copy_the_long_file_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commits(200)(tmp_path)
    full = OSError(errno.ENOSPC, "No space left on device")
    with unittest.mock.patch.object(lmdb_place.Place, "compacted", side_effect=full):
        store = open_store(tmp_path, now=490.0)

    assert "longer than it need be: [Errno 28]" in caplog.text
    assert store.take_over("session 199", 1, 1, now=490.0).state == state_of(199)
    store.close()
    store = open_store(tmp_path, now=490.0)
    assert store.figures().sessions == 10
    assert len(list(tmp_path.glob("0-*"))) == 1
    store.close()


def test_what_was_stored_is_read_from_a_disk_that_takes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commits(20)(tmp_path)
    with file_bytes_limited(100_000):
        store = open_store(tmp_path, now=310.0)
        assert "could not be dropped" in caplog.text
        assert store.take_over("session 19", 1, 1, now=310.0).state == state_of(19)
        assert store.take_over("session 9", 1, 1, now=310.0) is None
    store.close()


def test_a_reader_follows_a_worker_whose_file_was_replaced(tmp_path: Path) -> None:
    commits(200)(tmp_path)
    with store_process(tmp_path, 1) as reader:
        assert reader.take_over("session 199", 1, 1, now=200.0).state == state_of(199)
        store = open_store(tmp_path, now=490.0)
        assert store.commit(head("session 199", folded=2), b"newer", answer_to(1))

        assert reader.take_over("session 199", 1, 1, now=200.0).state == b"newer"
        assert len(list(tmp_path.glob("0-*"))) == 1
        store.close()


def test_what_a_worker_that_is_no_more_left_goes_when_all_of_it_is_too_old(tmp_path: Path) -> None:
    commits(3)(tmp_path)
    store = open_store(tmp_path, 1)

    store.sweep(now=data_file(tmp_path).stat().st_mtime + 200.0)
    assert store.take_over("session 0", 1, 2, now=0.0).state == state_of(0)
    store.sweep(now=data_file(tmp_path).stat().st_mtime + 400.0)

    assert not list(tmp_path.glob("0-*"))
    store.close()


def test_what_a_worker_that_is_quiet_has_stays(tmp_path: Path) -> None:
    with store_process(tmp_path, 0) as quiet:
        quiet.commit(head(), b"state", answer_to(0))
        store = open_store(tmp_path, 1)

        store.sweep(now=time.time() + 10_000.0)

        assert store.take_over("dance", 1, 2, now=0.0).state == b"state"
        store.close()


# ------------------------------------------------------------------------- unreadable


def shorten(root: Path) -> None:
    os.truncate(data_file(root), data_file(root).stat().st_size // 2)


def scribble(root: Path) -> None:
    data_file(root).write_bytes(random.Random(0).randbytes(data_file(root).stat().st_size))


def empty(root: Path) -> None:
    data_file(root).write_bytes(b"")


def of_another_version(root: Path) -> None:
    (data_file(root).parent / "about").write_text("everyframe-sessions-99 written-out\n")


def of_another_boot(root: Path) -> None:
    (data_file(root).parent / "about").write_text("everyframe-sessions-1 00000000-0000\n")


def without_a_word(root: Path) -> None:
    (data_file(root).parent / "about").unlink()


def the_end_of_three_workers(root: Path) -> None:
    (data_file(root).parent / "openings").write_bytes(b"...")


@pytest.mark.parametrize(
    "harm",
    [
        shorten,
        scribble,
        empty,
        of_another_version,
        of_another_boot,
        without_a_word,
        the_end_of_three_workers,
    ],
)
def test_what_cannot_be_read_is_set_aside_and_the_service_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None]
) -> None:
    commits(5)(tmp_path)
    harm(tmp_path)

    with caplog.at_level(logging.ERROR):
        store = open_store(tmp_path)

    if harm is not empty:  # LMDB takes an empty file for a new environment
        assert "unreadable-0" in caplog.text
        assert (tmp_path / "unreadable-0").is_dir()
    assert store.take_over("session 4", 1, 2, now=5.0) is None
    assert store.commit(head("session 4", epoch=2), b"new", answer_to(0))
    store.close()
    store = open_store(tmp_path)
    assert store.take_over("session 4", 1, 2, now=5.0).state == b"new"
    store.close()


@pytest.mark.parametrize("harm", [shorten, scribble, empty, of_another_boot, without_a_word])
def test_what_cannot_be_read_of_others_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None]
) -> None:
    commits(5)(tmp_path)
    harm(tmp_path)

    store = open_store(tmp_path, 1)
    for _ in range(3):
        assert store.take_over("session 4", 1, 2, now=5.0) is None

    assert len([record for record in caplog.records if "cannot be read" in record.message]) == 1
    store.close()


def test_one_that_was_killed_while_it_opened_its_store_costs_nothing(tmp_path: Path) -> None:
    commits(5)(tmp_path)
    (data_file(tmp_path).parent / "openings").write_bytes(b".")

    store = open_store(tmp_path)

    assert store.figures().sessions == 5
    store.close()


def test_a_record_that_is_none_is_dropped_and_the_others_stay(tmp_path: Path) -> None:
    commits(3)(tmp_path)
    environment = lmdb.open(str(data_file(tmp_path).parent))
    with environment.begin(write=True) as txn:
        cursor = txn.cursor()
        cursor.set_range(b"v")
        assert cursor.key().endswith(b"h")
        txn.put(cursor.key(), b"\xc1 no MessagePack")
    environment.close()

    store = open_store(tmp_path)

    assert store.figures().sessions == 2
    store.close()


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match="file"):
        open_store(tmp_path / "file")
