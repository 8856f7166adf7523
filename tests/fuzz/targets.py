"""What reads the bytes of strangers, one target a parser: any bytes are read, or refused by name."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import falcon
from falcon.media.multipart import MultipartFormHandler
from msgspec.structs import replace

from http_edge import batch, intake
from http_edge.forms import readable
from tests.contract.mutations import BOUNDARY, form_body, json_body
from tests.messages import ready, result_for
from tests.pictures import ACCEPTED
from wire import images
from wire.arrays import unpack_arrays
from wire.errors import Internal, PoseError
from wire.messages import (
    ArraySpec,
    BrokerToWorker,
    Decoder,
    Failure,
    Frame,
    FromBroker,
    Options,
    Result,
    Source,
    ToBroker,
    Work,
    WorkerToBroker,
    encode,
)

_ID = bytes(range(16))
_DECODERS = [Decoder(union) for union in (ToBroker, FromBroker, WorkerToBroker, BrokerToWorker)]
_PICTURES = [encoded for encoded, _ in ACCEPTED.values()]


@dataclass(frozen=True, slots=True)
class Target:
    """One parser, and inputs that it accepts, from which others are made."""

    read: Callable[[bytes], object]
    seeds: Sequence[bytes]

    def __call__(self, content: bytes) -> bool:
        """Whether it is accepted; false: it is refused by name. Raises whatever is no refusal."""
        try:
            self.read(content)
        except PoseError as refusal:
            if refusal.status >= Internal.status:
                raise
            return False
        return True


def _json(content: bytes) -> None:
    intake.frame_number_of(content)
    intake.from_json(content)


def _batch(content: bytes) -> None:
    for frame in batch.read(content, max_frames=64).frames:
        _json(frame)


def _form(content: bytes) -> None:
    media_type = f"{falcon.MEDIA_MULTIPART}; boundary={BOUNDARY}"
    try:
        form = MultipartFormHandler().deserialize(io.BytesIO(content), media_type, len(content))
        intake.from_form((part.name or "", part.get_data()) for part in readable(form))
    except falcon.HTTPError as refusal:
        if refusal.status_code >= Internal.status:
            raise


def _wire(content: bytes) -> None:
    """A header as each socket reads it, and the payload of a result; with an empty line before each part."""
    header, _, payload = content.partition(b"\n\n")
    refusals = []
    for decode in _DECODERS:
        try:
            message = decode(header)
            if isinstance(message, Result):
                unpack_arrays(message.arrays, payload.split(b"\n\n"))
        except PoseError as refusal:
            refusals.append(refusal)
    if len(refusals) == len(_DECODERS):
        raise refusals[0]


def _picture(content: bytes) -> None:
    images.check(content, max_pixels=40_000_000)


def _wire_seeds() -> list[bytes]:
    asked = Frame(
        request_id=_ID,
        frame_number=7,
        deadline_ms=110_000,
        session_id="dance",
        source=Source(client="::1", width_px=640, height_px=360, thumbnail=b"\0\xff"),
        options=Options(visualize=True, full_people=True, boxes=((1.0, 2.0, 30.0, 20.0),)),
        timestamp_ms=33.3,
        fps=29.97,
    )
    work = Work(
        request_id=_ID,
        session_id="dance",
        generation=1,
        epoch=2,
        frame_number=7,
        continues=True,
        deadline_ms=1000,
    )
    result = result_for(work)
    arrays = [ArraySpec("joints", "float32", (1, 3)), ArraySpec("vertices", "float32", (0, 6890, 3))]
    failure = Failure(request_id=_ID, code="busy", message="later", retry_after_s=1.0)
    headers = [encode(message) for message in (asked, work, ready(), result, failure)]
    return [*headers, encode(replace(result, arrays=arrays)) + b"\n\n" + bytes(12) + b"\n\n"]


TARGETS = {
    "json": Target(_json, [json_body(0, _PICTURES[0])]),
    "batch": Target(
        _batch, [b'{"frames": [' + json_body(0, _PICTURES[0]) + b'], "session_id": "a session"}']
    ),
    "form": Target(_form, [form_body(0, _PICTURES[0])]),
    "wire": Target(_wire, _wire_seeds()),
    "picture": Target(_picture, _PICTURES),
}
