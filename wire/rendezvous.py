"""Which broker a session belongs to, when there are several: rendezvous hashing.

Every client ranks the brokers for itself and comes to the same order: of all brokers that are there the
first one serves the session. When a broker comes or goes, only the sessions that it is the first for move.
(Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Trans. Networking 6(1),
1998; all weights equal.)
"""

from collections.abc import Sequence
from hashlib import blake2b

from wire.messages import Frame


def ranked(key: bytes, brokers: Sequence[str]) -> list[str]:
    """The brokers in the order in which they serve `key`, in whichever order they are named."""
    return sorted(brokers, key=lambda broker: (_weight(key, broker), broker), reverse=True)


def key_of(frame: Frame) -> bytes:
    """What is kept together: a session; of callers who name none, all that comes from one address."""
    if frame.session_id is not None:
        return b"session " + frame.session_id.encode()
    return b"client " + frame.source.client.encode()


def _weight(key: bytes, broker: str) -> bytes:
    """Sixty-four bits that look random, and are the same in every program and version of Python."""
    # The broker's name as the hash's key: name and session cannot run into each other.
    return blake2b(key, digest_size=8, key=blake2b(broker.encode(), digest_size=32).digest()).digest()
