"""Every failure of the contract's table: its status, its body, and a service that goes on."""

import base64
import json
import socket
import threading

import numpy as np
import pytest

from tests.fake_worker import FakeWorker, report_load_failure
from tests.http_edge.running import WITHIN_S, Edge, Reply, picture, wait_for
from tests.pictures import mangled

PNG = picture()
TEXT = base64.b64encode(PNG).decode()
JSON = {"Content-Type": "application/json"}


def refused(reply: Reply, status: int, code: str, frame_number: int | None = None) -> None:
    """The refusal is of the contract's form, and says this."""
    body = reply.body
    assert (reply.status, body["code"], body["frame_number"]) == (status, code, frame_number)
    assert body.keys() == {"error", "code", "frame_number"}
    assert body["error"]
    assert "Traceback" not in body["error"]
    assert reply.headers["content-type"] == "application/json"


@pytest.fixture(autouse=True)
def goes_on(edge: Edge):
    """After every test the shared service still answers."""
    yield
    assert edge.pose(PNG, session_id="goes-on").status == 200


@pytest.mark.parametrize(
    ("body", "code", "frame_number"),
    [
        pytest.param(b"", "bad_request", None, id="no body"),
        pytest.param(b"frame", "bad_request", None, id="no JSON"),
        pytest.param(b"\xff\xfe{", "bad_request", None, id="no text"),
        pytest.param(b"[]", "bad_request", None, id="no object"),
        pytest.param(b'{"image_base64": NaN}', "bad_request", None, id="NaN"),
        pytest.param(b"[" * 100_000, "bad_request", None, id="nested without end"),
        pytest.param(b'{"frame_number": ' + b"[" * 100_000, "bad_request", None, id="nested in a field"),
        pytest.param(b"{}", "no_image", None, id="empty object"),
        pytest.param(b'{"frame_number": 4}', "no_image", 4, id="no image"),
        pytest.param(b'{"image_base64": null, "frame_number": 4}', "no_image", 4, id="null image"),
        pytest.param(b'{"image_base64": "", "frame_number": 4}', "no_image", 4, id="empty image"),
        pytest.param(
            b'{"image_base64": "data:image/png;base64,", "frame_number": 4}', "no_image", 4, id="empty URL"
        ),
        pytest.param(b'{"image_base64": 7, "frame_number": 4}', "bad_request", 4, id="number as image"),
        pytest.param(b'{"image_base64": "a!b?", "frame_number": 4}', "invalid_base64", 4, id="no base64"),
        pytest.param(b'{"image_base64": "abcde", "frame_number": 4}', "invalid_base64", 4, id="odd base64"),
        pytest.param(b'{"image_base64": "a\\u00e9\\ud83d\\ude00"}', "invalid_base64", None, id="no ASCII"),
        pytest.param(b'{"image_base64": "data:image/png,abcd"}', "invalid_base64", None, id="plain data URL"),
        pytest.param(b'{"image_base64": "a!b?", "fps": "x"}', "bad_request", None, id="two faults"),
        pytest.param(b'{"image_base64": "AAAA", "frame_number": 4}', "invalid_image", 4, id="no image bytes"),
    ],
)
def test_what_is_not_of_the_contracts_form_is_refused(
    edge: Edge, body: bytes, code: str, frame_number: int | None
) -> None:
    refused(edge.request("POST", "/pose/hybrid", body, JSON), 400, code, frame_number)


@pytest.mark.parametrize(
    "fields",
    [
        {"frame_number": -1},
        {"frame_number": 1.5},
        {"frame_number": "1"},
        {"frame_number": True},
        {"frame_number": 2**60},
        {"visualize": 1},
        {"visualize": "true"},
        {"session_id": 5},
        {"session_id": ""},
        {"session_id": "x" * 129},
        {"timestamp_ms": "now"},
        {"timestamp_ms": -1},
        {"fps": 0},
        {"people": "all"},
        {"boxes": [1, 2, 3, 4]},
        {"boxes": [[1, 2, 3]]},
        {"boxes": [[1, 2, 3, 1e7]]},
        {"boxes": [[0, 0, 1, 1]] * 101},
        {"target": [1, 2]},
        {"target": {"x": 1}},
    ],
    ids=str,
)
def test_wrong_types_and_values_are_refused_with_the_fields_name(
    edge: Edge, fields: dict[str, object]
) -> None:
    reply = edge.pose(PNG, **fields)

    refused(reply, 400, "bad_request")
    assert next(iter(fields)) in reply.body["error"]


