"""The service that is held to its contract: broker, edge, job program, and a worker that makes up bodies."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fake_worker import FakeWorker
from tests.http_edge.running import Edge, Reply

#: Small bounds, so that generated requests reach them.
_SETTINGS = {
    "POSE_MAX_BODY_BYTES": str(2**20),
    "POSE_MAX_VIDEO_BYTES": str(2**20),
    "POSE_MAX_IMAGE_PIXELS": "1000000",
    "POSE_REQUEST_TIMEOUT_S": "60",
    "POSE_HTTP_THREADS": "8",
    "POSE_DRAIN_S": "1",
}

_BOUNDARY = "a-boundary"


class Service(Edge):
    """All of it but networks."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, _SETTINGS)
        self._jobs_log = directory / "jobs.log"

    def upload(self, video: bytes, **fields: str) -> Reply:
        """Send a video in a form to `/pose/video`."""
        head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
        parts = [f'{head}"{name}"\r\n\r\n{text}\r\n'.encode() for name, text in fields.items()]
        parts.append(f'{head}"video"; filename="ride.mp4"\r\n\r\n'.encode())
        body = b"".join([*parts, video, f"\r\n--{_BOUNDARY}--\r\n".encode()])
        media_type = f"multipart/form-data; boundary={_BOUNDARY}"
        return self.request("POST", "/pose/video", body, {"Content-Type": media_type})

    @contextmanager
    def jobs(self) -> Iterator[None]:
        """The job program, until the `with` block ends."""
        with self._jobs_log.open("wb") as log:
            program = subprocess.Popen(
                [sys.executable, "-m", "http_edge.jobs"], env=self._environment, stderr=log
            )
        try:
            yield
        finally:
            program.kill()
            program.wait()


@contextmanager
def service(directory: Path) -> Iterator[Service]:
    """A service that is ready; its files are in `directory`."""
    with Service(directory) as running, running.jobs(), FakeWorker(running.workers_address):
        running.wait_until_ready()
        yield running
