"""Where requests wait while the broker does not know yet which sessions there are.

A broker that has just started learns them from its first worker. To place a frame before that
could fold a video's next frame as the first of another.
"""

from collections.abc import Iterator

from broker.jobs import Picture, Request
from wire.errors import Busy


class Lobby:
    """The requests that came before the first worker was ready, in order of arrival."""

    def __init__(self, *, max_session_frames: int) -> None:
        self._max_session_frames = max_session_frames
        self._waiting: dict[bytes, tuple[Request, Picture]] = {}
        self.is_open = True

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Request]:
        return (request for request, _ in list(self._waiting.values()))

    @property
    def held_bytes(self) -> int:
        """Of all pictures in it."""
        return sum(picture.size_bytes for _, picture in self._waiting.values())

    def check_room(self, session_id: str | None) -> None:
        """Raises `Busy` if a session that is named has its frames waiting here already."""
        if session_id is not None:
            same = sum(request.frame.session_id == session_id for request, _ in self._waiting.values())
            if same >= self._max_session_frames:
                raise Busy(f"session {session_id} has {same} frames waiting")

    def enter(self, request: Request, picture: Picture) -> None:
        """Wait."""
        self._waiting[request.frame.request_id] = (request, picture)

    def leave(self, request: Request) -> Picture:
        """Stop waiting; the picture that was held meanwhile."""
        return self._waiting.pop(request.frame.request_id)[1]

    def let_in(self) -> list[tuple[Request, Picture]]:
        """All that wait, first come first; nobody waits here any more."""
        self.is_open = False
        waiting, self._waiting = list(self._waiting.values()), {}
        return waiting
