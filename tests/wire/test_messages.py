"""Messages survive the wire, and what is not allowed is refused."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.messages import ready, result_for
from wire.errors import ProtocolError
from wire.messages import (
    BrokerToWorker,
    Decoder,
    Failure,
    Forget,
    Frame,
    FromBroker,
    Goodbye,
    Heartbeat,
    LoadFailed,
    Options,
    Source,
    StatusRequest,
    ToBroker,
    WhoAreYou,
    Work,
    WorkerToBroker,
    encode,
)

DECODERS = [Decoder(union) for union in (ToBroker, FromBroker, WorkerToBroker, BrokerToWorker)]


ID = bytes(range(16))
EXAMPLES = [
    (ToBroker, Frame(request_id=ID, frame_number=2**53 - 1, deadline_ms=1)),
    (
        ToBroker,
        Frame(
            request_id=ID,
            frame_number=0,
            deadline_ms=110_000,
            session_id="dänce",
            source=Source(client="::1", width_px=640, height_px=360, thumbnail=b"\0\xff"),
            options=Options(visualize=True, full_people=True),
            timestamp_ms=33.3,
            fps=29.97,
        ),
    ),
    (ToBroker, StatusRequest(request_id=ID)),
    (
        WorkerToBroker,
        result_for(
            Work(
                request_id=ID,
                session_id="s",
                generation=0,
                epoch=2**52,
                continues=True,
                frame_number=3,
                deadline_ms=1,
            )
        ),
    ),
    (FromBroker, Failure(request_id=ID, code="busy", message="full", retry_after_s=0.5)),
    (WorkerToBroker, ready()),
    (WorkerToBroker, LoadFailed(name="w0", reason="no file")),
    (WorkerToBroker, Heartbeat()),
    (WorkerToBroker, Goodbye()),
    (
        BrokerToWorker,
        Work(
            request_id=ID,
            session_id="s",
            generation=1,
            epoch=2,
            continues=False,
            frame_number=3,
            deadline_ms=4,
        ),
    ),
    (BrokerToWorker, Heartbeat()),
    (BrokerToWorker, WhoAreYou()),
    (BrokerToWorker, Goodbye()),
    (BrokerToWorker, Forget(session_id="s", generation=1)),
]


@pytest.mark.parametrize(("union", "message"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_what_is_encoded_is_decoded_again(union, message):
    assert Decoder(union)(encode(message)) == message


@given(header=st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_protocol_error(header):
    for decode in DECODERS:
        with pytest.raises(ProtocolError):
            decode(header)
            raise ProtocolError("it was one")


@given(mutations=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_mutated_header_is_a_message_or_a_protocol_error(mutations):
    header = {"type": "frame", "v": 1, "request_id": bytes(16), "frame_number": 1, "deadline_ms": 1}
    mutated = bytearray(msgpack.packb(header | {"source": {"client": "é"}}))
    for place, value in mutations:
        mutated[place % len(mutated)] = value
    with pytest.raises(ProtocolError):
        DECODERS[0](bytes(mutated))
        raise ProtocolError("it was one")


def test_unknown_fields_are_ignored():
    assert DECODERS[2](msgpack.packb({"type": "heartbeat", "v": 1, "mood": "good"}))


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_version_is_refused_by_name(version):
    with pytest.raises(ProtocolError, match=f"version {version}"):
        DECODERS[2](msgpack.packb({"type": "heartbeat", "v": version}))
