"""Each step of a request through edge and broker, warm and alone, beside the least it could cost.

The floor of a step is the same bytes through the barest call that touches them.
"""

import base64
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import orjson
import pybase64
from isal import igzip_lib

from bench.timing import median_ms
from http_edge import contract, intake, results, topology
from http_edge.compression import LEVEL, Gzip
from http_edge.formats import Body
from http_edge.topology import OPEN_BODY, Topology
from wire import images, lending, messages
from wire.arrays import pack_arrays
from wire.messages import Decoder, FromBroker, Person, Result
from wire.shelf import Shelf
from workers.types import Array

_MAX_PIXELS = 40_000_000


class Step(NamedTuple):
    """One step, its floor, and what that is."""

    name: str
    ours: Callable[[], object]
    floor: Callable[[], object]
    floor_is: str


def request(picture: bytes, *, frame_number: int) -> bytes:
    """The body of a request."""
    return orjson.dumps(
        {"image_base64": base64.b64encode(picture).decode(), "frame_number": frame_number, "visualize": False}
    )


def compressed_answer(arrays: Mapping[str, Array]) -> bytes:
    """The body of the answer, as it travels."""
    faces = topology.load(OPEN_BODY)
    return Gzip(faces.beginning)(_answer(arrays, faces).rest)


def show(picture: bytes, arrays: Mapping[str, Array]) -> None:
    """Print the table."""
    print(f"{'step, median ms':34}{'ours':>8}{'floor':>8}   floor")
    for step in _steps(picture, arrays):
        print(f"{step.name:34}{median_ms(step.ours):>8.3f}{median_ms(step.floor):>8.3f}   {step.floor_is}")


def _steps(picture: bytes, arrays: Mapping[str, Array]) -> list[Step]:
    faces = topology.load(OPEN_BODY)
    body, result = request(picture, frame_number=0), _result(arrays)
    header, payload = messages.encode(result), pack_arrays(arrays)[1]
    decode: Decoder[Result] = Decoder(FromBroker)
    answer, gzip = _answer(arrays, faces), Gzip(faces.beginning)
    vertices, text, shelf = arrays["vertices"], base64.b64encode(picture), Shelf(128)
    people = _people(result, payload, faces)
    return [
        Step(
            "read JSON and base64",
            lambda: intake.from_json(body),
            lambda: pybase64.b64decode(text, validate=True),
            "base64 alone",
        ),
        Step(
            "check the picture's header",
            lambda: images.check(picture, max_pixels=_MAX_PIXELS),
            lambda: bytearray(picture),
            "a copy of the picture",
        ),
        Step(
            "lend the picture",
            lambda: _lent(shelf, picture),
            lambda: bytearray(picture),
            "a copy of the picture",
        ),
        Step(
            "tell a repeat (worker)",
            lambda: lending.digest_of(picture),
            lambda: bytearray(picture),
            "a copy of the picture",
        ),
        Step(
            "read the result's header",
            lambda: decode(header),
            lambda: msgspec.msgpack.decode(header),
            "untyped MessagePack",
        ),
        Step(
            "unpack and check the arrays",
            lambda: _people(result, payload, faces),
            lambda: vertices.min() + vertices.max(),
            "least and greatest coordinate",
        ),
        Step("write JSON", lambda: _written(people, faces), lambda: bytearray(answer.rest), "a copy of it"),
        Step(
            "compress",
            lambda: gzip(answer.rest),
            lambda: igzip_lib.compress(answer.rest, LEVEL, igzip_lib.COMP_DEFLATE),
            "igzip over what changes",
        ),
    ]


def _lent(shelf: Shelf, picture: bytes) -> None:
    slot = shelf.put([picture])
    assert slot is not None
    shelf.take_back(slot, read=True)


def _people(result: Result, payload: list[messages.Buffer], faces: Topology) -> results.People:
    return results.read(result, payload, topology=faces, meshes="primary")


def _answer(arrays: Mapping[str, Array], faces: Topology) -> Body:
    return _written(_people(_result(arrays), pack_arrays(arrays)[1], faces), faces)


def _written(people: results.People, faces: Topology) -> Body:
    return contract.answer(people, topology=faces, style=contract.Style(), elapsed_ms=1.0)


def _result(arrays: Mapping[str, Array]) -> Result:
    return Result(
        request_id=bytes(16),
        session_id="bench",
        epoch=1,
        frame_number=0,
        width_px=1920,
        height_px=1080,
        people=[Person(track_id=1, state="detected", frames_since_detected=0, confidence=0.9)],
        primary=0,
        history="complete",
        num_persons_detected=1,
        num_tracks=1,
        observer="bench",
        tracker="bench",
        model_version="bench",
        stages_ms={"decode": 1.0, "observe": 1.0, "track": 1.0},
        arrays=pack_arrays(arrays)[0],
    )
