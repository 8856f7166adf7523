"""The running service and its /openapi.json say the same."""

import base64
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import falcon.inspect
import jsonschema_rs
import pytest

from http_edge import app
from http_edge.openapi.document import document
from tests import videos
from tests.contract.fuzzing import fuzz
from tests.contract.running import Service, service
from tests.http_edge.running import Reply, picture, wait_for
from wire import errors
from wire.settings import load

#: Frames are sent again with what is wanted, peers that break the protocol or lend pictures speak no HTTP,
#: and an operation that is described is one whose method is served.
NOT_OF_AN_OPERATION = {
    errors.ThumbnailWanted,
    errors.ProtocolError,
    errors.PictureGone,
    errors.MethodNotAllowed,
}

METHODS = ("get", "post", "delete")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("contract")) as ready:
        yield ready


@pytest.fixture(scope="module")
def contract(running: Service) -> Any:
    reply = running.get("/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    return reply.body


def test_generated_requests_are_answered_as_the_contract_says(running: Service) -> None:
    outcome = fuzz(running.port, examples=5)

    assert outcome.holds, outcome.report
    assert outcome.requests > 500, outcome.report


def test_the_contract_has_every_path_and_method_that_is_served(contract: Any) -> None:
    parts = app.Parts(**{part.name: Mock() for part in fields(app.Parts)} | {"settings": load({})})
    served = {
        (route.path, method.method.lower())
        for route in falcon.inspect.inspect_app(app.build(parts)).routes
        for method in route.methods
        if method.method.lower() in METHODS and not method.internal
    }

    assert {(path, method) for path, item in contract["paths"].items() for method in item} == served


def test_the_contract_has_every_named_error_with_its_status() -> None:
    listed = {
        (status, code)
        for item in document()["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for code in codes(response)
    }

    kinds = {*errors.PoseError.__subclasses__()} - NOT_OF_AN_OPERATION
    assert listed == {(str(kind.status), kind.code) for kind in kinds}


def codes(response: dict[str, Any]) -> list[str]:
    _, named = response["content"]["application/json"]["schema"]["allOf"]
    return named["properties"]["code"]["enum"]


def test_every_schema_is_one(contract: Any) -> None:
    for name, schema in contract["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
        ), name


@pytest.mark.parametrize(
    ("session", "fields"),
    [
        ("one", {}),
        ("one", {"visualize": True}),
        ("crowd", {"people": "full"}),
        ("nobody", {}),
    ],
)
def test_an_answer_has_the_described_fields_and_no_others(
    running: Service, contract: Any, session: str, fields: dict[str, object]
) -> None:
    check(contract, "/pose/hybrid", "post", running.pose(picture(), session_id=session, **fields))


def test_a_batch_has_the_described_fields_and_no_others(running: Service, contract: Any) -> None:
    frame = {"image_base64": base64.b64encode(picture()).decode()}
    reply = running.post({"frames": [frame, {}], "session_id": "crowd:batch"}, path="/pose/batch")

    check(contract, "/pose/batch", "post", reply)


@pytest.mark.parametrize("path", ["/health", "/warmup", "/api/pose/health", "/api/pose/pool-status"])
def test_what_is_told_of_the_service_has_the_described_fields_and_no_others(
    running: Service, contract: Any, path: str
) -> None:
    check(contract, path, "get", running.get(path))


@pytest.mark.parametrize("mesh", ["full", "none"])
def test_a_video_and_its_job_have_the_described_fields_and_no_others(
    running: Service, contract: Any, tmp_path: Path, mesh: str
) -> None:
    video = videos.write(tmp_path / "ride.mp4", frames=3).read_bytes()
    queued = running.upload(video, mesh=mesh, **{"async": "yes"})
    assert queued.status == 202
    check(contract, "/pose/video", "post", queued)
    job_id = queued.body["job_id"]
    job = f"/pose/video/status/{job_id}"
    wait_for(lambda: running.get(job).body["status"] == "complete")
    check(contract, "/pose/video/status/{job_id}", "get", running.get(job))
    cancelled = running.request("DELETE", f"/pose/video/{job_id}")
    check(contract, "/pose/video/{job_id}", "delete", cancelled)

    answered = running.upload(video, mesh=mesh)
    assert answered.status == 200
    check(contract, "/pose/video", "post", answered)


def test_a_form_says_yes_or_no(running: Service) -> None:
    reply = running.upload(b"no video", **{"async": "ture"})

    assert (reply.status, reply.body["code"]) == (400, "bad_request")


@pytest.mark.parametrize("query", ["session=" + "x" * 129, "people=all"])
def test_what_a_query_misspells_is_refused_also_where_the_body_says_it(running: Service, query: str) -> None:
    asked = {"image_base64": base64.b64encode(picture()).decode(), "session_id": "s", "people": "full"}
    reply = running.post(asked, path=f"/pose/hybrid?{query}")

    assert (reply.status, reply.body["code"]) == (400, "bad_request")


def check(contract: Any, path: str, method: str, reply: Reply) -> None:
    """The answer has what its schema demands, and nothing that the schema does not know."""
    described = contract["paths"][path][method]["responses"][str(reply.status)]
    schema = described["content"][reply.headers["content-type"]]["schema"]
    components = {"schemas": closed(contract["components"]["schemas"])}
    jsonschema_rs.validate({**schema, "components": components}, reply.body)


def closed(schemas: dict[str, Any]) -> dict[str, Any]:
    """The schemas without room for other fields."""
    return {name: {**schema, "additionalProperties": False} for name, schema in schemas.items()}
