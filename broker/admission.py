"""Whose keys may come in by which door, and which of those who came in must go again.

Pure: no sockets and no files. `gatekeeper.py` brings the list of allowed keys and what libzmq asks, `door.py`
what it hears of connections.
"""

from collections import defaultdict
from collections.abc import Iterable

from wire.keys import PublicKey


class Admission:
    """The allowed keys."""

    def __init__(self, keys: Iterable[PublicKey] = ()) -> None:
        self._allowed: dict[bytes, PublicKey] = {}
        self.replace(keys)

    def replace(self, keys: Iterable[PublicKey]) -> None:
        """These keys are allowed from now on, and no others."""
        self._allowed = {key.key: key for key in keys}

    def may(self, key: bytes, door: str) -> bool:
        """Whether a key (Z85) opens the door for clients, or the one for workers."""
        allowed = self._allowed.get(key)
        return allowed is not None and allowed.role == door

    def whose(self, key: bytes) -> str:
        """A key for the log: by the name that it is allowed under, or else itself."""
        allowed = self._allowed.get(key)
        return f"the {allowed.role} {allowed.name}" if allowed else f"unknown key {key.decode()}"


class Doorbook:
    """Who came in by one door, with which key and over which connection.

    A peer is the routing id that a ROUTER gave it. Descriptors are used again: of a peer whose last messages
    were read after its connection had closed, one may by now be another's.
    """

    def __init__(self, door: str, admission: Admission) -> None:
        self._door = door
        self._admission = admission
        self._key_of: dict[bytes, bytes | None] = {}  # None: it came in where no key is needed
        self._peers_on: defaultdict[int, set[bytes]] = defaultdict(set)

    def knows(self, peer: bytes) -> bool:
        """Whether `came` was said of it, and not yet that it is gone."""
        return peer in self._key_of

    def came(self, peer: bytes, *, key: bytes | None, descriptor: int) -> None:
        """Its first message was read."""
        self._key_of[peer] = key
        self._peers_on[descriptor].add(peer)

    def gone(self, descriptor: int) -> None:
        """A connection has closed."""
        for peer in self._peers_on.pop(descriptor, ()):
            del self._key_of[peer]

    def welcome(self, peer: bytes) -> bool:
        """Whether what a known peer says is listened to."""
        key = self._key_of[peer]
        return key is None or self._admission.may(key, self._door)

    def unwelcome(self) -> dict[bytes, int]:
        """Known peers whose keys are not allowed any more, and their connections' descriptors."""
        return {
            peer: descriptor
            for descriptor, peers in self._peers_on.items()
            for peer in peers
            if not self.welcome(peer)
        }
