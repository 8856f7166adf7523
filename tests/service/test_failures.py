"""What is left when the edge, or everything at once, is killed: a video goes on where it was."""

import io
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from client.backend import is_ready
from client.private_service import PrivateService, private_service
from tests.service.running import pids, wait_for
from tools.chaos.clips import LANDSCAPE, pictures
from tools.chaos.traffic import Received, Sender
from tools.supervised import Supervised
from wire.connection import Connection

FRAMES = 16
HALF = FRAMES // 2
IN_FLIGHT = 4


@pytest.fixture(scope="module")
def video(sports_clip: Path) -> list[bytes]:
    return pictures(sports_clip, first=60, last=60 + FRAMES - 1, size=LANDSCAPE)


def send(
    service: PrivateService, video: list[bytes], numbers: range, session_id: str | None
) -> list[Received]:
    """Some frames of the video, one after the other."""
    with Sender(service, in_flight=1) as sender:
        return [sender.ask(video[number], number, session_id=session_id) for number in numbers]


def test_an_edge_that_is_killed_with_frames_under_way_costs_who_sends_them_again_nothing(
    service: PrivateService, video: list[bytes]
) -> None:
    raw = [_bare(picture) for picture in video]  # large enough to be lent
    alone = send(service, raw, range(FRAMES), "never disturbed")
    before = send(service, raw, range(HALF + 1), "over two edges")
    (edge,) = pids(service, "edge")
    under_way = range(HALF + 1, HALF + 1 + IN_FLIGHT)
    with Sender(service, in_flight=IN_FLIGHT) as sender, ThreadPoolExecutor(1) as pool:
        with _stopped(pids(service, "worker")):
            asked = pool.submit(sender.send, raw, session_id="over two edges", order=under_way)
            wait_for(lambda: _handed_out(service) == IN_FLIGHT)
            assert _lent(edge) >= IN_FLIGHT
            os.kill(edge, signal.SIGKILL)
        broken = asked.result()

    wait_for(lambda: pids(service, "edge") not in ([], [edge]) and is_ready("127.0.0.1", service.port))
    after = send(service, raw, range(HALF, FRAMES), "over two edges")  # the first was answered before

    assert [answer.status for answer in broken] == [0] * IN_FLIGHT
    assert [answer.fields for answer in before + after[1:]] == [answer.fields for answer in alone]
    assert after[0].fields == before[-1].fields
    assert "cold" not in {answer.history for answer in after}


def _bare(picture: bytes) -> bytes:
    """The same pixels as PPM."""
    with io.BytesIO() as written:
        PillowImage.open(io.BytesIO(picture)).save(written, "PPM")
        return written.getvalue()


@contextmanager
def _stopped(processes: list[int]) -> Iterator[None]:
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


def _handed_out(service: PrivateService) -> int:
    """Frames that are with workers."""
    with Connection(f"ipc://{service.runtime_dir}/frames.ipc", max_frame_bytes=1) as connection:
        return connection.status(60.0).in_flight


def _lent(edge: int) -> int:
    """Pictures for which it has memory."""
    return Path(f"/proc/{edge}/maps").read_text().count("/memfd:everyframe-")


def test_a_service_that_is_killed_as_a_whole_goes_on_with_its_sessions_when_it_is_started_again(
    service: PrivateService, video: list[bytes], tmp_path: Path
) -> None:
    alone = send(service, video, range(FRAMES), "never killed")
    settings = {
        "POSE_WORKERS": "1",
        "POSE_STORE_DIR": str(tmp_path / "store"),
        "POSE_NEW_VIDEO_PAUSE_S": "300",  # a busy machine takes its time to start
    }

    with private_service(tmp_path / "first.log", settings) as first:
        before = {name: send(first, video, range(HALF), name) for name in ("dance", None)}
        with Supervised(first.runtime_dir) as supervised:
            running = [program.pid for program in supervised.programs().values()]
        supervisord = int((first.runtime_dir / "supervisord.pid").read_text())
        for pid in (supervisord, *running):
            os.kill(pid, signal.SIGKILL)
    with private_service(tmp_path / "second.log", settings) as second:
        after = {name: send(second, video, range(HALF, FRAMES), name) for name in ("dance", None)}

    for name in ("dance", None):
        assert len({answer.session_id for answer in before[name] + after[name]}) == 1
        assert {answer.history for answer in after[name]} == {"restored"}
        assert [answer.fields for answer in before[name] + after[name]] == [answer.fields for answer in alone]


def test_a_frame_that_takes_too_long_ends_its_workers_and_is_refused_by_name(
    video: list[bytes], tmp_path: Path
) -> None:
    log = tmp_path / "service.log"
    # No frame is done in 5 ms; what the worker does before it is ready is not limited.
    with private_service(log, {"POSE_WORKERS": "2", "POSE_FRAME_LIMIT_S": "0.005"}) as limited:
        (answer,) = send(limited, video, range(1), "hangs")
        wait_for(lambda: is_ready("127.0.0.1", limited.port))

    assert answer.status == 500
    assert answer.refusal.startswith("poison_frame")
    told = log.read_text()
    assert told.count("terminated by SIGALRM") == 2
    assert "workers/pipeline.py" in told  # where it hung, from the tracebacks
