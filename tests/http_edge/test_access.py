"""A service with tokens: who gets in, what is whose, how much a token may ask for, and who sees metrics."""

import base64
import http.client
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_edge import tokens
from tests.fake_worker import FakeWorker, answer
from tests.http_edge.conftest import LIMITS
from tests.http_edge.running import JSON, WITHIN_S, Edge, Reply, exchange, intake, picture, wait_for

PNG = picture()

#: Which token belongs to whom; names that begin alike, since names are the namespaces.
SECRETS = {"alice": "token-of-alice", "alic": "token-of-alic"}


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[name]}"}


def with_tokens(directory: Path, **more: str) -> dict[str, str]:
    path = directory / "tokens"
    path.write_text("".join(tokens.line(name, secret) for name, secret in SECRETS.items()))
    return {**LIMITS, "POSE_TOKENS_FILE": str(path), **more}


@pytest.fixture(scope="module")
def worked_on() -> list[str]:
    """The sessions of the frames that reached the guarded service's worker, in turn."""
    return []


@pytest.fixture
def sessions(worked_on: list[str]) -> list[str]:
    """The same, from the test's beginning."""
    worked_on.clear()
    return worked_on


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, worked_on: list[str]) -> Iterator[Edge]:
    """A service with two tokens and no limits on them, and a listener for operators."""

    def noting(work: dict[str, Any], image: bytes) -> list[bytes] | None:
        worked_on.append(work["session_id"])
        return answer(work, image)

    directory = tmp_path_factory.mktemp("guarded")
    settings = with_tokens(directory, POSE_ADMIN_LISTEN="127.0.0.1:0")
    with Edge(directory, settings) as running, FakeWorker(running.workers_address, answers=noting):
        running.wait_until_ready()
        yield running


@pytest.fixture
def limited(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Edge]:
    """A service whose tokens have the limits that the test names."""
    settings = with_tokens(tmp_path, **request.param)
    with Edge(tmp_path, settings) as running, FakeWorker(running.workers_address):
        running.wait_until_ready()
        yield running


def pose(edge: Edge, name: str, **fields: object) -> Reply:
    return edge.request("POST", "/pose/hybrid", intake(PNG, **fields), {**JSON, **bearer(name)})


