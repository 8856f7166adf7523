"""What callers get who want less than everything, or want it in binary."""

import base64
import itertools
from typing import Any

import numpy as np
import pytest

from tests.http_edge.running import Edge, picture

_names = (f"compact-{number}" for number in itertools.count())
MSGPACK = {"Accept": "application/msgpack"}


def fields(session: str, **more: object) -> dict[str, Any]:
    return {"image_base64": base64.b64encode(picture()).decode(), "session_id": session, **more}


def array(packed: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(packed["data"], packed["dtype"]).reshape(packed["shape"])


@pytest.mark.parametrize("where", ["field", "query"])
def test_mesh_none_leaves_vertices_and_triangles_out_and_nothing_else(edge: Edge, where: str) -> None:
    session = f"crowd:{where}"
    whole = edge.post(fields(session)).body
    if where == "field":
        answer = edge.post(fields(session, mesh="none"))
    else:
        answer = edge.post(fields(session), path="/pose/hybrid?mesh=none")
    lean = answer.body

    assert (lean["mesh_vertices"], lean["mesh_vertices_data"], lean["mesh_faces_data"]) == (0, [], [])
    changed = {name for name in whole if whole[name] != lean[name]}
    assert changed == {"mesh_vertices", "mesh_vertices_data", "mesh_faces_data", "processing_time_ms"}
    assert len(answer.raw) < 30_000


def test_faces_none_leaves_the_triangles_out_alone(edge: Edge) -> None:
    body = edge.post(fields(next(_names), faces="none")).body

    assert body["mesh_faces_data"] == []
    assert np.shape(body["mesh_vertices_data"]) == (6890, 3)
    assert body["mesh_vertices"] == 6890


def test_who_wants_no_mesh_gets_nobodys(edge: Edge) -> None:
    body = edge.post(fields("crowd:lean", mesh="none", people="full")).body

    assert len(body["people"]) == 3
    assert not any("mesh_vertices_data" in person for person in body["people"])


def test_the_request_itself_goes_before_its_url(edge: Edge) -> None:
    body = edge.post(fields(next(_names), mesh="full"), path="/pose/hybrid?mesh=none").body

    assert body["mesh_vertices"] == 6890


@pytest.mark.parametrize("name", ["people", "mesh", "faces"])
@pytest.mark.parametrize("where", ["field", "query", "twice in the query"])
def test_words_that_are_not_known_are_refused_by_the_fields_name(edge: Edge, where: str, name: str) -> None:
    if where == "field":
        answer = edge.post(fields(next(_names), **{name: "some"}))
    else:
        values = ["some"] if where == "query" else ["full", "full"]
        query = "&".join(f"{name}={value}" for value in values)
        answer = edge.post(fields(next(_names)), path=f"/pose/hybrid?{query}")

    assert answer.status == 400
    assert name in answer.body["error"]


@pytest.mark.parametrize("session", ["nobody", "crowd:packed"])
def test_messagepack_says_the_same_with_meshes_as_arrays(edge: Edge, session: str) -> None:
    plain = edge.post(fields(session, people="full")).body
    answer = edge.post(fields(session, people="full"), headers=MSGPACK)
    packed = answer.body

    assert answer.headers["content-type"] == "application/msgpack"
    assert packed.keys() == plain.keys()
    for theirs, ours in zip([plain, *plain["people"]], [packed, *packed["people"]], strict=True):
        if plain["error"] is None:
            mesh = array(ours["mesh_vertices_data"])
            assert mesh.dtype == np.float32
            np.testing.assert_allclose(mesh, theirs["mesh_vertices_data"], atol=1e-6)
    if plain["error"] is None:
        np.testing.assert_array_equal(array(packed["mesh_faces_data"]), plain["mesh_faces_data"])
    small = plain.keys() - {"mesh_vertices_data", "mesh_faces_data", "processing_time_ms", "people"}
    assert {name: packed[name] for name in small} == {name: plain[name] for name in small}
    for theirs, ours in zip(plain["people"], packed["people"], strict=True):
        assert ours["smpl"] == theirs["smpl"]
        assert ours["bbox"] == theirs["bbox"]


def test_a_picture_in_messagepack_is_its_bytes(edge: Edge) -> None:
    plain = edge.post(fields("drawn", visualize=True)).body
    packed = edge.post(fields("drawn", visualize=True), headers=MSGPACK).body

    _, _, encoded = plain["visualization"].partition(",")
    assert packed["visualization"] == base64.b64decode(encoded)


def test_messagepack_is_compressed_for_those_who_ask(edge: Edge) -> None:
    asking = MSGPACK | {"Accept-Encoding": "gzip"}
    plain = edge.post(fields("small"), headers=MSGPACK)
    small = edge.post(fields("small"), headers=asking)

    assert small.headers["content-encoding"] == "gzip"
    assert len(small.raw) < len(plain.raw)
    assert small.body["mesh_vertices_data"] == plain.body["mesh_vertices_data"]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/json, text/plain, */*", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("no media type", "application/json"),
        ("application/x-msgpack", "application/msgpack"),
        ("application/json;q=0.5, application/msgpack", "application/msgpack"),
        ("application/json, application/msgpack;q=0.5", "application/json"),
    ],
)
def test_the_format_is_what_the_caller_reads_best(edge: Edge, accept: str, content_type: str) -> None:
    answer = edge.post(fields(next(_names), mesh="none"), headers={"Accept": accept})

    assert answer.status == 200
    assert answer.headers["content-type"] == content_type


def test_an_error_is_json_for_everyone(edge: Edge) -> None:
    answer = edge.post({"image_base64": ""}, headers=MSGPACK)

    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")


def test_a_batch_may_be_lean_as_a_whole_or_frame_by_frame(edge: Edge) -> None:
    lean, whole, silent = fields("x", mesh="none"), fields("x", mesh="full"), fields("x")
    asked = {"frames": [lean, whole, silent, {}], "session_id": next(_names), "mesh": "none"}
    plain = edge.post(asked, path="/pose/batch").body
    packed = edge.post(asked, path="/pose/batch", headers=MSGPACK).body

    assert [answer.get("mesh_vertices") for answer in plain] == [0, 6890, 0, None]
    assert [answer.get("mesh_vertices") for answer in packed] == [0, 6890, 0, None]
    assert packed[3] == plain[3]
