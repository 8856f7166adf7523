"""`/pose/video` and its kin: broker, edge and job program as processes, a worker that makes up bodies."""

import io
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import msgpack
import numpy as np
import pytest
from PIL import Image as PillowImage

from http_edge.jobs.catalogue import Catalogue
from tests import videos
from tests.fake_worker import FakeWorker, answer
from tests.http_edge.borrower import Borrower
from tests.http_edge.running import WITHIN_S, Edge, Reply, picture, wait_for
from wire import lending
from wire.connection import Connection
from wire.messages import Frame

SETTINGS = {
    "POSE_MAX_BODY_BYTES": str(2**20),
    "POSE_MAX_VIDEO_BYTES": str(2 * 2**20),
    "POSE_MAX_QUEUED_JOBS": "3",
    "POSE_REQUEST_TIMEOUT_S": "60",
    "POSE_WORKER_SILENCE_S": "300",  # the worker says nothing while it holds a frame back
    "POSE_HTTP_THREADS": "8",
    "POSE_DRAIN_S": "1",
}
BOUNDARY = "a-boundary"


class Worker:
    """What the fake worker is sent, and a gate before its answers."""

    def __init__(self) -> None:
        self.works: list[dict[str, Any]] = []
        self.images: list[bytes] = []
        self.open_until = 10**9  # frames of jobs with this number and above wait
        self.is_silent = False  # towards jobs
        self.failures: dict[int, str] = {}  # frame number -> code
        self.histories: dict[str, str] = {}  # end of the session's id -> history

    def __call__(self, work: dict[str, Any], image: bytes) -> list[bytes] | None:
        if not work["session_id"].startswith("job-"):
            return answer(work, image)
        self.works.append(work)
        self.images.append(image)
        if self.is_silent:
            return None
        is_new = any(seen["frame_number"] == 0 for seen in self.works_of(work["session_id"]))
        until = time.monotonic() + (60 if is_new else 0)  # another test's frames may still come
        while work["frame_number"] >= self.open_until and time.monotonic() < until:
            time.sleep(0.005)
        if code := self.failures.get(work["frame_number"]):
            return answer({**work, "session_id": f"failure:{code}"}, image)
        header, *payload = answer(work, image)
        told = msgpack.unpackb(header)
        told["history"] = self.histories.get(work["session_id"].rpartition("-")[2], "complete")
        return [msgpack.packb(told), *payload]

    def works_of(self, session_id: str) -> list[dict[str, Any]]:
        return [work for work in self.works if work["session_id"] == session_id]

    @property
    def numbers(self) -> list[int]:
        return [work["frame_number"] for work in self.works]


