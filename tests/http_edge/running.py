"""A broker process and an edge process, and HTTP spoken to them."""

import base64
import gzip
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgpack
import orjson
from PIL import Image as PillowImage

from wire.settings import Settings, load

#: Longest wait for what must happen, seconds; on a busy machine a program takes long to start.
WITHIN_S = 120.0


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @cached_property
    def body(self) -> Any:
        """MessagePack, or JSON, read as strictly as a browser does, once: a mesh has 20,000 numbers."""
        content = gzip.decompress(self.raw) if self.headers.get("content-encoding") == "gzip" else self.raw
        if self.headers["content-type"] == "application/msgpack":
            return msgpack.unpackb(content)
        return orjson.loads(content)


class Edge:
    """A broker and an edge on a free port, until the `with` block ends."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self._log = directory / "edge.log"
        self._environment = os.environ | {
            "POSE_HOST": "127.0.0.1",
            "POSE_PORT": "0",
            "POSE_RUNTIME_DIR": str(directory / "run"),
            **settings,
        }
        self.settings: Settings = load(self._environment)
        self.workers_address = self.settings.workers_address()

    def __enter__(self) -> "Edge":
        self.start_broker()
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            self.start_another()
        except BaseException:
            self.__exit__()
            raise
        self.port = int(self._urls()[0])
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.processes, self.broker):
            process.kill()
            process.wait()

    def start_another(self) -> None:
        """Another process of the edge: the first, or one more on its port."""
        serving = len(self._urls())
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "http_edge"]
            started = subprocess.Popen(command, env=self._environment, stderr=log)
        self.processes.append(started)
        wait_for(lambda: len(self._urls()) > serving or started.poll() is not None)
        assert started.poll() is None, self.log

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The only one, or the first."""
        return self.processes[0]

    def start_broker(self) -> None:
        command = [sys.executable, "-m", "broker"]
        self.broker = subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL)

    def kill_broker(self) -> None:
        self.broker.send_signal(signal.SIGKILL)
        self.broker.wait()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def _urls(self) -> list[str]:
        if not self._log.exists():
            return []
        return re.findall(r"serving on http://127\.0\.0\.1:(\d+)", self.log)

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.get("/health").body["ready"])

    def connect(self, *, timeout_s: float = WITHIN_S) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        connection = self.connect()
        try:
            return exchange(connection, method, path, body, headers)
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("GET", path, headers=headers)

    def metric(self, name: str) -> float:
        """One sample of `/metrics` by its full name; 0 where there is none."""
        exposed = self.get("/metrics").raw.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", exposed, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def post(
        self, fields: object, *, path: str = "/pose/hybrid", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send `fields` as JSON."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self.request("POST", path, json.dumps(fields).encode(), sent)

    def pose(self, image: bytes, **fields: object) -> Reply:
        """Send a picture with the contract's fields."""
        return self.request("POST", "/pose/hybrid", intake(image, **fields), JSON)


JSON = {"Content-Type": "application/json"}


def intake(image: bytes, **fields: object) -> bytes:
    """The body of a request for a picture's pose."""
    return json.dumps({"image_base64": base64.b64encode(image).decode(), **fields}).encode()


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request and its answer over a connection that may be kept."""
    connection.request(method, path, body=body, headers=dict(headers or {}))
    response = connection.getresponse()
    sent = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, sent, response.read())


def wait_for(condition: Callable[[], object], *, within_s: float = WITHIN_S) -> None:
    """Return when `condition` holds; fail the test if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {within_s} s"
        time.sleep(0.02)


def picture(
    file_format: str = "PNG", *, mode: str = "RGB", size: tuple[int, int] = (64, 36), **options: Any
) -> bytes:
    """A small encoded picture with something in it."""
    ramp = PillowImage.linear_gradient("L").resize(size)
    stream = io.BytesIO()
    _in_mode(ramp, mode).save(stream, file_format, **options)
    return stream.getvalue()


def _in_mode(grey: PillowImage.Image, mode: str) -> PillowImage.Image:
    if mode == "I;16":
        return grey.convert("I").point(lambda value: value * 257).convert("I;16")
    if mode == "P":
        return grey.convert("RGB").quantize(16)
    return grey.convert(mode)
