"""Arrays travel without a copy, and come back only where they fit what was announced."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.messages import result_for
from wire.arrays import DTYPES, pack_arrays, separate, unpack_arrays
from wire.errors import ProtocolError
from wire.messages import ArraySpec, Work

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
    Work(
        request_id=bytes(16),
        session_id="s",
        generation=0,
        epoch=1,
        continues=True,
        frame_number=3,
        deadline_ms=1,
    )
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