def test_a_broken_picture_is_the_senders_fault(edge: Edge) -> None:
    broken = PNG[:40] + bytes(len(PNG) - 40)
    refused(edge.pose(broken, frame_number=2, session_id="broken-picture"), 400, "invalid_image", 2)


def test_a_truncated_picture_says_so(edge: Edge) -> None:
    jpeg = picture("JPEG", size=(200, 200))
    refused(edge.pose(jpeg[: len(jpeg) // 2], session_id="cut"), 400, "truncated_image", 0)
    refused(edge.pose(PNG[:20], frame_number=1), 400, "truncated_image", 1)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_too_many_pixels_are_refused_before_they_are_decoded(edge: Edge, file_format: str) -> None:
    refused(edge.pose(picture(file_format, size=(1001, 1000)), frame_number=6), 400, "too_many_pixels", 6)


def test_a_body_over_the_limit_is_refused_also_when_it_is_sent_to_its_end(edge: Edge) -> None:
    for size in (2**20 + 1, 5 * 2**20):
        refused(edge.request("POST", "/pose/hybrid", bytes(size), JSON), 413, "body_too_large")


def test_a_body_of_exactly_the_limit_is_read(edge: Edge) -> None:
    body = json.dumps({"image_base64": TEXT, "session_id": "exact"}).encode()
    assert edge.request("POST", "/pose/hybrid", body.ljust(2**20), JSON).status == 200


@pytest.mark.parametrize("media_type", ["text/plain", "image/png", "application/x-www-form-urlencoded"])
def test_other_media_types_are_refused(edge: Edge, media_type: str) -> None:
    reply = edge.request("POST", "/pose/hybrid", PNG, {"Content-Type": media_type})
    refused(reply, 415, "unsupported_media_type")


def test_compressed_bodies_are_refused(edge: Edge) -> None:
    reply = edge.request("POST", "/pose/hybrid", b"\x1f\x8b", {**JSON, "Content-Encoding": "gzip"})
    refused(reply, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        pytest.param(b"nothing of a form", "x", id="no parts"),
        pytest.param(b"--x\r\nContent-Disposition: form-data", "x", id="cut"),
        pytest.param(b"--x--", "", id="no boundary"),
        pytest.param(b"--x\r\n\r\nabc\r\n--x--", "x", id="nameless part"),
        pytest.param(
            b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nabc\r\n--x--', "x", id="name no text"
        ),
    ],
)
def test_broken_forms_are_refused(edge: Edge, body: bytes, boundary: str) -> None:
    reply = edge.request(
        "POST", "/pose/hybrid", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    assert reply.status == 400
    assert reply.body["code"] in ("bad_request", "no_image")


def test_unknown_paths_and_methods_are_refused(edge: Edge) -> None:
    refused(edge.get("/pose"), 404, "not_found")
    refused(edge.get("/%00/../x"), 404, "not_found")
    method = edge.get("/pose/hybrid")
    refused(method, 405, "method_not_allowed")
    assert "POST" in method.headers["allow"]
    refused(edge.request("DELETE", "/health"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        pytest.param(b"NONSENSE\r\n\r\n", 400, id="no HTTP"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n", 400, id="negative length"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: rot13\r\n\r\n", 501, id="unknown coding"),
    ],
)
def test_what_is_not_http_is_refused_in_the_same_form(edge: Edge, request_text: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=WITHIN_S) as raw:
        raw.sendall(request_text)
        reply = b"".join(iter(lambda: raw.recv(65536), b""))
    head, _, body = reply.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status) or head.startswith(b"HTTP/1.0 %d " % status)
    assert json.loads(body).keys() == {"error", "code", "frame_number"}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalid_image", 400),
        ("truncated_image", 400),
        ("too_many_pixels", 400),
        ("model_not_loaded", 500),
        ("poison_frame", 500),
        ("internal", 500),
        ("from_a_newer_peer", 500),
    ],
)
def test_a_workers_failure_keeps_its_name(edge: Edge, code: str, status: int) -> None:
    reply = edge.pose(PNG, frame_number=0, session_id=f"failure:{code}")
    refused(reply, status, "internal" if code == "from_a_newer_peer" else code, 0)


