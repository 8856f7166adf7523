"""The two runs that are compared: clients undisturbed, and the same clients while processes die."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from client.private_service import PrivateService
from tools.chaos.clips import Client
from tools.chaos.disturbances import Disturbance, Disturbed, Disturber, NotWhole
from tools.chaos.traffic import Sent, Traffic

#: Frames that each client keeps under way.
IN_FLIGHT = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a disturbed run gave; `gave_up` says why it ended before its schedule, if it did."""

    sent: Sequence[Sent]
    disturbed: Sequence[Disturbed]
    gave_up: str | None


def undisturbed(service: PrivateService, clients: Sequence[Client]) -> list[Sent]:
    """Every video of every client once."""
    traffic = Traffic(service, clients, in_flight=IN_FLIGHT, run="undisturbed")
    videos = max(len(client.videos) for client in clients)
    return traffic.flow(lambda turn: turn < videos)


def disturbed(
    service: PrivateService,
    clients: Sequence[Client],
    schedule: Sequence[Disturbance],
    *,
    workers: int,
    tell: Callable[[Disturbed], None] = lambda _: None,
) -> Outcome:
    """The videos again and again, until all of the schedule has happened; `tell` hears of each event."""
    traffic = Traffic(service, clients, in_flight=IN_FLIGHT, run="disturbed")
    disturber = Disturber(service, workers=workers, answered=lambda: traffic.answered)
    over = threading.Event()
    events: list[Disturbed] = []
    gave_up = None
    with ThreadPoolExecutor(1) as pool:
        flowing = pool.submit(traffic.flow, lambda turn: turn == 0 or not over.is_set())
        try:
            for disturbance in schedule:
                events.append(disturber.carry_out(disturbance))
                tell(events[-1])
        except NotWhole as reason:
            gave_up = str(reason)
        finally:
            over.set()
    return Outcome(flowing.result(), events, gave_up)
