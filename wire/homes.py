"""Which of several brokers serves which session now: the first in its rank that is there.

Pure. A session stays where it is while anything of it is open, so that its frames meet in one broker, and
goes home when its own broker is back and nothing is under way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wire.rendezvous import ranked

#: For so long a broker may be away before its sessions go to the next: it may just be restarted.
PATIENCE_S = 1.0

IsThere = Callable[[str], bool]


@dataclass(slots=True)
class _Home:
    broker: str
    open: int = 0  # requests


class Homes:
    """The sessions that have requests open, and where."""

    def __init__(self, brokers: Sequence[str]) -> None:
        self._brokers = list(brokers)
        self._homes: dict[bytes, _Home] = {}

    def enter(self, key: bytes, *, is_there: IsThere) -> str:
        """The broker for one more request of a session (`rendezvous.key_of`)."""
        home = self._homes.get(key)
        if home is None:
            home = self._homes[key] = _Home(self._best(key, is_there))
        home.open += 1
        return home.broker

    def leave(self, key: bytes) -> None:
        """One of its requests is answered, or nobody waits for it any more."""
        home = self._homes[key]
        home.open -= 1
        if not home.open:
            del self._homes[key]

    def move(self, key: bytes, *, away_from: str, is_there: IsThere) -> str:
        """Where the session's requests go on that were with a broker which is gone."""
        home = self._homes[key]
        if home.broker == away_from:
            home.broker = self._best(key, lambda broker: broker != away_from and is_there(broker))
        return home.broker

    def _best(self, key: bytes, is_there: IsThere) -> str:
        order = ranked(key, self._brokers) if len(self._brokers) > 1 else self._brokers
        return next(filter(is_there, order), order[0])
