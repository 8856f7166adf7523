"""Several edge processes on one port: all serve, and one that is killed takes only its own callers along."""

import http.client
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.fake_worker import FakeWorker, answer
from tests.http_edge.conftest import LIMITS
from tests.http_edge.running import JSON, Edge, exchange, intake, picture

PNG = picture()

#: So many that the kernel, which deals them out, gives some to each of two.
CONNECTIONS = 16


@pytest.fixture
def edges(tmp_path: Path) -> Iterator[Edge]:
    """Two, and a broker."""
    (metrics := tmp_path / "metrics").mkdir()
    settings = {"POSE_EDGES": "2", "POSE_PORT": str(free_port()), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    with Edge(tmp_path, {**LIMITS, **settings}) as running:
        running.start_another()
        yield running


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def held_by(process: "subprocess.Popen[bytes]", port: int) -> set[int]:
    """The callers' ports of the connections to `port` that a process holds."""
    sockets = set()
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed in this moment
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                sockets.add(found[1])
    held = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, _, _, _, _, _, inode, *_ = line.split()
        if inode in sockets and int(here.partition(":")[2], 16) == port:
            held.add(int(there.partition(":")[2], 16))
    return held - {0}  # the listening socket's own


@contextmanager
def opened(edges: Edge) -> Iterator[list[http.client.HTTPConnection]]:
    """Connections that have had an answer, until the `with` block ends."""
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(edges.connect())) for _ in range(CONNECTIONS)]
        for connection in connections:
            assert exchange(connection, "GET", "/health").status == 200
        yield connections


def own_port(connection: http.client.HTTPConnection) -> int:
    return int(connection.sock.getsockname()[1])


def test_all_serve_and_one_that_is_killed_takes_its_own_callers_and_no_others(edges: Edge) -> None:
    first, second = edges.processes
    with opened(edges) as connections:
        of_first, of_second = held_by(first, edges.port), held_by(second, edges.port)
        ports = [own_port(connection) for connection in connections]
        first.send_signal(signal.SIGKILL)
        first.wait()
        lost = {port for port, connection in zip(ports, connections, strict=True) if not answers(connection)}

    assert of_first
    assert of_second
    assert of_first | of_second == set(ports)
    assert lost == of_first
    assert {edges.get("/health").status for _ in range(CONNECTIONS)} == {200}
    edges.start_another()
    with opened(edges):
        assert held_by(edges.processes[-1], edges.port), "another takes its place"


def answers(connection: http.client.HTTPConnection) -> bool:
    try:
        return exchange(connection, "GET", "/health").status == 200
    except (ConnectionError, http.client.HTTPException):
        return False


def test_a_session_is_one_whichever_edge_its_frames_come_through(edges: Edge) -> None:
    sessions = []

    def seen(work: dict[str, object], image: bytes) -> list[bytes] | None:
        sessions.append((work["session_id"], work["frame_number"], work["continues"]))
        return answer(work, image)

    with FakeWorker(edges.workers_address, answers=seen), opened(edges) as connections:
        edges.wait_until_ready()
        for number, connection in enumerate(connections):
            body = intake(PNG, session_id="dance", frame_number=number)
            assert exchange(connection, "POST", "/pose/hybrid", body, JSON).status == 200

    assert sessions == [("dance", number, number > 0) for number in range(CONNECTIONS)]


def test_whichever_edge_is_asked_tells_what_all_have_counted(edges: Edge) -> None:
    answered = 'everyframe_http_requests_total{endpoint="/health",status="200"}'
    with opened(edges):
        assert edges.metric(answered) == CONNECTIONS
    assert edges.metric("everyframe_edges") == 2
    assert edges.metric('everyframe_limit{name="edges"}') == 2
    before_s = edges.metric('everyframe_uptime_seconds{program="edge"}')
    noted_at = time.monotonic()

    first, _ = edges.processes
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert edges.metric(answered) == CONNECTIONS
    assert edges.metric("everyframe_edges") == 1
    assert edges.metric("everyframe_http_in_flight") == 1  # the one that asks

    edges.start_another()
    passed_s = time.monotonic() - noted_at
    after_s = edges.metric('everyframe_uptime_seconds{program="edge"}')
    assert 0 < after_s < before_s + passed_s, "it is younger than the others are by now"
    assert edges.metric("everyframe_edges") == 2


def test_an_edge_that_stops_answers_whoever_has_reached_it(edges: Edge) -> None:
    first, _ = edges.processes
    with FakeWorker(edges.workers_address):
        edges.wait_until_ready()
        first.send_signal(signal.SIGTERM)
        statuses = []
        while first.poll() is None:
            statuses.append(edges.pose(PNG, session_id="on and on").status)
        statuses.append(edges.pose(PNG, session_id="on and on").status)

    assert set(statuses) == {200}
    assert first.returncode == 0


def test_who_keeps_asking_over_one_connection_is_told_when_to_open_another(edges: Edge) -> None:
    first, second = edges.processes
    with FakeWorker(edges.workers_address), opened(edges) as connections:
        edges.wait_until_ready()
        asking = {connection.sock.getsockname()[1] for connection in connections}
        held = held_by(first, edges.port) & asking  # it may yet hold one of who waited, and has hung up
        assert 0 < len(held) < CONNECTIONS
        first.send_signal(signal.SIGTERM)
        told = set()
        while first.poll() is None:
            for connection in connections:
                port = connection.sock.getsockname()[1] if connection.sock else None
                reply = exchange(connection, "GET", "/health")
                assert reply.status == 200
                if reply.headers.get("connection") == "close":
                    told.add(port)
        assert held <= told

    assert first.returncode == 0
    assert second.poll() is None


def test_several_need_a_folder_to_count_in(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="POSE_EDGES: PROMETHEUS_MULTIPROC_DIR names no folder"):
        Edge(tmp_path, {"POSE_EDGES": "2", "POSE_PORT": str(free_port())}).__enter__()


def test_an_address_that_is_taken_is_named(fresh_edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1 port {fresh_edge.port}: Address"):
        Edge(tmp_path / "other", {"POSE_PORT": str(fresh_edge.port)}).__enter__()
