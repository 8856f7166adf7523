"""What an operator sees of the edge: health, metrics, and an end that loses nothing."""

import base64
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from http_edge import __main__ as edge_program
from http_edge.headers import accepts_gzip
from http_edge.status import Snapshot, StatusWatch, health_body, warmup_body
from tests.fake_worker import STORE, FakeWorker, answer
from tests.http_edge.conftest import LIMITS
from tests.http_edge.running import JSON, WITHIN_S, Edge, Reply, intake, picture, wait_for
from tests.http_edge.snapshots import snapshot, worker
from wire.connection import Connection

PNG = picture()

#: What an answer may take that waits for nobody; one that did would take the minute of a request.
SOON_S = 20.0


@pytest.mark.parametrize(
    ("known", "status", "error"),
    [
        pytest.param(Snapshot(None, ever_answered=False), "warming_up", "not answered yet", id="just begun"),
        pytest.param(Snapshot(None, ever_answered=True), "not_ready", "does not answer", id="broker gone"),
        pytest.param(snapshot(), "warming_up", None, id="models load"),
        pytest.param(snapshot(load_error="no file"), "not_ready", "no file", id="models cannot load"),
        pytest.param(snapshot(worker("draining")), "warming_up", None, id="the only worker leaves"),
        pytest.param(snapshot(worker()), "ready", None, id="one worker"),
        pytest.param(snapshot(worker(), worker("draining"), load_error="x"), "ready", None, id="one of two"),
    ],
)
def test_health_is_ready_only_with_a_ready_worker(known: Snapshot, status: str, error: str | None) -> None:
    body = health_body(known)

    assert body["status"] == status
    assert body["ready"] is (status == "ready")
    assert set(body["models"].values()) == {"loaded" if status == "ready" else "not_loaded"}
    assert body["models"].keys() == {"hmr2", "phalp", "vitdet"}
    assert (body["error"] is None) if error is None else (error in body["error"])


def test_warmup_tells_a_part_of_the_pool_from_all_of_it() -> None:
    assert warmup_body(snapshot(worker()), expected_workers=2)["status"] == "partial"
    assert warmup_body(snapshot(worker(), worker()), expected_workers=2)["status"] == "ready"
    assert warmup_body(snapshot(), expected_workers=2)["status"] == "error"


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("GZIP;q=0.5", True),
        ("br;q=1.0, gzip; q=0", False),
        ("gzip;q=0.000", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity", False),
    ],
)
def test_accept_encoding_is_read_as_http_says(accept_encoding: str, accepted: bool) -> None:
    assert accepts_gzip(accept_encoding) is accepted


def test_metrics_count_requests_stages_people_and_name_every_bound(edge: Edge) -> None:
    requests = 'everyframe_http_requests_total{endpoint="/pose/hybrid",status="200"}'
    predicted = 'everyframe_people_total{state="predicted"}'
    stage = 'everyframe_stage_seconds_count{stage="observe"}'
    unknown = 'everyframe_http_requests_total{endpoint="unknown",status="404"}'
    mirrored = 'everyframe_contradictions_total{kind="mirrored"}'
    names = (requests, predicted, stage, unknown, mirrored)
    before = [edge.metric(name) for name in names]
    edge.pose(PNG, session_id="crowd:counted")
    edge.get("/a/path/that/a/stranger/chose")
    after = [edge.metric(name) for name in names]

    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1, 1, 2]
    for bound in ("max_body_bytes", "max_image_pixels", "http_threads", "max_queue_frames", "max_sessions"):
        assert edge.metric(f'everyframe_limit{{name="{bound}"}}') > 0
    wait_for(lambda: edge.metric("everyframe_http_in_flight") == 1)  # the one that asks
    assert b"stranger" not in edge.get("/metrics").raw


def test_metrics_count_what_is_refused_unread(edge: Edge) -> None:
    name = 'everyframe_http_refused_unread_total{status="413"}'
    before = edge.metric(name)
    edge.request("POST", "/pose/hybrid", bytes(edge.settings.max_body_bytes + 1))

    assert edge.metric(name) == before + 1


