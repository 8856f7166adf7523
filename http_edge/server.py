"""waitress, dressed for this service: bounds, JSON refusals, and an end that loses nothing.

What waitress refuses by itself (bodies over the limit, broken HTTP) leaves in the same
form as every other error. Stopping closes the door, answers what is held, then ends.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from copy import copy
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import create_server
from waitress.task import ErrorTask
from waitress.utilities import RequestEntityTooLarge

from http_edge import contract
from http_edge.videos import UPLOAD_PATHS
from wire.errors import BadRequest, BodyTooLarge, Internal, PoseError
from wire.settings import Settings

log = logging.getLogger(__name__)

#: Threads beyond those that may wait for poses, so that `/health` always finds one.
SPARE_THREADS = 4

#: Bodies and answers up to this stay in memory; a 1080p PNG in base64 does, larger ones go to a file.
_BUFFER_BYTES = 8 * 2**20

#: Read from a socket at once; waitress' own 8 KiB would make 100 turns of its loop out of one frame.
_RECEIVE_BYTES = 256 * 2**10

_CONNECTION_LIMIT = 1024
_BACKLOG = 1024

#: Idle connections are closed after this; longer than the client's own time-out of 120 s.
_CHANNEL_TIMEOUT_S = 180

#: A body over the limit is read and thrown away up to this size before it is refused: a client that
#: is still sending would see a broken connection in place of the answer.
_DISCARD_LIMIT_BYTES = 2**30

#: What a form may have around its video.
_FORM_BYTES = 64 * 2**10

_LOOP_TIMEOUT_S = 1.0
_DRAIN_STEP_S = 0.05


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Reads a body that is too large to its end, keeping none of it."""

    adj: Any
    _to_discard = 0

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.path.rstrip("/") in UPLOAD_PATHS:
            self.adj = self.adj.for_uploads

    def received(self, data: bytes) -> int:
        if self._to_discard:
            discarded = min(len(data), self._to_discard)
            self._to_discard -= discarded
            self.completed = not self._to_discard
            return discarded
        consumed: int = super().received(data)
        oversized = isinstance(self.error, RequestEntityTooLarge)
        if oversized and not self.expect_continue and 0 < self.content_length <= _DISCARD_LIMIT_BYTES:
            self._to_discard = self.content_length
            self.completed = False
        return consumed


class _Refusal(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """An error that waitress found, in the contract's form."""

    def execute(self) -> None:
        error = self.request.error
        named = _named(error.code, f"{error.reason}: {error.body}")
        body = contract.refusal(code=named.code, message=named.message, frame_number=None)
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


def _named(status: int, message: str) -> PoseError:
    if status == BodyTooLarge.status:
        return BodyTooLarge(message)
    return BadRequest(message) if status < Internal.status else Internal(message)


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    parser_class = _Parser
    error_task_class = _Refusal

    @property
    def holds_work(self) -> bool:
        """Whether a request is being read, served or answered here."""
        return bool(self.requests) or self.total_outbufs_len > 0 or self.request is not None


class Server:
    """Serves a WSGI application until told to stop."""

    def __init__(self, app: Callable[..., Any], settings: Settings) -> None:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
        self._waitress = create_server(
            app,
            sockets=[self._listener],
            threads=settings.http_threads + SPARE_THREADS,
            max_request_body_size=settings.max_body_bytes + 1,  # waitress refuses from this size on
            recv_bytes=_RECEIVE_BYTES,
            inbuf_overflow=_BUFFER_BYTES,
            outbuf_overflow=_BUFFER_BYTES,
            connection_limit=_CONNECTION_LIMIT,
            backlog=_BACKLOG,
            channel_timeout=_CHANNEL_TIMEOUT_S,
            asyncore_use_poll=True,
            ident="",
            clear_untrusted_proxy_headers=True,
        )
        self._waitress.channel_class = _Channel
        uploads = copy(self._waitress.adj)
        uploads.max_request_body_size = settings.max_video_bytes + _FORM_BYTES
        self._waitress.adj.for_uploads = uploads
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._listener.getsockname()[1])

    def stop(self) -> None:
        """Begin to stop; safe to call from a signal handler or any thread."""
        self._stopping.set()
        self._waitress.pull_trigger()  # the loop may be asleep in poll()

    def run(self, *, drain_s: float) -> None:
        """Serve until `stop`; then accept nothing more, answer what is held for up to `drain_s`."""
        while not self._stopping.is_set():
            self._turn(_LOOP_TIMEOUT_S)
        wasyncore.dispatcher.close(self._waitress)  # the listening socket alone
        deadline = time.monotonic() + drain_s
        while (held := self._close_idle()) and time.monotonic() < deadline:
            self._turn(_DRAIN_STEP_S)
        if held:
            log.warning("%d requests are given up", held)
        self._waitress.task_dispatcher.shutdown(cancel_pending=True, timeout=0)

    def _close_idle(self) -> int:
        """Close the connections that hold no work; how many are left."""
        channels = list(self._waitress.active_channels.values())
        for channel in channels:
            if not channel.holds_work:
                channel.will_close = True
        return len(channels)

    def _turn(self, timeout_s: float) -> None:
        wasyncore.loop(timeout=timeout_s, map=self._waitress._map, use_poll=True, count=1)
