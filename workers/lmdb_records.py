"""How the records of videos lie in an LMDB environment, and what is done with them in one transaction.

A video's keys begin with its name, which has one length: a digest of the session's id, and the generation.
Then comes what the value is, and for an answer how many frames had been folded with it.
"""

import hashlib
import logging
from collections.abc import Iterator

import lmdb
import msgspec

from workers.store import SessionHead, StoredAnswer, StoredSession, check_owner, is_expired

log = logging.getLogger(__name__)

#: First byte of every video's name, so that other keys sort after all of them.
_VIDEO = b"v"
_NAME_BYTES = 1 + 16 + 8

#: What a key is for, after the name of its video.
_HEAD, _STATE, _ANSWER = b"h", b"s", b"w"
_PAST_ALL = b"\xff"

#: A key that is written only to let a transaction be one.
_TICK = b"z"

_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(SessionHead).decode
_decode_answer = msgspec.msgpack.Decoder(StoredAnswer).decode


def name_of(session_id: str, generation: int) -> bytes:
    """The name of a video."""
    digest = hashlib.blake2b(session_id.encode(), digest_size=16).digest()
    return _VIDEO + digest + generation.to_bytes(8, "big")


def used_bytes(environment: lmdb.Environment | lmdb.Transaction) -> int:
    """What the records take in the file."""
    stat = environment.stat()
    return stat["psize"] * (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])


def read_head(txn: lmdb.Transaction, name: bytes) -> SessionHead | None:
    """What is known of a video; None: nothing that can be read."""
    stored = txn.get(name + _HEAD)
    return None if stored is None else _readable(stored)


def read_session(txn: lmdb.Transaction, name: bytes) -> StoredSession | None:
    """All of a video; None: nothing that can be read."""
    head = read_head(txn, name)
    if head is None:
        return None
    return StoredSession(head, bytes(txn.get(name + _STATE, b"")), read_answers(txn, name))


def read_answers(txn: lmdb.Transaction, name: bytes) -> list[StoredAnswer]:
    """A video's answers, the oldest first, less those that cannot be read."""
    answers = []
    for _, stored in _stored_answers(txn, name):
        try:
            answers.append(_decode_answer(stored))
        except msgspec.MsgspecError as error:
            log.warning("a stored answer cannot be read: %s", error)
    return answers


def every_head(txn: lmdb.Transaction) -> Iterator[tuple[bytes, SessionHead | None]]:
    """Every video's name and what is known of it; None where that cannot be read."""
    cursor = txn.cursor()
    found = cursor.set_range(_VIDEO)
    while found and (key := bytes(cursor.key())).startswith(_VIDEO):
        name = key[:_NAME_BYTES]
        yield name, _readable(cursor.value()) if key == name + _HEAD else None
        found = cursor.set_range(name + _PAST_ALL)


def put(txn: lmdb.Transaction, name: bytes, session: StoredSession, *, kept_answers: int) -> bool:
    """Write a video's head, state and newest answers; whether it is one more session than before.

    Raises `Superseded` if the one that is there belongs to a later owner.
    """
    head, answers = session.head, session.answers
    before = read_head(txn, name)
    check_owner(before, epoch=head.epoch)
    if before is None or before.folded + len(answers) != head.folded:
        _delete_answers(txn, name)  # of another line of frames
    for number, answer in enumerate(answers, start=head.folded - len(answers) + 1):
        txn.put(_answer_key(name, number), _encode(answer))
        if number > kept_answers:
            txn.delete(_answer_key(name, number - kept_answers))
    txn.put(name + _STATE, session.state)
    txn.put(name + _HEAD, _encode(head))
    return before is None or before.dropped


def bury(txn: lmdb.Transaction, name: bytes, stone: SessionHead) -> bool:
    """Leave nothing of a video but its tombstone; whether it is one session less than before."""
    before = read_head(txn, name)
    _delete_answers(txn, name)
    txn.delete(name + _STATE)
    txn.put(name + _HEAD, _encode(stone))
    return before is not None and not before.dropped


def delete_expired(environment: lmdb.Environment, *, now: float, idle_s: float) -> int:
    """Delete what is too old or cannot be read; how many sessions are left."""
    with environment.begin() as txn:
        found = list(every_head(txn))
    gone = {name for name, head in found if head is None or is_expired(head, now=now, idle_s=idle_s)}
    for name in gone:
        with environment.begin(write=True) as txn:
            _delete_answers(txn, name)
            txn.delete(name + _STATE)
            txn.delete(name + _HEAD)
    return sum(head is not None and not head.dropped and name not in gone for name, head in found)


def tick(environment: lmdb.Environment) -> None:
    """Let a transaction pass: what one frees may be used by the next but one."""
    with environment.begin(write=True) as txn:
        txn.put(_TICK, str(txn.id()).encode())


def _readable(stored: bytes | memoryview) -> SessionHead | None:
    try:
        return _decode_head(stored)
    except msgspec.MsgspecError as error:
        log.warning("a stored session cannot be read: %s", error)
        return None


def _answer_key(name: bytes, number: int) -> bytes:
    return name + _ANSWER + number.to_bytes(8, "big")


def _stored_answers(txn: lmdb.Transaction, name: bytes) -> Iterator[tuple[bytes, bytes | memoryview]]:
    cursor = txn.cursor()
    found = cursor.set_range(name + _ANSWER)
    while found and (key := bytes(cursor.key())).startswith(name):
        yield key, cursor.value()
        found = cursor.next()


def _delete_answers(txn: lmdb.Transaction, name: bytes) -> None:
    for key in [key for key, _ in _stored_answers(txn, name)]:
        txn.delete(key)
