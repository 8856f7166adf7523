"""Boxes, a target and times over HTTP: who sends them gets what they say, or is told why not."""

import base64
import http.client
import io
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from PIL import Image

from client.private_service import PrivateService
from client.video import frames
from tools.clip import clip_path

Body = Mapping[str, Any]


@pytest.fixture(scope="module")
def picture() -> bytes:
    """A man on the left of 1280 x 720 pixels, or near it."""
    stream = io.BytesIO()
    Image.fromarray(next(iter(frames(clip_path("sports2d_demo.mp4"))))).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def ask(service: PrivateService, picture: bytes) -> Callable[..., tuple[int, Body]]:
    """Send the picture with more fields, as JSON, in a session of the test's own."""
    session = uuid.uuid4().hex

    def send(**fields: object) -> tuple[int, Body]:
        request = {"image_base64": base64.b64encode(picture).decode(), "session_id": session, **fields}
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        connection.request(
            "POST", "/pose/hybrid", orjson.dumps(request), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        body = orjson.loads(response.read())
        connection.close()
        return response.status, body

    return send


def test_boxes_and_a_target_are_honoured_and_what_they_miss_is_noted(ask) -> None:
    _, found = ask(frame_number=0)
    box = found["people"][0]["bbox"]
    assert found["notes"] == []

    status, given = ask(frame_number=1, boxes=[[5, 5, 60, 90], box], target=box, timestamp_ms=33.0, fps=30)
    assert status == 200
    assert [note["code"] for note in given["notes"]] == ["box_empty"]
    assert given["tracking"]["state"] == "detected"
    assert given["tracking"]["track_id"] == found["people"][0]["track_id"]
    assert (found["people"][0]["box_index"], given["people"][0]["box_index"]) == (None, 1)

    _, missed = ask(frame_number=2, target={"x": found["frame_width"], "y": 0})
    assert [note["code"] for note in missed["notes"]] == ["target_not_found"]
    assert missed["tracking"]["track_id"] == given["tracking"]["track_id"]

    _, nobody = ask(frame_number=3, boxes=[])
    assert nobody["detection"]["num_persons_detected"] == 0
    assert nobody["tracking"]["state"] == "predicted"


def test_a_repeat_has_its_answer_and_another_question_its_own(ask) -> None:
    _, first = ask(frame_number=0, boxes=[])
    _, again = ask(frame_number=0, boxes=[])
    _, other = ask(frame_number=0)
    _, still = ask(frame_number=0, boxes=[], timestamp_ms=5.0)
    for body in (again, still):
        assert {**body, "processing_time_ms": 0} == {**first, "processing_time_ms": 0}
    assert first["keypoints"] == []
    assert len(other["keypoints"]) == 17


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"boxes": [[9000, 0, 9100, 100]]}, "boxes[0]: outside the picture"),
        ({"boxes": [[0, 0, 9, 9]] * 9}, "POSE_MAX_PEOPLE is 8"),
        ({"target": {"x": -1, "y": 0}}, "target: outside the picture"),
    ],
    ids=["outside", "too many", "target outside"],
)
def test_what_means_nothing_is_refused_by_name_and_the_session_goes_on(ask, fields, reason: str) -> None:
    status, body = ask(frame_number=0, **fields)
    assert (status, body["code"]) == (400, "invalid_region")
    assert reason in body["error"]
    assert ask(frame_number=0)[0] == 200
