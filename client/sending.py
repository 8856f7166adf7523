"""The frames of one video through the broker: few under way at a time, answers in order.

The thread that wants the answers sends and receives. A frame that fails by its own fault (it ended its
workers, say) gets its failure for an answer. Where the service fails, `Interrupted` says so, and nothing
after the last answer counts.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from client.pictures import Picture
from client.under_way import Outcome, Question, Traffic, UnderWay
from wire.errors import PoseError
from wire.exchange import Settled
from wire.messages import Buffer, Frame, Status
from wire.shelf import Shelf

#: How often a wait for an answer looks whether it still makes sense.
_LOOK_S = 0.2

#: How often the broker is heard while pictures come so slowly that no answer need be waited for.
_HEAR_S = 0.01


class Way(Protocol):
    """To the broker and back, as `wire.exchange.Exchange` is one; for one thread."""

    def submit(self, message: Frame, payload: Sequence[Buffer], *, ends_at: float) -> None:
        """Send a frame, which settles by `ends_at`, seconds (`time.monotonic`)."""

    def turn(self, timeout_s: float) -> Sequence[Settled]:
        """Wait up to `timeout_s` for something; what has settled since the last time."""


class Ways(Protocol):
    """Where to get one, as from a `wire.connection.Connection`."""

    def exchange(self) -> AbstractContextManager[Way]:
        """For a video."""


class Sending:
    """Frames of one session."""

    def __init__(
        self,
        broker: Ways,
        traffic: Traffic,
        question: Question,
        *,
        go_on: Callable[[], None],
        shelf: Shelf | None = None,
    ) -> None:
        """`go_on` is called again and again; it raises where the video is not to go on.

        shelf: from which the workers can read; None: there is none.
        """
        self._broker = broker
        self._traffic = traffic
        self._deadline_s = question.deadline_s
        self._go_on = go_on
        self._under_way = UnderWay(question, traffic, shelf)
        self._heard_at = 0.0  # seconds, `time.monotonic`

    def outcomes(self, pictures: Iterable[Picture]) -> Iterator[Outcome]:
        """What comes of each frame, in their order. Raises `Interrupted`, `OrderLost`.

        A `PoseError` that keeps more pictures from coming is raised once those before it have their answers.
        """
        with self._broker.exchange() as exchange:
            try:
                yield from self._outcomes(iter(pictures), exchange)
            finally:
                self._under_way.give_up()

    def _outcomes(self, coming: Iterator[Picture], exchange: Way) -> Iterator[Outcome]:
        failure: PoseError | None = None
        while True:
            try:
                picture = next(coming)
            except StopIteration:
                break
            except PoseError as error:
                failure = error
                break
            while self._under_way and not self._under_way.has_room(picture):
                yield self._next(exchange)
            if not self._under_way:
                self._traffic.wait_for_turn(self._go_on)
            self._under_way.add(picture)
            self._send(exchange)
            if time.monotonic() - self._heard_at > _HEAR_S:
                self._hear(exchange, wait_s=0.0)
        while self._under_way:
            yield self._next(exchange)
        if failure:
            raise failure

    def _next(self, exchange: Way) -> Outcome:
        while True:
            self._go_on()
            if outcome := self._under_way.next(now=time.monotonic()):
                return outcome
            self._send(exchange)
            due_s = self._under_way.wait_s(now=time.monotonic())
            self._hear(exchange, wait_s=_LOOK_S if due_s is None else min(_LOOK_S, due_s))

    def _send(self, exchange: Way) -> None:
        """Send what is due."""
        now = time.monotonic()
        for frame, payload in self._under_way.requests(now=now):
            exchange.submit(frame, (payload,), ends_at=now + self._deadline_s)

    def _hear(self, exchange: Way, *, wait_s: float) -> None:
        """Take what has come; wait up to `wait_s` for something."""
        for request_id, came in exchange.turn(wait_s):
            assert not isinstance(came, Status)  # nothing but frames is asked
            self._under_way.settle(request_id, came)
        self._heard_at = time.monotonic()
