"""One file over HTTPS, resumed where an earlier attempt stopped.

What has arrived lies in a part file; beside it, a few bytes say which version of which address it is.
A part is continued only if the server confirms that version (RFC 9110, 13.1.5 If-Range, 14.4
Content-Range); in any other case loading starts anew. Whether the contents are right is the caller's
question (`fetching.py`).
"""

import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError

from workers.assets.asset import FetchError

#: Attempts in a row that bring nothing new before an address is given up.
TRIES = 4

_CHUNK_BYTES = 2**20
_TIMEOUT = urllib3.Timeout(connect=20.0, read=60.0)
_FEW_REDIRECTS = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

#: Told after every piece: bytes that are here, bytes of the whole file.
Tell = Callable[[int, int], None]


class _Interrupted(Exception):
    """The next attempt may do better."""


class Elsewhere(Exception):
    """The file is not to be had at this address; it may be at the next one."""


class _Version(msgspec.Struct, frozen=True):
    """Which version of a file a part belongs to."""

    url: str
    validator: str
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Download:
    """Loads a file into `part`, a path of the caller's.

    `size_bytes` is the file's published size, or None; `most_bytes` bounds it in either case. With
    `unpacks` the disk must have room for the contents beside the file. `pause` waits that many seconds.
    """

    part: Path
    size_bytes: int | None
    most_bytes: int
    unpacks: bool
    tell: Tell
    pause: Callable[[float], None] = time.sleep

    def run(self, urls: Sequence[str]) -> str:
        """Load the whole file from one of `urls`, which is returned. Raises `FetchError`, `OSError`."""
        refusals = []
        for url in self._begun_first(urls):
            try:
                self._whole(url)
            except Elsewhere as reason:
                refusals.append(f"{url}: {reason}")
            else:
                return url
        raise FetchError("; ".join(refusals))

    def forget(self) -> None:
        """Remove what has arrived."""
        self._note().unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _begun_first(self, urls: Sequence[str]) -> list[str]:
        version = self._kept()
        return sorted(urls, key=lambda url: version is None or url != version.url)

    def _whole(self, url: str) -> None:
        """Load from `url` until the file is complete or attempts bring nothing new."""
        best_bytes = vain = 0
        while True:
            try:
                return self._once(url)
            except _Interrupted as reason:
                here_bytes = self._here_bytes()
                vain = 0 if here_bytes > best_bytes else vain + 1
                best_bytes = max(best_bytes, here_bytes)
                if vain == TRIES:
                    self._give_up(url, reason)
            self.pause(2.0**vain)

    def _give_up(self, url: str, reason: _Interrupted) -> None:
        kept = self._kept()
        if kept is None or kept.url != url:
            raise Elsewhere(str(reason)) from None
        # Another address would begin anew: what is here is worth more.
        raise FetchError(f"{url}: {reason}; the same command goes on from {self._here_bytes()} bytes")

    def _once(self, url: str) -> None:
        """One request: all that is missing, or as much of it as comes."""
        kept = self._kept()
        if kept and kept.url != url:
            kept = None
        start = self._here_bytes() if kept else 0
        if kept and start == kept.total_bytes:
            return
        headers = {"Accept-Encoding": "identity", "User-Agent": "everyframe"}
        if kept and start:
            headers |= {"Range": f"bytes={start}-", "If-Range": kept.validator}
        try:
            with (
                _connections(url) as http,
                http.request(
                    "GET",
                    url,
                    headers=headers,
                    preload_content=False,
                    decode_content=False,
                    retries=_FEW_REDIRECTS,
                    timeout=_TIMEOUT,
                ) as response,
            ):
                self._receive(url, response, kept, start)
        except HTTPError as error:
            raise _Interrupted(_in_words(error)) from None

    def _receive(
        self, url: str, response: urllib3.BaseHTTPResponse, kept: _Version | None, start: int
    ) -> None:
        refuse_a_way_out_of_tls(url, response)
        if response.status == 206 and kept:
            self._refuse_another_version(response, kept, start)
            total = kept.total_bytes
        elif response.status == 200:
            start, total = 0, self._announced(response)
            self._begin(url, response, total)
        elif response.status == 416:
            self.forget()
            raise _Interrupted("the server has no such part")
        elif response.status in (408, 429) or response.status >= 500:
            raise _Interrupted(f"HTTP {response.status} {response.reason}")
        else:
            raise Elsewhere(f"HTTP {response.status} {response.reason}")
        self._refuse_without_room(total - start + (total if self.unpacks else 0))
        self._write(response, start, total)

    def _announced(self, response: urllib3.BaseHTTPResponse) -> int:
        """The file's size, as the server says it."""
        length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Elsewhere("the server does not say how long the file is")
        total = int(length)
        if self.size_bytes is not None and total != self.size_bytes:
            raise Elsewhere(f"{total} bytes long, and should be {self.size_bytes}")
        if total > self.most_bytes:
            raise Elsewhere(f"{total} bytes long: more than the {self.most_bytes} it may have")
        return total

    def _begin(self, url: str, response: urllib3.BaseHTTPResponse, total: int) -> None:
        """An empty part, and the note of its version where the server names one."""
        self.forget()
        self.part.touch()
        if validator := _validator(response):
            # Written before the first byte of the part, so that no part has a wrong note.
            note = _Version(url=url, validator=validator, total_bytes=total)
            self._note().write_bytes(msgspec.json.encode(note))

    def _refuse_another_version(self, response: urllib3.BaseHTTPResponse, kept: _Version, start: int) -> None:
        """Not every server heeds If-Range."""
        given = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        same = (_validator(response) or kept.validator) == kept.validator
        if not (same and given and (int(given[1]), int(given[2])) == (start, kept.total_bytes)):
            self.forget()
            raise _Interrupted("the file changed on the server meanwhile")

    def _refuse_without_room(self, needed_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self.part.parent).free
        if free_bytes < needed_bytes:
            raise FetchError(
                f"{needed_bytes / 1e9:.2f} GB are needed in {self.part.parent}, {free_bytes / 1e9:.2f} GB are"
                " free; make room, or set POSE_ASSETS_DIR to a directory on another disk"
            )

    def _write(self, response: urllib3.BaseHTTPResponse, start: int, total: int) -> None:
        self.tell(start, total)
        with self.part.open("r+b") as file:
            file.seek(start)
            for chunk in response.stream(_CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                self.tell(file.tell(), total)
        if self._here_bytes() != total:
            raise _Interrupted(f"the connection ended after {self._here_bytes()} of {total} bytes")

    def _note(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def _kept(self) -> _Version | None:
        """Which version the part is of; None where nothing can be continued."""
        try:
            version = msgspec.json.decode(self._note().read_bytes(), type=_Version)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return version if self._here_bytes() <= version.total_bytes else None

    def _here_bytes(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def _validator(response: urllib3.BaseHTTPResponse) -> str | None:
    """What names this version of the file. A weak ETag may not be used for a part (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _in_words(error: HTTPError) -> str:
    """What went wrong, without the exceptions that it comes wrapped in."""
    reason = error.reason if isinstance(error, MaxRetryError) else error
    return str(reason.args[0] if isinstance(reason, ProtocolError) else reason)


def refuse_a_way_out_of_tls(url: str, response: urllib3.BaseHTTPResponse) -> None:
    """Nothing after an https address may be plain http: on first use, TLS is all that vouches for a file."""
    history = response.retries.history if response.retries else ()
    for step in history:
        if url.startswith("https:") and (step.redirect_location or "").lower().startswith("http:"):
            raise Elsewhere(f"leads to {step.redirect_location}, which is not secure")


def _connections(url: str) -> urllib3.PoolManager:
    """Connections to `url`, through the proxy that the environment names (https_proxy, no_proxy)."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()
