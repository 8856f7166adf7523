"""The service as a backend sees it: frames as base64 JSON over one kept connection."""

import base64
import http.client
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import orjson
from isal import isal_zlib

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate, br"}

#: zlib's sign for a stream in gzip's wrapping.
_GZIP = 16 + isal_zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, and how long it took from the first byte out to the last byte in."""

    status: int
    raw: bytes  # the body as it came
    compressed: bool
    elapsed_ms: float

    def body(self) -> Mapping[str, Any]:
        """The contract's JSON: 60,000 numbers, so it is read only when it is asked for, and not kept."""
        text = isal_zlib.decompress(self.raw, wbits=_GZIP) if self.compressed else self.raw
        body: Mapping[str, Any] = orjson.loads(text)
        return body


class Backend:
    """One kept-alive connection to the service; leaving its context closes it."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 120.0) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)

    def pose(
        self, picture: bytes, *, frame_number: int, visualize: bool = False, session_id: str | None = None
    ) -> Answer:
        """Send one encoded picture, and wait for its answer."""
        request: dict[str, object] = {
            "image_base64": base64.b64encode(picture).decode("ascii"),
            "frame_number": frame_number,
            "visualize": visualize,
        }
        if session_id is not None:
            request["session_id"] = session_id
        return self._exchange("POST", "/pose/hybrid", orjson.dumps(request))

    def health(self) -> Answer:
        """The service's own word on how it is."""
        return self._exchange("GET", "/health", None)

    def __enter__(self) -> "Backend":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _exchange(self, method: str, path: str, body: bytes | None) -> Answer:
        started = time.perf_counter()
        self._connection.request(method, path, body=body, headers=_HEADERS)
        response = self._connection.getresponse()
        raw = response.read()
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return Answer(response.status, raw, response.headers.get("Content-Encoding") == "gzip", elapsed_ms)


def is_ready(host: str, port: int) -> bool:
    """Whether a service answers there, and a worker of its has passed the self-test."""
    with Backend(host, port, timeout_s=5) as backend, suppress(OSError):  # the edge may not listen yet
        return bool(backend.health().body()["ready"])
    return False
