"""Answers as bytes, to be stored with the state that came with them; the arrays come back bit for bit.

Meshes are not among them: they follow from the rotations and betas.
"""

from typing import Final

import msgspec
import numpy as np
from msgspec import Raw, Struct

from wire.messages import Note, Person
from workers.pipeline import FrameAnswer

#: Written into the bytes; bytes of any other version are refused.
ANSWER_VERSION: Final = 1


class UnreadableAnswer(ValueError):
    """The bytes are not an answer of this version."""


class _Stored(Struct, frozen=True, array_like=True):
    """A `FrameAnswer`; its arrays as name, shape and little-endian float32."""

    width_px: int
    height_px: int
    people: list[Person]
    primary: int | None
    num_persons_detected: int
    arrays: list[tuple[str, tuple[int, ...], bytes]]
    stages_ms: dict[str, float]
    notes: list[Note] = []
    new_shot: bool = False


_FLOAT = np.dtype("<f4")

_decode_envelope = msgspec.msgpack.Decoder(tuple[int, Raw]).decode
_decode = msgspec.msgpack.Decoder(_Stored).decode


def to_bytes(answer: FrameAnswer) -> bytes:
    """The answer as MessagePack."""
    stored = _Stored(
        width_px=answer.width_px,
        height_px=answer.height_px,
        people=answer.people,
        primary=answer.primary,
        num_persons_detected=answer.num_persons_detected,
        arrays=[
            (name, array.shape, array.astype(_FLOAT, copy=False).tobytes())
            for name, array in answer.arrays.items()
        ],
        stages_ms=answer.stages_ms,
        notes=answer.notes,
        new_shot=answer.new_shot,
    )
    return msgspec.msgpack.encode((ANSWER_VERSION, stored))


def from_bytes(stored: bytes) -> FrameAnswer:
    """The answer that `to_bytes` wrote. Raises `UnreadableAnswer`."""
    try:
        version, content = _decode_envelope(stored)
        if version != ANSWER_VERSION:
            raise UnreadableAnswer(f"answer of version {version}, this program reads {ANSWER_VERSION}")
        read = _decode(content)
        return FrameAnswer(
            width_px=read.width_px,
            height_px=read.height_px,
            people=read.people,
            primary=read.primary,
            num_persons_detected=read.num_persons_detected,
            arrays={
                name: np.frombuffer(numbers, dtype=_FLOAT).reshape(shape)
                for name, shape, numbers in read.arrays
            },
            stages_ms=read.stages_ms,
            notes=read.notes,
            new_shot=read.new_shot,
        )
    except (msgspec.MsgspecError, ValueError) as error:
        if isinstance(error, UnreadableAnswer):
            raise
        raise UnreadableAnswer(f"not an answer: {error}") from None
