"""How the records of videos lie on a Valkey or Redis server: under which keys, and what their fields say.

`redis_scripts.py` tells what each key and field is for.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from wire.messages import Origin, SeenFrame
from workers.store import SessionHead, StoredAnswer, StoredSession, claimed

log = logging.getLogger(__name__)

#: Version of what is stored: nobody reads another one's.
_FORMAT = 1

#: Fields that `read_head` reads.
HEAD_FIELDS = ("h", "e", "t")

encode = msgspec.msgpack.Encoder().encode
read_seen = msgspec.msgpack.Decoder(SeenFrame).decode
_decode_head = msgspec.msgpack.Decoder(SessionHead).decode
_decode_answer = msgspec.msgpack.Decoder(StoredAnswer).decode


class Keys:
    """The keys of those who read each other's records; `space` names them."""

    def __init__(self, space: str) -> None:
        self._space = f"everyframe:{_FORMAT}:{space}:"
        self.videos = f"{self._space}video:"  # what the keys of all videos begin with
        self.index = f"{self._space}videos".encode()

    def of_video(self, session_id: str, generation: int) -> list[bytes]:
        """Those that every script about a video begins with."""
        video = f"{self.videos}{name_of(session_id, generation)}".encode()
        return [video, self.session(session_id), self.index]

    def session(self, session_id: str) -> bytes:
        """Where a session's owner is, and which its newest video."""
        return f"{self._space}session:{_digest(session_id.encode())}".encode()

    def origin(self, origin: Origin | None) -> bytes:
        """Where the videos from one origin are listed."""
        return f"{self._space}origin:{_digest(encode(origin))}".encode()


def name_of(session_id: str, generation: int) -> str:
    """The name of a video: whatever is in an id, the key is plain."""
    return f"{_digest(session_id.encode())}:{generation}"


def frame_fields(head: SessionHead, *, kept_answers: int) -> list[str]:
    """The fields with a video's last frames, the oldest first."""
    return [f"k{number}" for number in range(max(1, head.folded - kept_answers + 1), head.folded + 1)]


def read_head(fields: Sequence[bytes | None], *, ahead_s: float) -> SessionHead | None:
    """What is known of a video, as its last owner found it or left it, from its `HEAD_FIELDS`.

    ahead_s: the server's clock of ours. None: nothing that can be read.
    """
    head, epoch, stored_at = fields
    if head is None or epoch is None or stored_at is None:
        return None
    try:
        known = _decode_head(head)
    except msgspec.MsgspecError as error:
        log.warning("a stored session cannot be read: %s", error)
        return None
    at = float(stored_at) - ahead_s
    return replace(claimed(known, epoch=int(epoch), now=at), stored_at=at)


def read_session(fields: Mapping[bytes, bytes], *, ahead_s: float, kept_answers: int) -> StoredSession | None:
    """All of a video; None: nothing that can be read."""
    head = read_head([fields.get(name.encode()) for name in HEAD_FIELDS], ahead_s=ahead_s)
    if head is None:
        return None
    return StoredSession(head, fields.get(b"s", b""), _answers(fields, head, kept_answers=kept_answers))


def _answers(fields: Mapping[bytes, bytes], head: SessionHead, *, kept_answers: int) -> list[StoredAnswer]:
    """A video's answers, the oldest first, less those that cannot be read."""
    numbered = {int(name[1:]): answer for name, answer in fields.items() if name.startswith(b"a")}
    answers = []
    for number in sorted(numbered):
        if head.folded - kept_answers < number <= head.folded:
            try:
                answers.append(_decode_answer(numbered[number]))
            except msgspec.MsgspecError as error:
                log.warning("a stored answer cannot be read: %s", error)
    return answers


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
