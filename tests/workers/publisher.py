"""A publisher's web server on 127.0.0.1 that can misbehave as real ones do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """One file, and how the server gives it out.

    `cuts`: the connection ends after that many bytes of the body, one entry a request. `held_at`: the
    server stops there until `released`.
    """

    contents: bytes
    etag: str | None = '"1"'
    last_modified: str | None = None
    ranges: bool = True
    heeds_if_range: bool = True
    tells_length: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirect: str | None = None
    held_at: int | None = None
    released: threading.Event = field(default_factory=threading.Event)


class Publisher:
    """`pages` by name; `requests` are (name, Range, If-Range), None for what was not sent, as they came."""

    def __init__(self, port: int) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str | None, str | None]] = []
        self._port = port

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._port}/{name}"

    def publish(self, name: str, page: Page) -> str:
        """Put `page` at an address, which is returned."""
        self.pages[name] = page
        return self.url(name)


@contextmanager
def running() -> Iterator[Publisher]:
    """A server, until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.publisher = Publisher(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.publisher
        finally:
            for page in server.publisher.pages.values():
                page.released.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        publisher = self.server.publisher
        name = self.path.lstrip("/")
        publisher.requests.append((name, self.headers["Range"], self.headers["If-Range"]))
        page = publisher.pages.get(name)
        # One request a connection: an answer that is cut short ends with it.
        self.close_connection = True
        if page is None:
            self._answer(404, b"", {})
        elif page.redirect:
            self._answer(302, b"", {"Location": page.redirect})
        elif page.statuses:
            self._answer(page.statuses.pop(0), b"", {})
        else:
            self._give(page)

    def _give(self, page: Page) -> None:
        versions = {"ETag": page.etag, "Last-Modified": page.last_modified}
        headers = {name: value for name, value in versions.items() if value}
        start = self._start(page, headers)
        if start is None:
            self._answer(200, page.contents, headers, page)
        elif start >= len(page.contents):
            self._answer(416, b"", headers)
        else:
            end, total = len(page.contents) - 1, len(page.contents)
            self._answer(
                206, page.contents[start:], {**headers, "Content-Range": f"bytes {start}-{end}/{total}"}, page
            )

    def _start(self, page: Page, versions: dict[str, str]) -> int | None:
        """Where the answer begins; None where the whole file is given."""
        asked, condition = self.headers["Range"], self.headers["If-Range"]
        if not (asked and page.ranges):
            return None
        if page.heeds_if_range and condition not in (None, *versions.values()):
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _answer(self, status: int, body: bytes, headers: dict[str, str], page: Page | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if page is None or page.tells_length:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if page and page.held_at is not None:
            self.wfile.write(body[: page.held_at])
            self.wfile.flush()
            page.released.wait(30)
            body = body[page.held_at :]
        cut = page.cuts.pop(0) if page and page.cuts else len(body)
        # Some tests kill the client.
        with suppress(ConnectionError):
            self.wfile.write(body[:cut])

    def log_message(self, *_: object) -> None:
        """Quiet."""
