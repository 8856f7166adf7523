"""Where requests wait whose video is not clear yet, for the moment in which that may change.

Pure: time is an argument.
"""

from collections.abc import Iterator
from math import inf

from broker.jobs import Picture, Request


class WaitingRoom:
    """Requests that are open and not placed, each with the time to look at it again."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, tuple[float, Request, Picture]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, request: Request) -> bool:
        return request.frame.request_id in self._waiting

    def __iter__(self) -> Iterator[Request]:
        return (request for _, request, _ in list(self._waiting.values()))

    @property
    def held_bytes(self) -> int:
        """Of all pictures in it."""
        return sum(picture.size_bytes for _, _, picture in self._waiting.values())

    def enter(self, request: Request, picture: Picture, *, until: float) -> None:
        """Wait until then, seconds."""
        self._waiting[request.frame.request_id] = (until, request, picture)

    def leave(self, request: Request) -> Picture:
        """Stop waiting; the picture that was held meanwhile."""
        return self._waiting.pop(request.frame.request_id)[2]

    def next_due(self) -> float:
        """When somebody is to be looked at again, seconds."""
        return min((until for until, _, _ in self._waiting.values()), default=inf)

    def due(self, *, now: float) -> list[tuple[Request, Picture]]:
        """Who is to be looked at again, and waits here no more: by frame number, first come first."""
        due = [(request, picture) for until, request, picture in self._waiting.values() if until <= now]
        for request, _ in due:
            self.leave(request)
        return sorted(due, key=lambda pair: (pair[0].frame.frame_number, pair[0].arrived_at))
