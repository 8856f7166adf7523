"""waitress, dressed for this service: bounds, JSON refusals, and an end that loses nothing.

What waitress refuses by itself (bodies over the limit, broken HTTP) leaves in the same
form as every other error. Stopping closes the door, answers what is held, then ends.
"""

import logging
import re
import select
import socket
import threading
import time
from collections.abc import Callable
from copy import copy
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import create_server
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error, RequestEntityTooLarge

from http_edge import contract
from http_edge.access import Access
from http_edge.bodies import AnnouncedBody
from http_edge.videos import UPLOAD_PATHS
from wire.errors import BadRequest, BodyTooLarge, Internal, PoseError, Unauthorized
from wire.settings import Settings

log = logging.getLogger(__name__)

#: Threads beyond those that may wait for poses, so that `/health` always finds one.
SPARE_THREADS = 4

#: Bodies and answers up to this stay in memory; a 1080p PNG in base64 does, larger ones go to a file.
_BUFFER_BYTES = 8 * 2**20

#: Read from a socket at once; waitress' own 8 KiB would make 100 turns of its loop out of one frame.
_RECEIVE_BYTES = 256 * 2**10

#: waitress goes through all headers with each piece of them that arrives; its own limit is four times this.
_HEADER_BYTES = 64 * 2**10

_CONNECTION_LIMIT = 1024
_BACKLOG = 1024

#: Idle connections are closed after this; longer than the client's own time-out of 120 s.
_CHANNEL_TIMEOUT_S = 180

#: A body over the limit is read and thrown away up to this size before it is refused: a client that
#: is still sending would see a broken connection in place of the answer.
_DISCARD_LIMIT_BYTES = 2**30

#: What a form may have around its video.
_FORM_BYTES = 64 * 2**10

#: A header that goes on in the next line (obs-fold), and what a request says of its body's coding.
_FOLDED = re.compile(rb"\r\n[ \t]")
_CODING = re.compile(rb"\r\nTransfer-Encoding:([^\r]*)", re.IGNORECASE)

#: Who has just connected is about to ask, and so is who asked a moment ago.
_FIRST_REQUEST_S = 0.5
_NEXT_REQUEST_S = 2.0

_LOOP_TIMEOUT_S = 1.0
_DRAIN_STEP_S = 0.05


