"""Whatever bytes a request is made of, it is read or refused by name."""

import io
import json
from collections.abc import Callable
from typing import Any

import falcon
import pytest
from falcon.media.multipart import MultipartFormHandler
from hypothesis import example, given
from hypothesis import strategies as st

from http_edge import batch, intake
from http_edge.forms import readable
from http_edge.intake import Intake
from wire.errors import BadRequest, InvalidBase64, NoImage

REFUSALS = (BadRequest, NoImage, InvalidBase64)
BOUNDARY = "a-boundary"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from([*intake.PoseRequest.__struct_fields__, "frameNumber", "sessionId", "frame", "x"])
objects = st.dictionaries(names, anything, max_size=6)
spoiled = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=6)), max_size=4)


def read_or_refused(read: Callable[[], Any]) -> Any:
    """What was read; None where it was refused by a name that is a caller's fault."""
    try:
        return read()
    except REFUSALS as refusal:
        assert 400 <= refusal.status < 500
        assert refusal.message
        return None


@given(st.binary())
@example(b"[" * 100_000)
@example(b'{"image_base64": "' + b"\xff" * 9)
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    read_or_refused(lambda: intake.from_json(body))
    read_or_refused(lambda: batch.read(body, max_frames=64))
    intake.frame_number_of(body)


@given(objects)
def test_any_json_is_a_request_or_refused(fields: dict[str, Any]) -> None:
    asked = read_or_refused(lambda: intake.from_json(json.dumps(fields).encode()))

    if asked is not None:
        assert asked.image
        assert asked.frame_number == (fields.get("frame_number") or 0)
        assert asked.session_id == fields.get("session_id")


@pytest.mark.parametrize(
    "body",
    [
        rb'{"image_base64": "cGljdHVyZQ=="}',
        b'{"frame_number": 0,\n "image_base64" :\t"cGljdHVyZQ==", "session_id": null}',
        rb'{"image_base64": "\u0063GljdHVyZQ=="}',
        rb'{"image_base64": "data:image/png;base64,cGljdHVyZQ"}',
        rb'{"image_base64": "cGlj\r\ndHVyZQ=="}',
        rb'{"image_base64": "bm90", "image_base64": "cGljdHVyZQ=="}',
        rb'{"x": {"image_base64": "bm90"}, "image_base64": "cGljdHVyZQ=="}',
        rb'{"x": "\"image_base64\": \"bm90", "image_base64": "cGljdHVyZQ=="}',
        rb'{"session_id": "*picture*", "image_base64": "cGljdHVyZQ=="}',
    ],
)
def test_the_picture_is_the_one_that_json_says_however_it_is_spelled(body: bytes) -> None:
    assert intake.from_json(body).image == b"picture"


@pytest.mark.parametrize("text", [rb"*picture*", rb"\u002apicture*"])
def test_no_other_text_is_taken_for_the_picture(text: bytes) -> None:
    with pytest.raises(InvalidBase64):
        intake.from_json(b'{"x": {"image_base64": "bm90"}, "image_base64": "' + text + b'"}')


@pytest.mark.parametrize("rest", [b'"', b"", b'", "fps": 0}', b'", "fps": 1}}'])
def test_what_is_wrong_beside_the_picture_is_told_as_ever(rest: bytes) -> None:
    refusals = []
    for name in (rb"image_base64", rb"image\u005fbase64"):
        with pytest.raises(BadRequest) as refusal:
            intake.from_json(b'{"%s": "cGljdHVyZQ==' % name + rest)
        refusals.append(refusal.value.message.partition("(byte")[0])

    assert refusals[0] == refusals[1]


@given(spoiled)
def test_a_form_with_bytes_changed_is_a_request_or_refused(changes: list[tuple[int, bytes]]) -> None:
    body = form({"frameNumber": "3", "boxes": "[[1, 2, 3, 4]]", "fps": "29.97"}, b"picture")
    for at, put in changes:
        body = body[:at] + put + body[at + len(put) // 2 :]

    read_or_refused(lambda: read_form(body))


@given(st.dictionaries(names, st.text(), max_size=6))
def test_any_texts_of_a_form_are_a_request_or_refused(texts: dict[str, str]) -> None:
    parts = [(name, text.encode("utf-8", errors="replace")) for name, text in texts.items()]

    read_or_refused(lambda: intake.from_form(parts))


def test_the_form_that_is_spoiled_is_a_good_one() -> None:
    asked = read_form(form({"frameNumber": "3", "boxes": "[[1, 2, 3, 4]]", "fps": "29.97"}, b"picture"))

    assert (asked.image, asked.frame_number, asked.boxes, asked.fps) == (
        b"picture",
        3,
        ((1, 2, 3, 4),),
        29.97,
    )


def form(texts: dict[str, str], picture: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    parts = [f'{head}"{name}"\r\n\r\n{text}\r\n'.encode() for name, text in texts.items()]
    picture_head = f'{head}"frame"; filename="1.png"\r\n\r\n'.encode()
    return b"".join([*parts, picture_head, picture, f"\r\n--{BOUNDARY}--\r\n".encode()])


def read_form(body: bytes) -> Intake:
    """As the application reads it; what falcon refuses is a `BadRequest` there."""
    handler = MultipartFormHandler()
    media_type = f"multipart/form-data; boundary={BOUNDARY}"
    try:
        media = handler.deserialize(io.BytesIO(body), media_type, len(body))
        parts = [(part.name or "", part.get_data()) for part in readable(media)]
    except falcon.HTTPError as error:
        assert error.status_code < 500
        raise BadRequest(error.title or "refused") from None
    return intake.from_form(parts)
