"""What a client gets for a picture, over real HTTP, from a real broker and a fake worker."""

import base64
import io
import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image as PillowImage

from tests.fake_worker import body_arrays
from tests.http_edge.running import Edge, Reply, exchange, picture
from wire.camera import project
from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES

_names = (f"video-{number}" for number in itertools.count())


def form(*parts: tuple[str, str, bytes]) -> tuple[bytes, dict[str, str]]:
    """A multipart body of (name, file name, content) and its header."""
    boundary = b"b0undary"
    written = []
    for name, filename, content in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        head = f"Content-Disposition: {disposition}\r\n\r\n".encode()
        written += [b"--", boundary, b"\r\n", head, content, b"\r\n"]
    body = b"".join([*written, b"--", boundary, b"--\r\n"])
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}


@pytest.fixture
def answer(edge: Edge) -> Reply:
    return edge.pose(picture(), frame_number=0, session_id=next(_names))


def test_an_answer_has_every_field_of_the_contract(answer: Reply) -> None:
    body = answer.body

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert (body["frame_number"], body["frame_width"], body["frame_height"]) == (0, 640, 360)
    assert body["keypoint_count"] == len(body["keypoints"]) == 17
    assert [point["name"] for point in body["keypoints"]] == list(COCO_KEYPOINTS)
    for point in body["keypoints"]:
        assert point.keys() == {"name", "x", "y", "z", "x_3d", "y_3d", "z_3d", "confidence"}
        assert point["z"] == point["z_3d"]
    assert body["has_3d"] is True
    assert np.shape(body["joints_3d_raw"]) == (24, 3)
    assert list(body["joint_angles_3d"]) == list(JOINT_ANGLES)
    assert body["mesh_vertices"] == 6890
    assert np.shape(body["mesh_vertices_data"]) == (6890, 3)
    assert np.shape(body["mesh_faces_data"]) == (13776, 3)
    assert body["camera_params"].keys() == {"scale", "tx", "ty", "type"}
    assert body["camera_full"]["focal_length"] == 5000 / 256 * 640
    assert body["camera_translation"] == [body["camera_full"][axis] for axis in ("tx", "ty", "tz")]
    assert body["detection"] == {"box_center": [250.0, 200.0], "box_size": 300.0, "num_persons_detected": 1}
    assert body["tracking_confidence"] == 0.9
    assert body["processing_time_ms"] > 0
    assert body["model_version"] == "fake-1"
    assert body["tracking"]["state"] == "detected"
    assert body["tracking"]["expected_error_mm"] == body["people"][0]["expected_error_mm"] == 21.46
    assert body["tracking"]["expected_error_px"] == body["people"][0]["expected_error_px"] == 3.0
    assert body["tracking"]["contradictions"] == body["people"][0]["contradictions"] == {"mirrored": 2}
    assert body["people"][0]["box_index"] == 1
    assert body["error"] is None
    assert "visualization" not in body


def test_numbers_are_the_workers_in_the_digits_that_a_reader_needs(answer: Reply) -> None:
    sent = body_arrays(people=1, meshes=1)

    np.testing.assert_allclose(answer.body["mesh_vertices_data"], sent["vertices"][0], atol=0.51e-4)
    np.testing.assert_allclose(answer.body["joints_3d_raw"], sent["joints"][0], atol=0.51e-4)
    pixels = [[point["x"], point["y"]] for point in answer.body["keypoints"]]
    np.testing.assert_allclose(pixels, sent["keypoints_2d"][0], atol=0.0051)
    assert len(answer.raw) < 480_000


def test_faces_are_zero_based_triangles_and_never_change(edge: Edge) -> None:
    one, other = (edge.pose(picture(), session_id=next(_names)).body["mesh_faces_data"] for _ in range(2))

    assert one == other
    assert {vertex for face in one for vertex in face} == set(range(6890))


def test_the_crop_camera_is_the_inverse_of_cam_crop_to_full(answer: Reply) -> None:
    body = answer.body
    scale, (cx, cy) = body["camera_params"]["scale"], body["detection"]["box_center"]
    full = body["camera_full"]
    box = body["detection"]["box_size"] * scale  # HMR2's cam_crop_to_full, written forward

    tz = 2 * full["focal_length"] / box
    tx = body["camera_params"]["tx"] + 2 * (cx - full["img_width"] / 2) / box
    ty = body["camera_params"]["ty"] + 2 * (cy - full["img_height"] / 2) / box

    np.testing.assert_allclose([tx, ty, tz], body["camera_translation"], rtol=1e-5)


