"""Whoever sent a request: what is theirs, and how much they may ask for.

What a caller names (sessions, jobs) lies in a namespace of its token, so that nobody reaches what another
opened, whatever id he knows. Without tokens everybody is the same caller, in no namespace and without limits.
"""

import hashlib
import threading
import time
import uuid

from http_edge.limits import Budget, OpenSessions
from wire.errors import RateLimited
from wire.settings import Settings

#: As long as the wire allows a session id to be.
_LONGEST_SESSION_ID = 128


class Anybody:
    """A service without tokens knows no callers apart."""

    def charge_bytes(self, count: int) -> None:
        """No limit."""

    def charge_frame(self, session_id: str | None) -> None:
        """No limit."""

    def opened(self, session_id: str) -> None:
        """No limit."""

    def wire_session(self, session_id: str | None) -> str | None:
        """What a session is called beyond the edge."""
        return session_id

    def origin(self, address: str) -> str:
        """Where frames without a session id come from."""
        return address

    def new_job_id(self) -> str:
        """Nobody can guess it, and who knows it may read and cancel the job."""
        return uuid.uuid4().hex

    def owns_job(self, job_id: str) -> bool:
        """Whether the caller may know of a job at all: not of those that were taken in for a token."""
        return "." not in job_id


class Owner(Anybody):
    """Whom a token belongs to; for many threads at a time."""

    def __init__(self, name: str, settings: Settings) -> None:
        now = time.monotonic()
        self.name = name
        self._frames = Budget(settings.token_frames_per_s, now=now)
        self._bytes = Budget(settings.token_bytes_per_s, now=now)
        self._sessions = OpenSessions(settings.token_sessions, idle_s=settings.session_idle_s)
        self._lock = threading.Lock()

    def charge_bytes(self, count: int) -> None:
        """Count the bytes of a request. Raises `RateLimited`."""
        with self._lock:
            wait_s = self._bytes.take(count, now=time.monotonic())
        if wait_s:
            raise RateLimited(
                f"more bytes a second than the token of {self.name} allows", retry_after_s=wait_s
            )

    def charge_frame(self, session_id: str | None) -> None:
        """Count a frame and its session. Raises `RateLimited`."""
        now = time.monotonic()
        with self._lock:
            wait_s = self._sessions.refusal_s(session_id, now=now)
            if not wait_s and session_id is not None:
                self._sessions.used(session_id, now=now)
            of_frames_s = 0.0 if wait_s else self._frames.take(1, now=now)
        if wait_s:
            raise RateLimited(
                f"more sessions at a time than the token of {self.name} allows", retry_after_s=wait_s
            )
        if of_frames_s:
            raise RateLimited(
                f"more frames a second than the token of {self.name} allows", retry_after_s=of_frames_s
            )

    def opened(self, session_id: str) -> None:
        """A frame that named no session belongs to this one."""
        with self._lock:
            self._sessions.used(session_id, now=time.monotonic())

    def wire_session(self, session_id: str | None) -> str | None:
        """The session's name in the namespace of the token; what is too long then, by its hash."""
        if session_id is None:
            return None
        named = f"{self.name}/{session_id}"
        if len(named) <= _LONGEST_SESSION_ID:
            return named
        return f"{self.name}/sha256:{hashlib.sha256(session_id.encode()).hexdigest()}"

    def origin(self, address: str) -> str:
        """Videos without a session id are told apart by token, too."""
        return f"{self.name}/{address}"

    def new_job_id(self) -> str:
        """With the owner's name before it; a name has no dot."""
        return f"{self.name}.{uuid.uuid4().hex}"

    def owns_job(self, job_id: str) -> bool:
        """Whether it was taken in for a token of this name."""
        return job_id.startswith(f"{self.name}.")