class _NoToken(Error):  # type: ignore[misc]  # waitress has no types
    code = Unauthorized.status
    reason = "Unauthorized"


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Refuses ambiguous requests, and reads an unwanted body to its end, keeping none of it."""

    adj: Any
    _refusal: _NoToken | None = None
    error: Error | None
    expect_continue: bool
    body_rcv: Any
    _to_discard = 0

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        self._check_framing(header_plus)
        if self.path.rstrip("/") in UPLOAD_PATHS:
            self.adj = self.adj.for_uploads
        if self.body_rcv is not None:
            if not self.chunked and self.content_length <= _BUFFER_BYTES:
                self.body_rcv = AnnouncedBody(self.content_length)
            self._refusal = self.adj.refusal(self.headers.get("AUTHORIZATION"))

    def _check_framing(self, header_plus: bytes) -> None:
        """Refuse what a proxy before us may read otherwise (RFC 9112, 5.2, 6.1 and 6.3).

        waitress 3.0.2 takes all of these. Raises `ParsingError`.
        """
        if _FOLDED.search(header_plus):
            raise ParsingError("a header goes on in the next line")
        codings = _CODING.findall(header_plus)
        if codings and ("CONTENT_LENGTH" in self.headers or self.version != "1.1"):
            raise ParsingError("Transfer-Encoding with Content-Length, or with HTTP/1.0")
        if len(codings) > 1 or any(b"," in coding for coding in codings):
            raise ParsingError("more than one Transfer-Encoding")

    def received(self, data: bytes) -> int:
        if self._to_discard:
            discarded = min(len(data), self._to_discard)
            self._to_discard -= discarded
            self.completed = not self._to_discard
            return discarded
        consumed: int = super().received(data)
        waits_to_send = self.expect_continue
        if self._refusal is not None and self.error is None:
            self.error, self.completed, self.expect_continue = self._refusal, True, False
        unwanted = isinstance(self.error, (RequestEntityTooLarge, _NoToken))
        if unwanted and not waits_to_send and 0 < self.content_length <= _DISCARD_LIMIT_BYTES:
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
        if error.code == Unauthorized.status:
            self.response_headers.append(("WWW-Authenticate", "Bearer"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.adj.refused_unread(error.code)
        self.write(body)


class _Task(WSGITask):  # type: ignore[misc]  # waitress has no types
    """An answer that says, while the server stops, that it is the last one on its connection.

    Closed without a word, a connection would take along the request that is on its way.
    """

    def build_response_header(self) -> bytes:
        if self.channel.adj.stopping.is_set():
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header


def _named(status: int, message: str) -> PoseError:
    if status == BodyTooLarge.status:
        return BodyTooLarge(message)
    if status == Unauthorized.status:
        return Unauthorized(message)
    return BadRequest(message) if status < Internal.status else Internal(message)


def _refusal(access: Access | None) -> Callable[[str | None], _NoToken | None]:
    """What to say to a request with this `Authorization` before its body is read; None: read it."""

    def refusal(authorization: str | None) -> _NoToken | None:
        try:
            if access is not None:
                access.caller(authorization)
        except Unauthorized as error:
            return _NoToken(error.message)
        return None

    return refusal


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    parser_class = _Parser
    task_class = _Task
    error_task_class = _Refusal

    @property
    def holds_work(self) -> bool:
        """Whether a request is being read, served or answered here, or is about to come."""
        is_new = self.last_activity == self.creation_time
        comes_within_s = _FIRST_REQUEST_S if is_new else _NEXT_REQUEST_S
        is_expected = self.last_activity > time.time() - comes_within_s
        return is_expected or bool(self.requests) or self.total_outbufs_len > 0 or self.request is not None


class CannotListen(Exception):
    """The address is another's, or none of this machine's."""


class Server:
    """Serves a WSGI application until told to stop."""

    def __init__(
        self,
        app: Callable[..., Any],
        settings: Settings,
        *,
        address: tuple[str, int] | None = None,
        threads: int | None = None,
        access: Access | None = None,
        refused_unread: Callable[[int], None] | None = None,
    ) -> None:
        """Binds its address. Raises `CannotListen`.

        address, threads: if not the settings' own. access: whose bodies are read. refused_unread: is told
        the status of each request that the application does not get to see.
        """
        host, port = address or (settings.host, settings.port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Of several edges each has a queue of its own: one that dies takes only its own callers with it.
        shared = settings.edges > 1
        try:
            self._listener = socket.create_server(
                (host, port), family=family, backlog=_BACKLOG, reuse_port=shared
            )
        except OSError as error:
            raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from error
        self._waitress = create_server(
            app,
            sockets=[self._listener],
            threads=threads or settings.http_threads + SPARE_THREADS,
            max_request_body_size=settings.max_body_bytes + 1,  # waitress refuses from this size on
            max_request_header_size=_HEADER_BYTES,
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
        self._waitress.adj.refusal = _refusal(access)
        self._waitress.adj.refused_unread = refused_unread or (lambda _status: None)
        self._stopping = self._waitress.adj.stopping = threading.Event()
        uploads = copy(self._waitress.adj)
        uploads.max_request_body_size = settings.max_video_bytes + _FORM_BYTES
        self._waitress.adj.for_uploads = uploads

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
        self._let_in_who_is_at_the_door()
        wasyncore.dispatcher.close(self._waitress)  # the listening socket alone
        self._turn(0.0)
        deadline = time.monotonic() + drain_s
        while (held := self._close_idle()) and time.monotonic() < deadline:
            self._turn(_DRAIN_STEP_S)
        if held:
            log.warning("%d requests are given up", held)
        self._waitress.task_dispatcher.shutdown(cancel_pending=True, timeout=0)

    def _let_in_who_is_at_the_door(self) -> None:
        """Accept who has connected: closing the listener would cut them off."""
        door = select.poll()
        door.register(self._listener, select.POLLIN)
        for _ in range(_BACKLOG):
            if not door.poll(0):
                return
            self._turn(0.0)

    def _close_idle(self) -> int:
        """Close the connections that hold no work; how many are left."""
        channels = list(self._waitress.active_channels.values())
        for channel in channels:
            if not channel.holds_work:
                channel.will_close = True
        return len(channels)

    def _turn(self, timeout_s: float) -> None:
        wasyncore.loop(timeout=timeout_s, map=self._waitress._map, use_poll=True, count=1)