def test_nobody_in_view_is_an_answer_and_not_a_failure(edge: Edge) -> None:
    answer = edge.pose(picture(), session_id="nobody")
    body = answer.body

    assert answer.status == 200
    assert (body["keypoints"], body["keypoint_count"], body["has_3d"]) == ([], 0, False)
    assert "no person" in body["error"]
    assert body["mesh_vertices"] == 0
    assert body["mesh_vertices_data"] == body["mesh_faces_data"] == body["joints_3d_raw"] == []
    assert body["tracking_confidence"] == 0
    assert body["detection"]["num_persons_detected"] == 0
    assert body["tracking"]["state"] is None


def test_the_fields_are_the_same_with_a_person_and_without(edge: Edge) -> None:
    someone = edge.pose(picture(), session_id=next(_names)).body
    nobody = edge.pose(picture(), session_id="nobody").body

    assert someone.keys() == nobody.keys()
    assert someone["tracking"].keys() == nobody["tracking"].keys()


def test_the_flat_fields_speak_of_the_primary_person_and_people_of_all(edge: Edge) -> None:
    body = edge.pose(picture(), session_id="crowd").body

    assert [person["state"] for person in body["people"]] == ["detected", "recovered", "predicted"]
    assert [person["track_id"] for person in body["people"]] == [7, 8, 9]
    assert body["tracking"]["track_id"] == 8
    assert body["keypoints"] == body["people"][1]["keypoints"]
    assert np.shape(body["people"][0]["smpl"]["body_pose"]) == (23, 3, 3)
    assert np.shape(body["people"][0]["smpl"]["global_orient"]) == (1, 3, 3)
    assert not any("mesh_vertices_data" in person for person in body["people"])


@pytest.mark.parametrize("where", ["field", "query"])
def test_people_full_gives_every_mesh(edge: Edge, where: str) -> None:
    fields = {"image_base64": base64.b64encode(picture()).decode(), "session_id": f"crowd:{where}"}
    if where == "field":
        body = edge.post({**fields, "people": "full"}).body
    else:
        body = edge.post(fields, path="/pose/hybrid?people=full").body

    meshes = [person["mesh_vertices_data"] for person in body["people"]]
    assert np.shape(meshes) == (3, 6890, 3)
    assert body["mesh_vertices_data"] == meshes[1]


def test_a_picture_comes_only_when_asked_for(edge: Edge) -> None:
    body = edge.pose(picture(), visualize=True, session_id=next(_names)).body

    prefix, _, encoded = body["visualization"].partition(",")
    assert prefix == "data:image/png;base64"
    assert PillowImage.open(io.BytesIO(base64.b64decode(encoded))).format == "PNG"


ACCEPTED = {
    "png": picture("PNG"),
    "16-bit png": picture("PNG", mode="I;16"),
    "palette png": picture("PNG", mode="P"),
    "grey png": picture("PNG", mode="L"),
    "alpha png": picture("PNG", mode="RGBA"),
    "grey alpha png": picture("PNG", mode="LA"),
    "jpeg": picture("JPEG"),
    "grey jpeg": picture("JPEG", mode="L"),
    "cmyk jpeg": picture("JPEG", mode="CMYK"),
    "progressive jpeg": picture("JPEG", progressive=True),
    "webp": picture("WEBP"),
    "lossless webp": picture("WEBP", lossless=True),
    "alpha webp": picture("WEBP", mode="RGBA"),
}


@pytest.mark.parametrize("image", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_every_accepted_format_is_taken(edge: Edge, image: bytes) -> None:
    assert edge.pose(image, session_id=next(_names)).status == 200


PLAIN = base64.b64encode(ACCEPTED["png"]).decode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param("data:image/png;base64," + PLAIN, id="data URL"),
        pytest.param(PLAIN.rstrip("="), id="no padding"),
        pytest.param("\r\n".join(PLAIN[at : at + 76] for at in range(0, len(PLAIN), 76)), id="lines"),
    ],
)
def test_every_spelling_of_base64_is_understood(edge: Edge, text: str) -> None:
    assert edge.post({"image_base64": text, "session_id": next(_names)}).status == 200


def test_null_stands_for_a_field_that_says_nothing(edge: Edge) -> None:
    fields = {"frame_number": None, "visualize": None, "session_id": None, "timestamp_ms": None, "fps": None}
    assert edge.pose(picture(), **fields).body["frame_number"] == 0