# ------------------------------------------------------------------------- who gets in


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer token-of-nobody",
        "Bearer token-of-alice2",
        "Basic token-of-alice",
        "token-of-alice",
        f"Bearer {tokens.digest_of('token-of-alice').hex()}",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/pose/hybrid"), ("POST", "/pose/batch"), ("POST", "/pose/video"), ("GET", "/warmup"),
     ("GET", "/pose/video/status/x"), ("GET", "/api/pose/pool-status")],
)  # fmt: skip
def test_without_a_known_token_nothing_is_answered(
    guarded: Edge, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    body = json.dumps({"frames": []}).encode() if method == "POST" else None
    reply = guarded.request(method, path, body, {"Content-Type": "application/json", **headers})

    assert (reply.status, reply.body["code"]) == (401, "unauthorized")
    assert reply.headers["www-authenticate"] == "Bearer"


def test_a_known_token_gets_in_however_its_scheme_is_spelled(guarded: Edge) -> None:
    for scheme in ("Bearer", "bearer", "BEARER "):
        headers = {**JSON, "Authorization": f"{scheme} {SECRETS['alice']}"}
        assert guarded.request("POST", "/pose/hybrid", intake(PNG), headers).status == 200


def test_health_and_pages_need_no_token(guarded: Edge) -> None:
    for path in ("/health", "/"):
        assert guarded.get(path).status == 200


def test_a_browsers_question_before_its_request_needs_no_token(guarded: Edge) -> None:
    asked = {
        "Origin": "http://localhost:8080",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    reply = guarded.request("OPTIONS", "/pose/hybrid", headers=asked)

    assert reply.status == 200
    assert "authorization" in reply.headers["access-control-allow-headers"]


def test_a_body_without_a_token_is_refused_before_it_is_sent(guarded: Edge) -> None:
    head = (
        b"POST /pose/video HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=WITHIN_S) as raw:
        raw.sendall(head)
        assert b"".join(iter(lambda: raw.recv(65536), b"")).startswith(b"HTTP/1.1 401 ")


def test_a_body_that_is_sent_all_the_same_is_thrown_away_and_answered(guarded: Edge) -> None:
    reply = guarded.request("POST", "/pose/video", bytes(3 * 2**20))
    assert (reply.status, reply.body["code"]) == (401, "unauthorized")


def test_a_new_token_is_known_and_a_removed_one_is_not_while_the_service_runs(tmp_path: Path) -> None:
    settings = with_tokens(tmp_path)
    with Edge(tmp_path, settings) as edge, FakeWorker(edge.workers_address):
        edge.wait_until_ready()
        assert pose(edge, "alice").status == 200
        Path(settings["POSE_TOKENS_FILE"]).write_text(tokens.line("bob", "new"))
        assert pose(edge, "alice").status == 401
        headers = {**JSON, "Authorization": "Bearer new"}
        assert edge.request("POST", "/pose/hybrid", intake(PNG), headers).status == 200


def test_the_start_says_whom_the_service_is_open_to(guarded: Edge, edge: Edge) -> None:
    assert "open to whoever has a token of: alic, alice" in guarded.log
    assert "open to everybody who can reach it" in edge.log


# ------------------------------------------------------------------------- what is whose


def test_the_same_session_id_of_two_tokens_is_two_sessions(guarded: Edge, sessions: list[str]) -> None:
    for name in SECRETS:
        reply = pose(guarded, name, session_id="e/dance")
        assert reply.body["tracking"]["session_id"] == "e/dance"  # each knows it by its own name

    assert sessions == ["alice/e/dance", "alic/e/dance"]


def test_no_spelling_of_an_id_leads_into_anothers_session(guarded: Edge, sessions: list[str]) -> None:
    pose(guarded, "alice", session_id="mine")
    for written in ("mine", "e/mine", "alice/mine", "../alice/mine", "/alice/mine"):
        pose(guarded, "alic", session_id=written)
        guarded.request(
            "POST", "/pose/hybrid", intake(PNG), {**JSON, **bearer("alic"), "X-Session-Id": written}
        )
        batch = {"frames": [json.loads(intake(PNG))], "session_id": written}
        guarded.post(batch, path="/pose/batch", headers=bearer("alic"))

    assert sessions[0] == "alice/mine"
    assert len(sessions) == 1 + 5 * 3
    assert all(session.startswith("alic/") for session in sessions[1:])


def test_the_longest_session_ids_stay_apart(guarded: Edge, sessions: list[str]) -> None:
    for end in "ab":
        reply = pose(guarded, "alice", session_id="ä" * 127 + end)
        assert reply.body["tracking"]["session_id"] == "ä" * 127 + end

    assert len(set(sessions)) == 2


def test_videos_without_a_session_id_stay_with_their_token(guarded: Edge, sessions: list[str]) -> None:
    for number in range(3):
        for name in SECRETS:
            assert pose(guarded, name, frame_number=number).status == 200

    assert sessions[0::2] == [sessions[0]] * 3
    assert sessions[1::2] == [sessions[1]] * 3
    assert sessions[0] != sessions[1]


def test_a_video_job_is_there_for_its_token_only(guarded: Edge) -> None:
    form = (
        b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\nno video\r\n'
        b'--x\r\nContent-Disposition: form-data; name="async"\r\n\r\ntrue\r\n--x--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x", **bearer("alice")}
    job_id = guarded.request("POST", "/pose/video", form, headers).body["job_id"]

    paths = [f"/pose/video/status/{job_id}", f"/job_status/{job_id}"]
    for path in paths:
        assert guarded.get(path, bearer("alic")).status == 404
    assert guarded.request("DELETE", f"/pose/video/{job_id}", headers=bearer("alic")).status == 404
    assert guarded.request("POST", f"/pose/video/{job_id}/cancel", headers=bearer("alic")).status == 404
    for path in paths:
        assert guarded.get(path, bearer("alice")).body["status"] == "queued"
    assert guarded.request("DELETE", f"/pose/video/{job_id}", headers=bearer("alice")).status == 200


# ------------------------------------------------------------------- how much is allowed


@pytest.mark.parametrize("limited", [{"POSE_TOKEN_FRAMES_PER_S": "0.2"}], indirect=True)
def test_more_frames_a_second_are_refused_and_other_tokens_go_on(limited: Edge) -> None:
    assert pose(limited, "alice", session_id="a").status == 200
    reply = pose(limited, "alice", session_id="a", frame_number=1)

    assert (reply.status, reply.body["code"]) == (429, "rate_limited")
    assert reply.body["frame_number"] == 1
    assert 1 <= int(reply.headers["retry-after"]) <= 5
    assert pose(limited, "alic", session_id="a").status == 200
    batch = limited.post(
        {"frames": [json.loads(intake(PNG))], "session_id": "b"}, path="/pose/batch", headers=bearer("alic")
    )
    assert [entry["code"] for entry in batch.body] == ["rate_limited"]
    wait_for(lambda: pose(limited, "alice", session_id="a", frame_number=1).status == 200)


@pytest.mark.parametrize("limited", [{"POSE_TOKEN_BYTES_PER_S": "1000"}], indirect=True)
def test_more_bytes_a_second_are_refused_until_they_are_paid_back(limited: Edge) -> None:
    large = intake(PNG).ljust(100_000)
    replies = [limited.request("POST", "/pose/hybrid", large, {**JSON, **bearer("alice")}) for _ in range(2)]

    assert [reply.status for reply in replies] == [200, 429]
    assert 90 <= int(replies[1].headers["retry-after"]) <= 98
    assert pose(limited, "alic", session_id="a").status == 200


@pytest.mark.parametrize("limited", [{"POSE_TOKEN_SESSIONS": "2"}], indirect=True)
def test_more_sessions_at_a_time_are_refused(limited: Edge) -> None:
    statuses = [pose(limited, "alice", session_id=session).status for session in "abca"]
    reply = pose(limited, "alice", session_id="c")

    assert statuses == [200, 200, 429, 200]
    assert 200 <= int(reply.headers["retry-after"]) <= limited.settings.session_idle_s
    assert pose(limited, "alic", session_id="c").status == 200


def test_without_tokens_nobody_is_limited(tmp_path: Path) -> None:
    limits = {"POSE_TOKEN_FRAMES_PER_S": "0.1", "POSE_TOKEN_SESSIONS": "1", "POSE_TOKEN_BYTES_PER_S": "1"}
    with Edge(tmp_path, {**LIMITS, **limits}) as edge, FakeWorker(edge.workers_address):
        edge.wait_until_ready()
        assert {edge.pose(PNG, session_id=session).status for session in "abc"} == {200}


# ---------------------------------------------------------------------- who sees metrics


def admin_get(edge: Edge, path: str) -> Reply:
    (port,) = re.findall(r"for operators on http://127\.0\.0\.1:(\d+)", edge.log)
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=WITHIN_S)
    try:
        return exchange(connection, "GET", path)
    finally:
        connection.close()


def test_metrics_are_on_the_listener_for_operators_alone(guarded: Edge) -> None:
    for path in ("/metrics", "/operator"):
        assert guarded.get(path, bearer("alice")).status == 404
        assert admin_get(guarded, path).status == 200
    for path in ("/health", "/api/pose/pool-status"):  # what the page asks for
        assert admin_get(guarded, path).status == 200
    assert admin_get(guarded, "/pose/video/status/x").status == 404
    assert admin_get(guarded, "/warmup").status == 404


def test_no_page_leads_to_one_that_is_on_the_other_listener(guarded: Edge) -> None:
    assert b'href="/operator"' not in guarded.get("/").raw
    assert b'href="/"' not in admin_get(guarded, "/operator").raw


def test_without_that_listener_metrics_need_a_token(tmp_path: Path) -> None:
    with Edge(tmp_path, with_tokens(tmp_path)) as edge:
        assert edge.get("/metrics").status == 401
        assert edge.get("/metrics", bearer("alice")).status == 200


# ----------------------------------------------------------------------- what is written


def test_no_token_address_or_picture_is_in_the_log(tmp_path: Path) -> None:
    settings = with_tokens(tmp_path, POSE_LOG_LEVEL="debug")
    with Edge(tmp_path, settings) as edge, FakeWorker(edge.workers_address):
        edge.wait_until_ready()
        pose(edge, "alice", session_id="a")
        edge.request("POST", "/pose/hybrid", intake(PNG), {**JSON, "Authorization": "Bearer a-wrong-one"})
        edge.get("/warmup?token=in-the-query", {"Authorization": "Bearer another-wrong-one"})
        logged = edge.log

    assert "status=401" in logged
    for secret in (*SECRETS.values(), "wrong-one", "in-the-query", base64.b64encode(PNG).decode()[:40]):
        assert secret not in logged
    assert re.findall(r"127\.0\.0\.1(?!:\d+\s)", logged) == []  # its own address, never a caller's
