"""What a session remembers of its people: plain values that travel and are stored.

Nothing here changes once made: every step of the fold makes new values. Numbers are float64, so
that a session which goes on from stored bytes is bit-identical to one that never stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

StateT = TypeVar("StateT")

Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.void]  # (M,) of `MARK`
Quaternions = npt.NDArray[np.int16]  # (..., 4) x y z w, see `past`

#: Written into the bytes; bytes of any other version are refused.
STATE_VERSION: Final = 6

#: How one person was seen in one picture, in few bytes: there is one for each of the pictures remembered.
#: Rotation vectors are in steps of `marks.TURN` and `marks.SPIN`; the rest is as in `TrackState`.
MARK: Final = np.dtype(
    [
        ("turn", "<u4"),  # of the picture
        ("track_id", "<u4"),
        ("known", "<u2"),
        ("doubts", "<u2"),
        ("turns", "<i2", (24, 3)),
        ("spin", "i1", (24, 3)),
        ("spin_surprise", "i1", (24, 3)),
        ("place", "<f4", (3,)),
        ("drift", "<f4", (3,)),
        ("drift_surprise", "<f4", (3,)),
        ("seen_box", "<f4", (4,)),
    ]
)


class UnreadableState(ValueError):
    """The bytes are not a session state of this version."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackState:
    """One person through time. Frame counts are true frames: one that was stepped over counts.

    Places and boxes are `location`'s: the same for every picture size.
    """

    track_id: int
    hits: int  # observations, ever
    unseen: int  # frames since the last observation; 0: observed in the latest frame
    doubts: int  # observations in a row that the motion could not explain
    known: int  # observations since its motion began anew, that one included
    detected: bool  # the last observation needed no help of the tracker
    trust: float  # confidence of the last observation, were it exact, 0..1
    innovation: Floats  # (2,) running mean of how far the person is from where expected, see `innovation`
    turns: Floats  # (24, 3, 3) smoothed, joint axes to camera axes
    spin: Floats  # (24, 3) rotation vector per frame, in each joint's own axes
    spin_surprise: Floats  # (24, 3) running mean of what the motion did not explain
    place: Floats  # (3,) smoothed
    drift: Floats  # (3,) per frame
    drift_surprise: Floats  # (3,)
    betas: Floats  # (10,) shape
    appearance: Floats  # (P, 3) mean colours of the body's patches
    patch_weight: Floats  # (P,) how much each colour has been seen
    visibility: Floats  # (24,) smoothed
    seen_place: Floats  # (3,) place when last observed
    seen_box: Floats  # (4,) box when last observed, `location.normalised_box`
    lasting: bool  # in view when the picture jumped: elsewhere, to be unseen says little
    contradicted: Floats  # (6,) observations in a row that contradicted each of `contradictions.PARTS`
    past_turns: Quaternions  # (N, 24, 4) as measured, frame by frame up to the last observation
    past_places: Floats  # (N, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Pictures that were seen, in the order in which they came, and their distances, see `recall`."""

    pictures: npt.NDArray[np.uint8]  # (N, P) cells
    turns: npt.NDArray[np.uint32]  # (N,) frames folded before it
    runs: npt.NDArray[np.uint32]  # (N,) pictures of one run came without a jump between them
    nearest: npt.NDArray[np.float32]  # (N,) how far the nearest other one is
    steps: npt.NDArray[np.float32]  # (S,) how far each of the latest was from the nearest before it


@dataclass(frozen=True, slots=True, eq=False)
class SessionState:
    """One session: its tracks, by rising id, and what it needs to go on."""

    tracks: tuple[TrackState, ...]
    asleep: tuple[TrackState, ...]  # not followed any more, but known again by their looks, see `sleep`
    next_track_id: int
    primary_id: int | None
    primary_named: bool  # the caller named the primary person
    last_frame: int | None  # None: no frame yet
    last_ms: float | None  # see `pace.Pace`, as is `frame_ms`
    frame_ms: Floats  # (N,)
    turn: int  # frames folded
    memory: Memory
    marks: Marks  # of the people in the pictures remembered, in their order
    continuous: bool  # the latest step was one of continuous motion
    steadiness: float  # 0: the pictures jump all the time; 1: they are one continuous motion

    def to_bytes(self) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode(
            [
                STATE_VERSION,
                _plain(self),
                [_plain(track) for track in self.tracks],
                [_plain(track) for track in self.asleep],
                _plain(self.memory),
            ]
        )

    @staticmethod
    def from_bytes(stored: bytes) -> "SessionState":
        """The state that `to_bytes` wrote. Raises `UnreadableState`."""

        def read(session: Any, tracks: Any, asleep: Any, memory: Any) -> SessionState:
            return SessionState(
                tracks=tuple(TrackState(**_arrays(track)) for track in tracks),
                asleep=tuple(TrackState(**_arrays(track)) for track in asleep),
                memory=Memory(**_arrays(memory)),
                **_arrays(session),
            )

        return unpacked(stored, version=STATE_VERSION, read=read)


def unpacked(stored: bytes, *, version: int, read: Callable[..., StateT]) -> StateT:
    """The state that `read` makes of the values stored behind its version. Raises `UnreadableState`."""
    try:
        found, *parts = msgspec.msgpack.decode(stored)
        if found != version:
            raise UnreadableState(f"session state of version {found}, this program reads {version}")
        return read(*parts)
    except (msgspec.DecodeError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, UnreadableState):
            raise
        raise UnreadableState(f"not a session state: {error}") from None


#: Arrays are written as one of these, by its place, shape and bytes.
_TYPES: Final = [np.dtype("<f8"), np.dtype("<f4"), np.dtype("<u4"), np.dtype("u1"), MARK, np.dtype("<i2")]


def _plain(value: SessionState | TrackState | Memory) -> dict[str, Any]:
    """Fields by name; `Any` because MessagePack values are of many types."""
    named = {field.name: getattr(value, field.name) for field in fields(value)}
    return {
        name: [_TYPES.index(field.dtype), field.shape, field.tobytes()]
        if isinstance(field, np.ndarray)
        else field
        for name, field in named.items()
        if name not in ("tracks", "asleep", "memory")
    }


def _arrays(named: dict[str, Any]) -> dict[str, Any]:
    return {
        name: np.frombuffer(field[2], dtype=_TYPES[field[0]]).reshape(field[1])
        if isinstance(field, list)
        else field
        for name, field in named.items()
    }