def test_fields_that_we_do_not_know_are_no_harm(edge: Edge) -> None:
    assert edge.pose(picture(), session_id=next(_names), colour="blue").status == 200


def test_a_form_is_as_good_as_json(edge: Edge) -> None:
    body, headers = form(
        ("frame", "frame-1.png", picture()), ("frameNumber", "", b"0"), ("session_id", "", b"crowd:form")
    )
    answer = edge.request("POST", "/pose/hybrid", body, headers)

    assert answer.status == 200
    assert answer.body["frame_number"] == 0
    assert answer.body["tracking"]["session_id"] == "crowd:form"


@pytest.mark.parametrize("missing", ["frame", "name"])
def test_a_form_without_a_picture_is_refused_by_name(edge: Edge, missing: str) -> None:
    body, headers = form(("picture" if missing == "name" else "frameNumber", "", b"1"))
    answer = edge.request("POST", "/pose/hybrid", body, headers)

    assert (answer.status, answer.body["code"]) == (400, "no_image")


@pytest.mark.parametrize("where", ["field", "header", "query"])
def test_a_session_may_be_named_in_three_places(edge: Edge, where: str) -> None:
    name = f"named-in-{where}"
    fields = {"image_base64": PLAIN} | ({"session_id": name} if where == "field" else {})
    path = f"/pose/hybrid?session={name}" if where == "query" else "/pose/hybrid"
    headers = {"X-Session-Id": name} if where == "header" else {}

    assert edge.post(fields, path=path, headers=headers).body["tracking"]["session_id"] == name


def test_gzip_is_given_to_those_who_ask(edge: Edge) -> None:
    def sent(accept: str) -> Reply:
        fields = {"image_base64": PLAIN, "session_id": next(_names)}
        return edge.post(fields, headers={"Accept-Encoding": accept})

    plain, packed = sent("identity"), sent("gzip, deflate, br")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.raw) < len(plain.raw) / 2
    assert packed.body["mesh_vertices_data"] == plain.body["mesh_vertices_data"]
    assert "content-encoding" not in sent("gzip;q=0, identity").headers
    assert sent("*").headers["content-encoding"] == "gzip"
    assert {reply.headers["vary"] for reply in (plain, packed)} == {"Accept-Encoding"}


def test_any_page_may_ask(edge: Edge) -> None:
    origin = {"Origin": "http://localhost:3000"}
    asked = {
        **origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-session-id",
    }
    preflight = edge.request("OPTIONS", "/pose/hybrid", headers=asked)
    answer = edge.post({"image_base64": PLAIN, "session_id": next(_names)}, headers=origin)
    refusal = edge.post({}, headers=origin)

    assert preflight.status == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "x-session-id" in preflight.headers["access-control-allow-headers"]
    for reply in (preflight, answer, refusal):
        assert reply.headers["access-control-allow-origin"] == "*"


def test_one_connection_serves_many_requests(edge: Edge) -> None:
    connection = edge.connect()
    exchange(connection, "GET", "/health")
    kept = connection.sock
    statuses = [exchange(connection, "POST", "/pose/hybrid", b"{}").status for _ in range(5)]

    assert statuses == [400] * 5
    assert connection.sock is kept
    connection.close()


def test_a_request_id_comes_back(edge: Edge) -> None:
    given = edge.get("/health", {"X-Request-Id": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"

    made = edge.get("/health", {"X-Request-Id": "x" * 129})
    assert len(made.headers["x-request-id"]) == 32


def test_a_pool_of_connections_is_answered_in_full(edge: Edge) -> None:
    name = next(_names)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: edge.pose(picture(), frame_number=n, session_id=name), range(24)))

    assert [answer.status for answer in answers] == [200] * 24
    assert [answer.body["frame_number"] for answer in answers] == list(range(24))


def test_mesh_and_keypoints_share_one_camera(answer: Reply) -> None:
    body = answer.body
    full = body["camera_full"]
    translation = np.array(body["camera_translation"])
    sent = body_arrays(people=1, meshes=1)

    exact = project(sent["vertices"][0], sent["translation"][0], 640, 360)
    read = project(np.array(body["mesh_vertices_data"]), translation, full["img_width"], full["img_height"])

    assert np.abs(exact - read).max() < 0.05
    assert all(math.isfinite(value) for value in translation)