def test_busy_says_when_to_come_again(edge: Edge) -> None:
    reply = edge.pose(PNG, session_id="failure:busy")
    refused(reply, 503, "busy", 0)
    assert int(reply.headers["retry-after"]) >= 1


@pytest.mark.parametrize("array", ["vertices", "joints", "translation", "boxes", "keypoint_confidence"])
def test_a_number_that_is_not_finite_never_reaches_a_client(edge: Edge, array: str) -> None:
    refused(edge.pose(PNG, session_id=f"broken:{array}"), 500, "internal", 0)
    assert f"array '{array}' has a number that is not finite" in edge.log


def test_a_silent_worker_ends_in_a_named_failure(impatient_edge: Edge) -> None:
    refused(impatient_edge.pose(PNG, frame_number=0, session_id="silent"), 500, "deadline_exceeded", 0)


def test_health_answers_while_every_place_is_taken(fresh_edge: Edge) -> None:
    edge, replies = fresh_edge, list[Reply]()
    waiting = [
        threading.Thread(target=lambda n=n: replies.append(edge.pose(PNG, session_id=f"of many:{n}")))
        for n in range(16)
    ]
    for thread in waiting:
        thread.start()
    wait_for(lambda: len(replies) >= 8)  # eight places, so eight are refused at once

    assert {reply.status for reply in replies} == {503}
    assert all("retry-after" in reply.headers for reply in replies)
    for path in ("/health", "/metrics"):
        assert edge.get(path).status == 200
    assert len(replies) == 8  # the others wait still
    with FakeWorker(edge.workers_address):
        for thread in waiting:
            thread.join()
    assert sorted(reply.status for reply in replies) == [200] * 8 + [503] * 8


def test_requests_wait_while_models_load(fresh_edge: Edge) -> None:
    replies: list[Reply] = []
    early = threading.Thread(target=lambda: replies.append(fresh_edge.pose(PNG)))
    early.start()
    wait_for(lambda: b"everyframe_queue_frames 1.0" in fresh_edge.get("/metrics").raw)
    with FakeWorker(fresh_edge.workers_address):
        early.join()

    assert [reply.status for reply in replies] == [200]


def test_models_that_cannot_be_loaded_are_named(fresh_edge: Edge) -> None:
    report_load_failure(fresh_edge.workers_address, "weights.bin is missing")
    wait_for(lambda: fresh_edge.get("/health").body["status"] == "not_ready")

    reply = fresh_edge.pose(PNG, frame_number=3)
    refused(reply, 500, "model_not_loaded", 3)
    assert "weights.bin" in reply.body["error"]
    assert "weights.bin" in fresh_edge.get("/health").body["error"]
    warmup = fresh_edge.request("POST", "/warmup").body
    assert warmup["status"] == "error"
    assert "weights.bin" in warmup["message"]


def test_mutated_pictures_are_answered_or_refused_by_name(edge: Edge) -> None:
    random = np.random.default_rng(20)
    kinds = [picture("PNG"), picture("JPEG"), picture("WEBP"), picture("WEBP", lossless=True)]
    for number in range(200):
        image = mangled(kinds[number % len(kinds)], random)
        reply = edge.pose(image, session_id=f"mutated-{number}")
        assert reply.status in (200, 400), (number, reply.raw, image)
        assert reply.status == 200 or reply.body["code"] in (
            "invalid_image",
            "truncated_image",
            "too_many_pixels",
        )
