"""A worker that Ray places: real Ray, broker, server of sessions and networks; one machine stands for many.

`python -m tools.hosts` does it with three hosts, and takes them and their links away.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from client import motion, video
from client.results import FrameResult
from client.tracking import Client
from tests.broker.running import BrokerProcess, running_broker
from tests.service.running import wait_for
from tests.videos import write
from tests.workers.redis_server import redis_server

RAY = Path(sys.executable).with_name("ray")


@dataclass
class Cluster:
    broker: BrokerProcess
    address: str  # Ray's
    command: "subprocess.Popen[bytes]"

    def workers(self) -> list[int]:
        """Process ids of the workers that take frames."""
        with Client(self.broker.frames) as client:
            return [int(worker.name.rpartition("-")[2]) for worker in client.status().workers]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    port, broker_port = free_port(), free_port()
    with ExitStack() as stack:
        # Ray's sockets have long names.
        folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "store").mkdir()
        server = stack.enter_context(redis_server(folder / "store"))
        broker = stack.enter_context(
            running_broker(folder, workers_endpoint=f"tcp://127.0.0.1:{broker_port}", worker_silence_s=2)
        )
        head = ["--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=2", "--block"]
        light = ["--include-dashboard=false", "--object-store-memory=100000000", "--disable-usage-stats"]
        stack.enter_context(running([str(RAY), "start", *head, *light, f"--temp-dir={folder}"], folder))
        wait_for(lambda: listens(port))
        settings = {
            "POSE_RUNTIME_DIR": str(folder),
            "POSE_WORKERS_ENDPOINT": f"tcp://127.0.0.1:{broker_port}",
            "POSE_STORE_URL": server.url,
            "POSE_THREADS": "1",
        }
        command = [
            sys.executable,
            "-m",
            "workers.cluster",
            "--address",
            f"127.0.0.1:{port}",
            "--workers",
            "1",
        ]
        process = stack.enter_context(running(command, folder, **settings))
        placed = Cluster(broker, f"127.0.0.1:{port}", process)
        wait_for(lambda: bool(placed.workers()) or process.poll() is not None)
        yield placed


def test_a_worker_whose_actor_is_killed_is_placed_anew_and_goes_on_with_the_session(
    cluster: Cluster, sports_clip: Path
) -> None:
    frames = list(video.frames(sports_clip, first=100, last=105))
    with Client(cluster.broker.frames) as client:
        undisturbed = list(client.track(frames, session_id="undisturbed"))
        before = list(client.track(frames[:3], session_id="disturbed"))
        [first] = cluster.workers()
        os.kill(parent(first), signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{first}").exists())  # it went with what held it
        after = list(client.track(frames[3:], session_id="disturbed", first_number=3))
    assert cluster.workers() != [first]
    assert [numbers(result) for result in before + after] == [numbers(result) for result in undisturbed]
    assert after[0].history == "restored"


def test_videos_are_tasks_and_a_second_run_finds_them_done(cluster: Cluster, tmp_path: Path) -> None:
    clips = [write(tmp_path / f"{name}.mp4", frames=5) for name in ("one", "two")]
    command = [
        sys.executable,
        "-m",
        "client.cluster",
        "--address",
        cluster.address,
        "-o",
        str(tmp_path / "out"),
    ]
    environ = {**os.environ, "POSE_FRAMES_ENDPOINT": cluster.broker.frames}
    for expected in ("of 2)", ""):
        words = [*command, *map(str, clips), "--", "--online"]
        told = subprocess.run(words, env=environ, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        assert (expected in told.stdout) if expected else not told.stdout
    for clip in clips:
        assert motion.load(tmp_path / "out" / f"{clip.name}.npz").times_s.shape == (5,)


def test_told_to_stop_it_drains_its_workers_and_leaves_nothing_behind(cluster: Cluster) -> None:
    [worker] = cluster.workers()
    cluster.command.send_signal(signal.SIGTERM)
    assert cluster.command.wait(timeout=120) == 0
    wait_for(lambda: not Path(f"/proc/{worker}").exists())
    assert cluster.workers() == []


def test_without_a_server_of_sessions_or_tcp_it_says_what_is_missing(tmp_path: Path) -> None:
    for settings, missing in (
        ({}, b"POSE_WORKERS_ENDPOINT"),
        ({"POSE_WORKERS_ENDPOINT": "tcp://127.0.0.1:1"}, b"POSE_STORE_URL"),
    ):
        told = subprocess.run(
            [sys.executable, "-m", "workers.cluster"],
            env={**os.environ, "POSE_RUNTIME_DIR": str(tmp_path), **settings},
            capture_output=True,
        )
        assert told.returncode == 2
        assert missing in told.stderr


@contextmanager
def running(command: list[str], folder: Path, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A program, ended with all that it started."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def numbers(result: FrameResult) -> list[tuple[int, str, bytes]]:
    return [(person.track_id, person.state, person.joints.tobytes()) for person in result.people]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
