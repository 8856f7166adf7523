"""Messages survive the wire, arrays travel without a copy, and what is not allowed is refused."""

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.messages import ready, result_for
from wire.errors import ProtocolError
from wire.messages import (
    DTYPES,
    ArraySpec,
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
    pack_arrays,
    separate,
    unpack_arrays,
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


ARRAYS = hnp.arrays(
    dtype=st.sampled_from(sorted(DTYPES)), shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)
)


@given(arrays=st.dictionaries(st.text(max_size=10), ARRAYS, max_size=4))
def test_arrays_survive_the_wire(arrays):
    specs, buffers = pack_arrays(arrays)
    back = unpack_arrays(specs, [bytes(buffer) for buffer in buffers])
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


RESULT = result_for(
    Work(request_id=ID, session_id="s", generation=0, epoch=1, continues=True, frame_number=3, deadline_ms=1)
)


@given(arrays=st.dictionaries(st.text(max_size=10), ARRAYS, max_size=4), png=st.sampled_from([[], [b"PNG"]]))
def test_joined_arrays_are_those_that_were_joined(arrays, png):
    specs, buffers = pack_arrays(arrays)
    result = msgspec.structs.replace(RESULT, arrays=specs, joined=True)

    frames = separate(result, [b"".join(buffers), *png])

    assert frames[len(arrays) :] == png
    back = unpack_arrays(specs, frames)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
    "payload", [[], [b"1234567"], [b"123456789"]], ids=["no frame", "too short", "too long"]
)
def test_joined_arrays_that_do_not_fit_their_frame_are_refused(payload):
    result = msgspec.structs.replace(RESULT, arrays=[ArraySpec("a", "float32", (2,))], joined=True)
    with pytest.raises(ProtocolError):
        separate(result, payload)


def test_arrays_are_not_copied():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    specs, buffers = pack_arrays({"a": array})
    array[0, 0] = 7
    assert unpack_arrays(specs, buffers)["a"][0, 0] == 7


@pytest.mark.parametrize("dtype", ["object", "complex64", "datetime64[s]", "U3"])
def test_other_element_types_do_not_travel(dtype):
    with pytest.raises(ValueError, match="do not travel"):
        pack_arrays({"a": np.zeros(2, dtype=dtype)})


@pytest.mark.parametrize(
    ("spec", "frames"),
    [
        pytest.param(ArraySpec("a", "float32", (2,)), [], id="no frame"),
        pytest.param(ArraySpec("a", "float32", (2,)), [b"1234567"], id="too short"),
        pytest.param(ArraySpec("a", "float32", (2,)), [b"123456789"], id="too long"),
        pytest.param(ArraySpec("a", "object", (1,)), [b"12345678"], id="objects"),
        pytest.param(ArraySpec("a", "uint8", (-1, -1)), [b"1"], id="negative"),
        pytest.param(ArraySpec("a", "uint8", (1, 1, 1, 1, 1)), [b"1"], id="five dimensions"),
        pytest.param(ArraySpec("a", "uint8", (2**62, 4)), [b""], id="overflow"),
        pytest.param(ArraySpec("a", "float32", (0, 2**70)), [b""], id="no numbers, beyond all measure"),
    ],
)
def test_arrays_that_do_not_fit_their_frames_are_refused(spec, frames):
    with pytest.raises(ProtocolError):
        unpack_arrays([spec], frames)