class Service(Edge):
    """The edge's service with the job program, and a folder of videos."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "videos"
        self.root.mkdir()
        super().__init__(directory, {**SETTINGS, "POSE_VIDEO_ROOT": str(self.root)})

    def start_jobs(self) -> None:
        self.jobs = subprocess.Popen([sys.executable, "-m", "http_edge.jobs"], env=self._environment)

    @property
    def catalogue(self) -> Catalogue:
        """As the next job program will find it."""
        return Catalogue(self.settings.jobs_directory() / "jobs.sqlite")

    def kill_jobs(self, signum: int = signal.SIGKILL) -> int:
        self.jobs.send_signal(signum)
        return self.jobs.wait(timeout=WITHIN_S)

    def upload(self, video: bytes, *, path: str = "/pose/video", **fields: str) -> Reply:
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
            for name, text in fields.items()
        ]
        parts.append(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="ride.mp4"\r\n'
            "Content-Type: video/mp4\r\n\r\n".encode()
        )
        body = b"".join([*parts, video, f"\r\n--{BOUNDARY}--\r\n".encode()])
        return self.request("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})

    def queue(self, video: bytes, **fields: str) -> str:
        reply = self.upload(video, **{"async": "true", **fields})
        assert (reply.status, reply.body["status"]) == (202, "queued")
        return reply.body["job_id"]

    def state(self, job_id: str) -> Any:
        reply = self.get(f"/pose/video/status/{job_id}")
        assert reply.status == 200
        return reply.body

    def ended(self, job_id: str) -> Any:
        wait_for(lambda: self.state(job_id)["status"] in ("complete", "error"))
        return self.state(job_id)

    def run_jobs(self, **settings: str) -> "subprocess.CompletedProcess[str]":
        """The job program once more, until it ends by itself."""
        return subprocess.run(
            [sys.executable, "-m", "http_edge.jobs"],
            env={**self._environment, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
        )

    @property
    def files(self) -> list[str]:
        kept = self.settings.jobs_directory()
        return sorted(path.name for folder in ("uploads", "results") for path in (kept / folder).iterdir())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("jobs")) as service:
        service.start_jobs()
        yield service
        service.kill_jobs()


@pytest.fixture
def worker(running: Service) -> Iterator[Worker]:
    worker = Worker()
    with FakeWorker(running.workers_address, answers=worker):
        running.wait_until_ready()
        yield worker
        worker.open_until = 10**9
        wait_for(lambda: not running.get("/api/pose/health").body["pool"]["active_jobs"])


@pytest.fixture
def service(running: Service, worker: Worker) -> Service:
    del worker  # it serves
    return running


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return videos.write(tmp_path_factory.mktemp("video") / "ride.mp4", frames=25).read_bytes()


def test_an_upload_is_answered_with_an_entry_for_every_frame(
    service: Service, worker: Worker, video: bytes
) -> None:
    reply = service.upload(video)

    body = reply.body
    assert reply.status == 200
    assert body.keys() == {
        "status", "job_id", "video_path", "total_frames", "fps", "frames", "processing_time_seconds",
    }  # fmt: skip
    assert (body["status"], body["video_path"], body["total_frames"], body["fps"]) == (
        "success", "ride.mp4", 25, 25.0,
    )  # fmt: skip
    assert [frame["frame_number"] for frame in body["frames"]] == list(range(25))
    np.testing.assert_allclose([frame["timestamp"] for frame in body["frames"]], np.arange(25) / 25)
    (person,) = body["frames"][7]["persons"]
    assert person.keys() >= {
        "track_id", "confidence", "tracking_confidence", "smpl", "keypoints_3d", "keypoints_2d",
        "camera", "bbox", "mesh_vertices",
    }  # fmt: skip
    assert {name: np.shape(numbers) for name, numbers in person["smpl"].items()} == {
        "betas": (10,), "body_pose": (23, 3, 3), "global_orient": (1, 3, 3),
    }  # fmt: skip
    assert np.shape(person["keypoints_3d"]) == (17, 3)
    assert np.shape(person["keypoints_2d"]) == (17, 2)
    assert np.shape(person["mesh_vertices"]) == (6890, 3)
    assert person["camera"].keys() == {"tx", "ty", "tz"}
    assert len(person["bbox"]) == 4
    assert worker.numbers == list(range(25))
    assert [work["timestamp_ms"] for work in worker.works] == pytest.approx([40 * n for n in range(25)])
    assert {work["fps"] for work in worker.works} == {25.0}
    assert {work["session_id"] for work in worker.works} == {f"job-{body['job_id']}-0"}
    seen = np.asarray(PillowImage.open(io.BytesIO(worker.images[3])))
    assert np.abs(seen[::24, ::32].astype(int) - videos.corners(3)[::24, ::32]).max() < 20


def test_a_result_without_meshes_is_small(service: Service, video: bytes) -> None:
    reply = service.upload(video, mesh="none")

    assert reply.body["frames"][0]["persons"][0]["mesh_vertices"] == []
    assert len(reply.raw) < 25 * 10_000


def test_a_job_that_nobody_waits_for_is_asked_after(service: Service, worker: Worker, video: bytes) -> None:
    worker.open_until = 10
    reply = service.upload(video, path="/process_video_async", mesh="none")
    assert (reply.status, reply.body["status"]) == (202, "accepted")
    job_id = reply.body["job_id"]
    wait_for(lambda: service.state(job_id)["frames_done"] == 10)
    state = service.state(job_id)
    assert state["status"] == "processing"
    assert state["progress"] == 40.0
    assert (state["result"], state["error"], state["completed_at"]) == (None, None, None)

    worker.open_until = 10**9
    state = service.ended(job_id)
    assert (state["status"], state["progress"], state["error"]) == ("complete", 100.0, None)
    assert state["queued_at"] <= state["started_at"] <= state["completed_at"]
    assert state["result"]["total_frames"] == len(state["result"]["frames"]) == 25
    assert service.get(f"/job_status/{job_id}").body == state
    assert service.get("/job_status/unknown").status == 404


def test_one_who_would_have_to_wait_for_others_is_not_kept_waiting(
    service: Service, worker: Worker, video: bytes
) -> None:
    worker.open_until = 5
    first = service.queue(video)
    wait_for(lambda: service.state(first)["status"] == "processing")

    reply = service.upload(video)
    assert reply.status == 202
    assert (reply.body["status"], reply.body["queue_position"]) == ("queued", 1)
    pool = service.get("/api/pose/pool-status").body
    assert (pool["queue"]["length"], pool["jobs"]["processing"]) == (1, 1)
    assert pool["queue"]["estimated_wait_time_seconds"] > 0

    worker.open_until = 10**9
    assert service.ended(first)["status"] == service.ended(reply.body["job_id"])["status"] == "complete"


def test_a_full_queue_refuses(service: Service, worker: Worker, video: bytes) -> None:
    worker.open_until = 0
    jobs = [service.queue(video)]
    wait_for(lambda: service.state(jobs[0])["status"] == "processing")
    jobs += [service.queue(video) for _ in range(3)]
    kept = service.files

    reply = service.upload(video)
    assert (reply.status, reply.body["code"]) == (503, "busy")
    assert int(reply.headers["retry-after"]) > 0
    assert service.files == kept
    for job_id in reversed(jobs):
        assert service.request("DELETE", f"/pose/video/{job_id}").status == 200
    worker.open_until = 10**9
    assert service.upload(video).status == 200  # there is room again


@pytest.mark.parametrize(("method", "end"), [("DELETE", ""), ("POST", "/cancel")])
def test_a_cancelled_job_ends_and_leaves_no_file(
    service: Service, worker: Worker, video: bytes, method: str, end: str
) -> None:
    worker.open_until = 5
    job_id = service.queue(video)
    wait_for(lambda: service.state(job_id)["frames_done"] == 5)

    reply = service.request(method, f"/pose/video/{job_id}{end}")
    assert reply.body == {"status": "cancelled", "job_id": job_id}
    state = service.state(job_id)
    assert (state["status"], state["code"]) == ("error", "cancelled")
    worker.open_until = 10**9
    assert service.ended(service.queue(video))["status"] == "complete"  # the next one's turn
    assert job_id not in service.files
    assert service.request(method, f"/pose/video/unknown{end}").status == 404


def test_a_video_is_found_by_its_path_under_the_root_and_nowhere_else(
    service: Service, video: bytes, tmp_path: Path
) -> None:
    (service.root / "inside.mp4").write_bytes(video)
    (tmp_path / "outside.mp4").write_bytes(video)
    (service.root / "link.mp4").unlink(missing_ok=True)
    (service.root / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    for path in ("inside.mp4", str(service.root / "inside.mp4")):
        reply = service.post({"video_path": path, "mesh": "none"}, path="/pose/video")
        assert (reply.status, reply.body["video_path"]) == (200, path)
    assert (service.root / "inside.mp4").exists()

    refused = [
        service.post({"video_path": path}, path="/pose/video")
        for path in ("../run/edge.log", str(tmp_path / "outside.mp4"), "link.mp4", "none.mp4", ".", "a\0b")
    ]
    assert {(reply.status, reply.body["error"]) for reply in refused} == {
        (400, "video_path: there is no such file under the folder that this service reads")
    }


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [(b"", 400, "no_video"), (b"no video" * 100, 400, "invalid_video")],
    ids=["empty", "noise"],
)
def test_a_file_that_is_no_video_is_refused_by_name(
    service: Service, content: bytes, status: int, code: str
) -> None:
    reply = service.upload(content)

    assert (reply.status, reply.body["code"]) == (status, code)


def test_who_asks_later_is_told_what_was_wrong(service: Service, video: bytes) -> None:
    job_id = service.queue(video[: len(video) * 6 // 10])

    state = service.ended(job_id)
    assert (state["status"], state["code"]) == ("error", "truncated_video")
    assert "ends after" in state["error"]
    assert job_id not in service.files


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"video_path": 3}', b'{"async": true}', b'{"video_path": "a", "mesh": "some"}', b"{"],
)
def test_a_request_of_another_form_is_refused(service: Service, body: bytes) -> None:
    reply = service.request("POST", "/pose/video", body, {"Content-Type": "application/json"})

    assert reply.status == 400
    assert reply.body["code"] in ("bad_request", "no_video")


def test_uploads_have_a_limit_of_their_own(service: Service, video: bytes) -> None:
    assert service.upload(video + bytes(2**20), mesh="none").status == 200  # over POSE_MAX_BODY_BYTES
    reply = service.upload(video + bytes(2 * 2**20))
    assert (reply.status, reply.body["code"]) == (413, "body_too_large")
    text = service.request("POST", "/pose/video", b" " * (2**20 + 1), {"Content-Type": "application/json"})
    assert text.status == 413


def test_a_killed_program_changes_nothing_and_sends_one_frame_twice(
    service: Service, worker: Worker, video: bytes
) -> None:
    undisturbed = service.upload(video).body["frames"]
    worker.works.clear()
    worker.open_until = 10
    job_id = service.queue(video)
    wait_for(lambda: service.state(job_id)["frames_done"] == 10)
    wait_for(lambda: service.metric('everyframe_worker_in_flight{worker="fake-0"}') == 4)
    service.kill_jobs()
    service.start_jobs()
    worker.open_until = 10**9

    state = service.ended(job_id)
    assert state["result"]["frames"] == undisturbed
    assert worker.numbers == [*range(14), *range(9, 25)]  # four were under way
    assert len({work["session_id"] for work in worker.works}) == 1


def test_a_video_that_ends_its_program_again_and_again_is_given_up(
    service: Service, worker: Worker, video: bytes
) -> None:
    worker.is_silent = True
    job_id = service.queue(video)
    for start in (1, 2, 3):
        wait_for(lambda: service.catalogue.find(job_id).idle_starts == start)  # noqa: B023
        service.kill_jobs()
        service.start_jobs()

    state = service.ended(job_id)
    assert (state["code"], state["frames_done"]) == ("invalid_video", 0)


def test_frames_are_lent_to_a_worker_who_can_read_them(running: Service, tmp_path: Path) -> None:
    worker, path = Borrower(), tmp_path / "large.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", 25, width=320, height=240)
        for number in range(12):
            shown = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 20 * number, np.uint8))
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    with FakeWorker(running.workers_address, answers=worker, memory=lending.memory()):
        running.wait_until_ready()
        reply = running.upload(path.read_bytes(), mesh="none")

    assert (reply.status, len(reply.body["frames"])) == (200, 12)
    # Another test's frames may still come.
    lent = [content for name, content in zip(worker.names, worker.pictures, strict=True) if name]
    means = [np.asarray(PillowImage.open(io.BytesIO(content))).mean() for content in lent]
    np.testing.assert_allclose(means, 20 * np.arange(12), atol=6)


def test_a_stopped_program_ends_at_once_and_its_job_waits(
    service: Service, worker: Worker, video: bytes
) -> None:
    worker.open_until = 10
    job_id = service.queue(video)
    wait_for(lambda: service.state(job_id)["frames_done"] == 10)
    assert service.kill_jobs(signal.SIGTERM) == 0
    assert service.state(job_id)["status"] == "queued"
    service.start_jobs()
    worker.open_until = 10**9

    assert len(service.ended(job_id)["result"]["frames"]) == 25


def test_a_video_whose_past_is_lost_is_begun_anew(service: Service, worker: Worker, video: bytes) -> None:
    worker.histories = {"0": "cold", "1": "cold"}
    state = service.ended(service.queue(video))

    assert state["status"] == "complete"
    assert [frame["frame_number"] for frame in state["result"]["frames"]] == list(range(25))
    assert worker.works[-1]["session_id"].endswith("-2")

    worker.histories = {str(attempt): "cold" for attempt in range(100)}
    assert service.ended(service.queue(video))["code"] == "session_lost"


def test_a_frame_that_fails_by_its_own_fault_has_an_entry_that_says_so(
    service: Service, worker: Worker, video: bytes
) -> None:
    worker.failures = {4: "poison_frame"}
    frames = service.upload(video).body["frames"]

    assert len(frames) == 25
    assert frames[4]["persons"] == []
    assert frames[4]["error"]["code"] == "poison_frame"
    assert [number for number, frame in enumerate(frames) if "error" in frame] == [4]


def test_beside_others_frames_a_job_keeps_one_under_way(service: Service, tmp_path: Path) -> None:
    short = videos.write(tmp_path / "short.mp4", frames=8).read_bytes()
    frame = Frame(
        request_id=uuid.uuid4().bytes, frame_number=0, deadline_ms=1000, session_id="silent:"
    )  # is never answered, so it is under way
    with Connection(service.settings.frames_address(), max_frame_bytes=2**20) as connection:
        live = connection.submit(frame, picture())
        wait_for(lambda: service.get("/api/pose/health").body["pool"]["gpu_busy"])
        job_id = service.queue(short, mesh="none")
        wait_for(live.done)
        state = service.ended(job_id)

    assert state["status"] == "complete"
    assert state["completed_at"] - state["started_at"] > 8 * 0.25  # undisturbed: 0.1 s


def test_metrics_count_jobs_and_their_room(service: Service, video: bytes) -> None:
    service.upload(video)
    text = service.get("/metrics").raw.decode()

    assert 'everyframe_video_jobs{status="complete"}' in text
    assert float(text.split("\neveryframe_video_jobs_bytes ")[1].split()[0]) > 10_000
    assert 'everyframe_limit{name="max_video_bytes"} 2.097152e+06' in text


def test_a_second_program_does_not_start(running: Service) -> None:
    assert running.run_jobs().returncode == 3


def test_a_misspelt_setting_stops_the_program_with_its_name(running: Service) -> None:
    ended = running.run_jobs(POSE_JOBZ="1")

    assert ended.returncode == 2
    assert "POSE_JOBZ" in ended.stderr