def test_metrics_tell_how_long_programs_run(edge: Edge) -> None:
    before = {program: uptime_s(edge, program) for program in ("broker", "edge")}
    assert all(seconds > 0 for seconds in before.values())
    wait_for(lambda: all(uptime_s(edge, program) > seconds for program, seconds in before.items()))


def test_metrics_tell_what_each_worker_holds(fresh_edge: Edge) -> None:
    with FakeWorker(fresh_edge.workers_address):
        fresh_edge.wait_until_ready()
        fresh_edge.pose(PNG, session_id="answered")
        wait_for(lambda: held_by_the_worker(fresh_edge) == {"sessions": 1, "in_flight": 0})

        unanswered = fresh_edge.connect()
        unanswered.request("POST", "/pose/hybrid", intake(PNG, session_id="silent"), JSON)
        wait_for(lambda: held_by_the_worker(fresh_edge) == {"sessions": 2, "in_flight": 1})
        unanswered.close()


def held_by_the_worker(edge: Edge) -> dict[str, float]:
    kinds = ("sessions", "in_flight")
    return {kind: edge.metric(f'everyframe_worker_{kind}{{worker="fake-0"}}') for kind in kinds}


def uptime_s(edge: Edge, program: str) -> float:
    return edge.metric(f'everyframe_uptime_seconds{{program="{program}"}}')


def test_metrics_tell_how_each_worker_stores(edge: Edge) -> None:
    gauge = 'everyframe_store_{}{{worker="fake-0"}}'
    wait_for(lambda: edge.metric(gauge.format("sessions")) == STORE["sessions"])

    assert edge.metric(gauge.format("bytes")) == STORE["used_bytes"]
    for event in ("restored", "cold", "evicted", "failed_writes", "superseded"):
        name = f'everyframe_store_events_total{{event="{event}",worker="fake-0"}}'
        assert edge.metric(name) == STORE[event]
    assert edge.metric('everyframe_limit{name="store_max_bytes"}') > 0


def test_health_never_waits_for_a_broker_that_is_gone(fresh_edge: Edge) -> None:
    with FakeWorker(fresh_edge.workers_address):
        fresh_edge.wait_until_ready()
        fresh_edge.kill_broker()
        asked = time.monotonic()
        while fresh_edge.get("/health").body["status"] == "ready":
            assert time.monotonic() - asked < SOON_S

        slowest = 0.0
        for _ in range(10):
            asked = time.monotonic()
            reply = fresh_edge.get("/health")
            slowest = max(slowest, time.monotonic() - asked)
            assert (reply.status, reply.body["status"]) == (200, "not_ready")
        assert slowest < SOON_S


def test_a_request_outlives_the_brokers_restart(fresh_edge: Edge) -> None:
    with FakeWorker(fresh_edge.workers_address):
        fresh_edge.wait_until_ready()
        fresh_edge.kill_broker()
        replies: list[Reply] = []
        held = threading.Thread(target=lambda: replies.append(fresh_edge.pose(PNG)))
        held.start()
        wait_for(lambda: fresh_edge.metric("everyframe_http_in_flight") == 2)
        fresh_edge.start_broker()
        held.join()

    assert [reply.status for reply in replies] == [200]


def test_a_broken_connection_is_reported_once_and_not_asked_again(tmp_path: Path) -> None:
    broken = threading.Event()
    connection = Connection(f"ipc://{tmp_path}/nobody.ipc", max_frame_bytes=1)
    watch = StatusWatch(connection, on_broken=broken.set)
    connection.close()

    assert broken.wait(WITHIN_S)
    watch.close()


def test_warmup_returns_when_a_worker_is_ready(fresh_edge: Edge) -> None:
    replies: list[Reply] = []
    asking = threading.Thread(target=lambda: replies.append(fresh_edge.get("/warmup")))
    asking.start()
    with FakeWorker(fresh_edge.workers_address):
        asking.join()

    assert [reply.body["status"] for reply in replies] == ["partial"]


