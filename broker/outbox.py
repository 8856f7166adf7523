"""What the core has to say: actions for the rim, in order, and the counters of `Status`."""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from wire.errors import PoseError
from wire.messages import BrokerToWorker, Failure, FromBroker

#: The counters of `Status`, so that each is there from the start.
COUNTERS = (
    "accepted",  # requests taken in
    "answered",  # requests answered with a result
    "failed",  # requests that a worker failed by name
    "busy",  # requests refused because a bound was reached
    "thumbnails_wanted",  # requests sent back for a thumbnail
    "expired",  # requests whose deadline passed
    "poisoned",  # requests for frames that ended their workers
    "not_loaded",  # requests answered while no worker could load
    "displaced",  # requests sent back after all: an earlier frame of their session needed the room
    "duplicates",  # requests that joined a frame already on its way
    "stepped_over",  # gaps that were not waited for any longer, and frames that expired unseen
    "stale_results",  # answers of former owners, dropped
    "redispatched",  # frames handed out again after their worker was lost
    "workers_lost",
    "sessions_moved",
    "sessions_recalled",  # sessions of an earlier broker, taken over from the workers' store
    "sessions_forgotten",
    "sent_back",  # requests to be sent again: another broker may have had them
    "sessions_superseded",  # sessions that another broker had taken over, learnt anew
    "undelivered",  # answers whose client is gone or does not read
    "protocol_errors",
    "refused_keys",  # connections over tcp whose key is not allowed
)


class ToClient(Struct, frozen=True):
    """Send this to a client."""

    client: bytes
    message: FromBroker
    payload: Sequence[object] = ()


class ToWorker(Struct, frozen=True):
    """Send this to a worker."""

    worker: bytes
    message: BrokerToWorker
    payload: Sequence[object] = ()


class Noted(Struct, frozen=True):
    """Something an operator cares about happened; log it."""

    level: int
    text: str
    details: tuple[object, ...] = ()


Action = ToClient | ToWorker | Noted


class Outbox:
    """Collects what is to be done until the rim takes it."""

    def __init__(self) -> None:
        self._actions: list[Action] = []
        self._takes = 0
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))

    def take(self) -> list[Action]:
        """What was collected since the last time."""
        actions, self._actions = self._actions, []
        self._takes += 1
        return actions

    @property
    def mark(self) -> int:
        """Stands for this moment, to be asked about with `is_sent`."""
        return self._takes

    def is_sent(self, mark: int) -> bool:
        """Whether all that was collected until that moment is sent: taken, and more was asked for since."""
        return self._takes > mark + 1

    def to_client(self, client: bytes, message: FromBroker, payload: Sequence[object] = ()) -> None:
        """Send a client a message."""
        self._actions.append(ToClient(client, message, payload))

    def to_worker(self, worker: bytes, message: BrokerToWorker, payload: Sequence[object] = ()) -> None:
        """Send a worker a message."""
        self._actions.append(ToWorker(worker, message, payload))

    def note(self, level: int, text: str, *details: object) -> None:
        """Log one line."""
        self._actions.append(Noted(level, text, details))

    def refuse(self, client: bytes, request_id: bytes, error: PoseError, *, session_id: str | None) -> None:
        """Tell a client by name why its request failed."""
        failure = Failure(
            request_id=request_id,
            code=error.code,
            message=error.message,
            retry_after_s=error.retry_after_s,
            session_id=session_id,
        )
        self.to_client(client, failure)
