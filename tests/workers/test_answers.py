"""An answer that was stored is the answer that was given."""

from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_worker import body_arrays
from wire.messages import Person
from workers import answers
from workers.pipeline import FrameAnswer


def an_answer(people: int) -> FrameAnswer:
    arrays = body_arrays(people=people, meshes=0)
    del arrays["vertices"]
    return FrameAnswer(
        width_px=1920,
        height_px=1080,
        people=[
            Person(track_id=7 + row, state="recovered", frames_since_detected=row, confidence=0.1 + row / 3)
            for row in range(people)
        ],
        primary=people - 1 if people else None,
        num_persons_detected=people,
        arrays=arrays,
        stages_ms={"decode": 1.25, "observe": 30.1},
        new_shot=people == 1,
    )


@pytest.mark.parametrize("people", [0, 1, 3])
def test_an_answer_comes_back_bit_for_bit(people: int) -> None:
    given_ = an_answer(people)
    if people:
        given_.arrays["joints"][0, 0] = (np.float32(1e-42), -0.0, np.float32(np.pi))

    read = answers.from_bytes(answers.to_bytes(given_))

    assert list(read.arrays) == list(given_.arrays)
    for name, array in given_.arrays.items():
        assert read.arrays[name].tobytes() == array.tobytes()
        assert (read.arrays[name].shape, read.arrays[name].dtype) == (array.shape, array.dtype)
    plain = [name for name in FrameAnswer.__slots__ if name != "arrays"]
    assert [getattr(read, name) for name in plain] == [getattr(given_, name) for name in plain]


def test_an_answer_is_small() -> None:
    one, two = (len(answers.to_bytes(an_answer(people))) for people in (1, 2))

    assert two - one < 2_000
    assert one < 2_500


def test_another_version_is_refused_by_name() -> None:
    stored = msgspec.msgpack.encode((2, ["what will be"]))

    with pytest.raises(answers.UnreadableAnswer, match="version 2"):
        answers.from_bytes(stored)


@given(st.binary(max_size=60))
def test_what_is_no_answer_is_refused_by_name(stored: bytes) -> None:
    with pytest.raises(answers.UnreadableAnswer):
        answers.from_bytes(stored)


@given(st.data())
def test_a_broken_answer_is_refused_by_name_or_read(data: st.DataObject) -> None:
    stored = bytearray(answers.to_bytes(an_answer(1)))
    place = data.draw(st.integers(0, len(stored) - 1))
    stored[place] = data.draw(st.integers(0, 255))
    with suppress(answers.UnreadableAnswer):
        assert isinstance(answers.from_bytes(bytes(stored)), FrameAnswer)