def test_a_term_signal_lets_held_requests_finish_and_ends_with_0(fresh_edge: Edge) -> None:
    may_answer = threading.Event()

    def answer_late(work: dict[str, object], image: bytes) -> list[bytes] | None:
        may_answer.wait(SOON_S)
        return answer(work, image)

    with FakeWorker(fresh_edge.workers_address, answers=answer_late):
        fresh_edge.wait_until_ready()
        idle = fresh_edge.connect()
        idle.request("GET", "/health")
        idle.getresponse().read()
        replies: list[Reply] = []
        held = threading.Thread(target=lambda: replies.append(fresh_edge.pose(PNG)))
        held.start()
        wait_for(lambda: fresh_edge.metric("everyframe_http_in_flight") == 2)

        fresh_edge.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses_connections(fresh_edge))
        assert idle.sock.recv(1) == b""  # an idle connection is closed, although a request is held
        idle.close()
        may_answer.set()
        held.join()

    assert [reply.status for reply in replies] == [200]
    assert fresh_edge.process.wait(timeout=WITHIN_S) == 0


def refuses_connections(edge: Edge) -> bool:
    connection = edge.connect()
    try:
        connection.connect()
    except ConnectionRefusedError:
        return True
    finally:
        connection.close()
    return False


def test_draining_has_an_end(tmp_path: Path) -> None:
    settings = {**LIMITS, "POSE_DRAIN_S": "1"}
    with Edge(tmp_path, settings) as edge, FakeWorker(edge.workers_address):
        edge.wait_until_ready()
        stalled = edge.connect()
        stalled.putrequest("POST", "/pose/hybrid")
        stalled.putheader("Content-Length", "1000")
        stalled.endheaders(b"half")
        edge.process.send_signal(signal.SIGTERM)
        assert edge.process.wait(timeout=WITHIN_S) == 0
        stalled.close()


def test_the_log_leads_from_a_requests_id_to_its_frame(tmp_path: Path) -> None:
    settings = {**LIMITS, "POSE_LOG_FORMAT": "json", "POSE_LOG_LEVEL": "debug"}
    with Edge(tmp_path, settings) as edge, FakeWorker(edge.workers_address):
        edge.wait_until_ready()
        for request_id, picture_sent in (("a-good-one", PNG), ("a-bad-one", b"no picture")):
            fields = {"image_base64": base64.b64encode(picture_sent).decode(), "frame_number": 7}
            reply = edge.post(fields, headers={"X-Request-Id": request_id})
            assert reply.headers["x-request-id"] == request_id
        lines = [json.loads(line) for line in edge.log.splitlines()]

    told = {line["request"]: line for line in lines if line.get("frame") == 7}
    assert told.keys() == {"a-good-one", "a-bad-one"}
    for request_id, status in (("a-good-one", 200), ("a-bad-one", 400)):
        line = told[request_id]
        assert (line["program"], line["path"], line["status"]) == ("http_edge", "/pose/hybrid", status)
    assert any(line.get("code") == "invalid_image" and line["request"] == "a-bad-one" for line in lines)


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("6.1.0", "http://10.1.2.3:5000 (from other machines)"),
        (
            "5.15.1-microsoft-standard-WSL2",
            "http://10.1.2.3:5000 (from other machines, from Windows into WSL too)",
        ),
    ],
)
def test_the_start_says_which_addresses_a_backend_on_windows_may_use(
    monkeypatch: pytest.MonkeyPatch, release: str, said: str
) -> None:
    monkeypatch.setattr(edge_program, "_outward_address", lambda: "10.1.2.3")
    monkeypatch.setattr(edge_program.platform, "release", lambda: release)
    here, elsewhere = edge_program.urls("0.0.0.0", 5000)

    assert "http://127.0.0.1:5000" in here
    assert "from Windows where WSL forwards localhost" in here
    assert elsewhere == f"serving on {said}"
    assert list(edge_program.urls("127.0.0.1", 5000)) == ["serving on http://127.0.0.1:5000"]


def test_a_misspelt_setting_stops_the_edge_with_its_name() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "http_edge"],
        env={"POSE_PROT": "5000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "POSE_PROT" in ended.stderr
