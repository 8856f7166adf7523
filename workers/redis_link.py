"""The way to a Valkey or Redis server: each word to it has a deadline, and each failure a name.

A server that does not answer is left alone for a moment, so that a worker which holds frames of many
sessions waits for it once, not once for each.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The library's client: what a question is asked with.
Client = redis.Redis

#: Names of the project whose protocol it is; the library knows those of the older one.
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}

#: What fails with every frame is said once in this time.
_SAID_AGAIN_S = 10.0

#: For so long nobody asks a server again that did not answer.
_REST_S = 1.0

#: What an operator can do something about, by the library's class; the first that fits.
_REASONS: tuple[tuple[type[redis.RedisError], str], ...] = (
    (redis.exceptions.AuthenticationError, "it refuses the user or the password"),
    (redis.exceptions.NoPermissionError, "the user may not do this"),
    (redis.exceptions.BusyLoadingError, "it is loading its data"),
    (redis.exceptions.ReadOnlyError, "it is a replica, and takes no writes"),
    (redis.exceptions.OutOfMemoryError, "its memory is full"),
    (redis.exceptions.TimeoutError, "it did not answer in time"),
    (redis.exceptions.MaxConnectionsError, "it has too many connections"),
    (redis.exceptions.ConnectionError, "it cannot be reached"),
)


@cache
def _sha1(script: str) -> str:
    """By which the server knows a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


_AWAY = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


class StoreUnavailable(Exception):
    """The server could not do what it was asked for; the message says why.

    is_away: it did not answer at all, which the log said when it began.
    """

    def __init__(self, reason: str, *, is_away: bool = False) -> None:
        super().__init__(reason)
        self.is_away = is_away


def checked(url: str) -> str:
    """The URL as the library takes it. Raises `ValueError` with the reason, never with the password."""
    scheme, _, rest = url.partition("://")
    known = f"{_SCHEMES.get(scheme, scheme)}://{rest}"
    try:
        redis.connection.parse_url(known)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ValueError(f"{without_secrets(url)}: {error}") from None
    return known


def without_secrets(url: str) -> str:
    """The URL as it may be logged: no password, and no query, which may hold one."""
    parts = urlsplit(url)
    user, separator, host = parts.netloc.rpartition("@")
    shown = f"{user.partition(':')[0]}:***@{host}" if separator else host
    return f"{parts.scheme}://{shown}{parts.path}"


class Link:
    """A connection that is made again when it is lost."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Nothing is sent yet. Raises `ValueError` for a URL that cannot be."""
        self.name = without_secrets(url)
        self._client: Client = redis.Redis.from_url(
            checked(url),
            protocol=2,  # every server and proxy speaks it, and nothing here needs more
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # Once more where the connection turns out to be closed: the server may have been restarted long
            # since. Not where it was slow: the deadline has passed.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,)),
        )
        self._rest_until = 0.0  # seconds, `time.monotonic`
        self._failure: str | None = None  # why it is away; None: it is not
        self._told: tuple[str, float] = ("", 0.0)  # the last failure that was logged, and when

    def ask(self, question: Callable[[Client], T]) -> T:
        """What `question` finds with the library's client. Raises `StoreUnavailable`."""
        if self._failure is not None and time.monotonic() < self._rest_until:
            raise StoreUnavailable(self._failure, is_away=True)
        try:
            found = question(self._client)
        except redis.RedisError as error:
            reason = self._reason(error)
            raise StoreUnavailable(self._note(reason), is_away=isinstance(reason, _AWAY)) from error
        if self._failure is not None:
            log.info("the store at %s answers again", self.name)
            self._failure = None
        return found

    def run(self, script: str, keys: Sequence[bytes], arguments: Sequence[str | bytes | int | float]) -> Any:
        """What a script gives; its text is sent only to a server that does not know it yet."""

        def question(client: Client) -> Any:
            try:
                return client.evalsha(_sha1(script), len(keys), *keys, *arguments)
            except redis.exceptions.NoScriptError:
                return client.eval(script, len(keys), *keys, *arguments)

        return self.ask(question)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _reason(self, error: redis.RedisError) -> redis.RedisError:
        """What a server that hung up says to a small question: a stranger's large one it does not answer."""
        if type(error) is redis.exceptions.ConnectionError:
            try:
                self._client.ping()
            except redis.RedisError as reason:
                return reason
        return error

    def _note(self, error: redis.RedisError) -> str:
        """Remember a failure; its name."""
        known = next((text for kind, text in _REASONS if isinstance(error, kind)), "it refuses")
        failure = f"{known} ({error})"
        told, told_at = self._told
        if known != told or time.monotonic() - told_at > _SAID_AGAIN_S:
            self._told = (known, time.monotonic())
            log.error("the store at %s: %s", self.name, failure)
        if isinstance(error, _AWAY):
            self._failure = failure
            self._rest_until = time.monotonic() + _REST_S
        if isinstance(error, redis.exceptions.ReadOnlyError):
            self._client.connection_pool.disconnect()  # another server may have the name by now
        return failure
