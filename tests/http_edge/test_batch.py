"""`/pose/batch`: several pictures of one video in one request."""

import base64

import pytest

from tests.http_edge.running import Edge, picture


def frame(content: bytes, **fields: object) -> dict[str, object]:
    return {"image_base64": base64.b64encode(content).decode(), **fields}


def test_pictures_are_answered_in_the_order_sent_as_they_would_be_one_by_one(edge: Edge) -> None:
    frames = [frame(picture(), frame_number=number) for number in (3, 1, 10)]

    reply = edge.post({"frames": frames, "session_id": "crowd:batch"}, path="/pose/batch")

    assert reply.status == 200
    assert [body["frame_number"] for body in reply.body] == [3, 1, 10]
    alone = edge.pose(picture(), frame_number=10, session_id="crowd:alone").body
    different = {"processing_time_ms", "tracking"}
    assert {name: value for name, value in reply.body[2].items() if name not in different} == {
        name: value for name, value in alone.items() if name not in different
    }
    assert {body["tracking"]["session_id"] for body in reply.body} == {"crowd:batch"}


def test_pictures_without_numbers_or_a_session_are_one_video(edge: Edge) -> None:
    bodies = edge.post({"frames": [frame(picture())] * 3}, path="/pose/batch").body

    assert [body["frame_number"] for body in bodies] == [0, 1, 2]
    assert len({body["tracking"]["session_id"] for body in bodies}) == 1


def test_a_picture_that_fails_fails_alone(edge: Edge) -> None:
    frames = [frame(picture()), {"image_base64": "?"}, frame(b"noise", frame_number=7), frame(picture())]

    reply = edge.post({"frames": frames}, path="/pose/batch")

    assert reply.status == 200
    assert [body.get("code") for body in reply.body] == [None, "invalid_base64", "invalid_image", None]
    assert [body["frame_number"] for body in reply.body] == [0, 1, 7, 3]


@pytest.mark.parametrize(
    "asked", [{}, {"frames": []}, {"frames": {}}, {"frames": [{}] * 65}, {"frames": [{}], "session_id": ""}]
)
def test_a_request_of_another_form_is_refused(edge: Edge, asked: object) -> None:
    reply = edge.post(asked, path="/pose/batch")

    assert (reply.status, reply.body["code"]) == (400, "bad_request")


def test_frames_that_are_no_objects_are_refused_one_by_one(edge: Edge) -> None:
    reply = edge.post({"frames": [1, None, "a"]}, path="/pose/batch")

    assert [body["code"] for body in reply.body] == ["bad_request"] * 3
