"""From the body of an HTTP request to what the caller asks for.

JSON or multipart/form-data, whichever was sent; both become the same `Intake`. Every
request that is not of the contract's form is refused here, by name.
"""

import binascii
import re
import string
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Literal

import msgspec
import pybase64
from msgspec import Meta, Struct

from wire.errors import BadRequest, InvalidBase64, NoImage
from wire.messages import MOST_BOXES, Box, FrameNumber, Pixels, SessionId

#: Finite, because not below 0 (which refuses NaN) and below a bound.
Milliseconds = Annotated[float, Meta(ge=0, lt=2.0**53)]
FramesPerSecond = Annotated[float, Meta(gt=0, le=100_000.0)]
WhichPeople = Literal["primary", "full"]
AllOrNone = Literal["full", "none"]

_WHITESPACE = str.maketrans("", "", string.whitespace)


class Point(Struct, frozen=True, kw_only=True):
    """A place in the picture, pixels."""

    x: Pixels
    y: Pixels


class Extent(Struct, frozen=True, kw_only=True):
    """How much of the bodies an answer shall show; null means that nothing is said about it.

    people: whose meshes. mesh: none, and there are neither vertices nor triangles. faces: the triangles,
    which never change.
    """

    people: WhichPeople | None = None
    mesh: AllOrNone | None = None
    faces: AllOrNone | None = None

    def or_else(self, other: "Extent") -> "Extent":
        """What is not said here is what `other` says."""
        return Extent(
            people=self.people or other.people, mesh=self.mesh or other.mesh, faces=self.faces or other.faces
        )


class PoseFields(Extent, frozen=True, kw_only=True):
    """What a request may say beside its picture; null means that it says nothing."""

    frame_number: FrameNumber | None = None
    visualize: bool | None = None
    session_id: SessionId | None = None
    timestamp_ms: Milliseconds | None = None
    fps: FramesPerSecond | None = None
    boxes: Annotated[tuple[Box, ...], Meta(max_length=MOST_BOXES)] | None = None
    target: Point | Box | None = None


class PoseRequest(PoseFields, frozen=True, kw_only=True):
    """The same with the picture; `decode_base64` says how it may be spelled."""

    image_base64: Annotated[str, Meta(extra_json_schema={"contentEncoding": "base64"})] | None = None


class _OnlyFrameNumber(Struct):
    frame_number: FrameNumber | None = None


class Intake(Struct, frozen=True, kw_only=True):
    """One picture, and what is asked about it."""

    image: bytes
    frame_number: int
    visualize: bool
    session_id: str | None
    timestamp_ms: float | None
    fps: float | None
    extent: Extent
    boxes: tuple[Box, ...] | None
    target: Box | None  # without an area: a point


_json = msgspec.json.Decoder(PoseRequest)
#: What reading JSON raises.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_PICTURE_BEGINS = re.compile(rb'"image_base64"\s*:\s*"')

#: Stands where the picture's text was taken out; it is no base64 itself.
_PLACE = b"*picture*"

_only_frame_number = msgspec.json.Decoder(_OnlyFrameNumber)

#: Names that the mobile proxy's forms use, and ours.
FORM_FIELDS = {"frameNumber": "frame_number", "sessionId": "session_id"}
#: Fields whose text in a form is JSON.
JSON_FIELDS = ("boxes", "target")
FORM_PICTURE = "frame"


def from_json(body: bytes) -> Intake:
    """The request in a JSON body. Raises `BadRequest`, `NoImage` or `InvalidBase64`."""
    if (read := _read_apart(body)) is not None:
        return _intake(*read)
    try:
        fields = _json.decode(body)
    except _UNREADABLE as error:
        raise _refusal(error) from None
    return _intake(fields, decode_base64(fields.image_base64 or ""))


def _read_apart(body: bytes) -> tuple[PoseFields, bytes] | None:
    """A request in its usual spelling, the picture decoded where it lies; None: to be read in full.

    A reader of JSON looks at every byte of a text, and copies it, which takes longer than to decode it.
    """
    if (opening := _PICTURE_BEGINS.search(body)) is None:
        return None
    begin = opening.end()
    end = body.find(b'"', begin)
    rest = b"".join((body[:begin], _PLACE, body[end:]))
    # Nothing else may look like the place, in whatever spelling.
    if end < 0 or b"\\" in rest or rest.count(_PLACE) > 1:
        return None
    with suppress(ValueError, *_UNREADABLE):
        fields = _json.decode(rest)
        if fields.image_base64 == _PLACE.decode():
            return fields, pybase64.b64decode(memoryview(body)[begin:end], validate=True)
    return None


def extent(parameters: Mapping[str, str | list[str]]) -> Extent:
    """What the query of a URL says. Raises `BadRequest`."""
    try:
        return msgspec.convert(parameters, Extent)
    except msgspec.ValidationError as error:
        raise _refusal(error) from None


def frame_number_of(body: bytes) -> int | None:
    """The frame number in a JSON body that was refused, for the refusal to name; None if unknown."""
    try:
        return _only_frame_number.decode(body).frame_number
    except _UNREADABLE:
        return None


def from_form(parts: Iterable[tuple[str, bytes]]) -> Intake:
    """The request in the named parts of a form. Raises `BadRequest` or `NoImage`."""
    picture = None
    texts = {}
    for name, content in parts:
        if name == FORM_PICTURE:
            picture = content
        else:
            texts[FORM_FIELDS.get(name, name)] = content.decode("utf-8", errors="replace")
    return _intake(_from_texts(texts), picture)


def decode_base64(text: str) -> bytes:
    """The bytes of base64 with a `data:` prefix, line breaks or no padding. Raises `InvalidBase64`."""
    with suppress(ValueError):  # the usual spelling; pybase64 takes a tenth of msgspec's time for it
        return pybase64.b64decode(text, validate=True)
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise InvalidBase64("image_base64: a data: URL must be of the form data:image/...;base64,...")
    text = text.translate(_WHITESPACE).rstrip("=")
    try:
        return pybase64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidBase64(f"image_base64: {error}") from None


def _from_texts(texts: Mapping[str, str]) -> PoseFields:
    given: dict[str, object] = {name: text for name, text in texts.items() if text}
    for name in given.keys() & JSON_FIELDS:
        try:
            given[name] = msgspec.json.decode(texts[name])
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"{name}: {error}") from None
    try:
        return msgspec.convert(given, PoseFields, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(error) from None


def _intake(fields: PoseFields, picture: bytes | None) -> Intake:
    if not picture:
        raise NoImage(
            "the request carries no picture: image_base64 (JSON) or frame (form) is missing or empty"
        )
    return Intake(
        image=picture,
        frame_number=fields.frame_number or 0,
        visualize=bool(fields.visualize),
        session_id=fields.session_id,
        timestamp_ms=fields.timestamp_ms,
        fps=fields.fps,
        extent=Extent(people=fields.people, mesh=fields.mesh, faces=fields.faces),
        boxes=fields.boxes,
        target=_box(fields.target),
    )


def _box(target: Point | Box | None) -> Box | None:
    return (target.x, target.y, target.x, target.y) if isinstance(target, Point) else target


def _refusal(error: Exception) -> BadRequest:
    """A `BadRequest` that names the field; msgspec puts it last: "... - at `$.fps`"."""
    reason, _, path = str(error).partition(" - at `$.")
    if path:
        return BadRequest(f"{path.rstrip('`')}: {reason}")
    return BadRequest(f"the body is not a JSON object of the contract's form: {reason}")
