"""What PHALP remembers of a session's people: plain values that travel and are stored.

Nothing here changes once made. Numbers are as precise as they need to be and no more, in memory as in
bytes, so that a session which goes on from stored bytes is bit-identical to one that never stopped.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from workers.phalp.learned.pose import POSE_NUMBERS
from workers.phalp.state import Memory, unpacked
from workers.texture import Texture
from workers.thumbnail import SIDE

Floats = npt.NDArray[np.floating]

#: Written into the bytes; bytes of any other version are refused.
STATE_VERSION: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class TrackState:
    """One person through time. The last seven observations, the oldest first, repeated while there are fewer.

    Times are frames of the session, places as in `location`, poses as `pose.pose_vector`
    has them. What is expected is meant for the frame that the session's state names.
    """

    track_id: int
    hits: int  # observations, ever
    times: npt.NDArray[np.int64]  # (7,)
    poses: npt.NDArray[np.float32]  # (7, 229)
    places: npt.NDArray[np.float32]  # (7, 3)
    texture: Texture  # mixed of all observations
    expected_pose: npt.NDArray[np.float32]  # (229,)
    expected_place: npt.NDArray[np.float32]  # (3,)
    expected_doubt: npt.NDArray[np.float32]  # (3,)
    box: npt.NDArray[np.float32]  # (4,) of the last observation, as `workers.phalp.location.normalised_box`
    visibility: npt.NDArray[np.float32]  # (24,) of the last observation's joints
    score: float  # of the last observation
    detected: bool  # the last observation needed no help of the tracker
    placed: bool  # seen since the latest cut: before one, a place is that of another picture


@dataclass(frozen=True, slots=True, eq=False)
class SessionState:
    """One session: its tracks in the order in which they began, and what it needs to go on."""

    tracks: tuple[TrackState, ...]
    next_track_id: int
    primary_id: int | None
    time: int  # of the last frame, counted by true frames from the session's first
    step: int  # frames between the last two frames; what is expected is for so many frames later
    last_frame: int | None  # number of the last frame; None: no frame yet
    last_ms: float | None  # see `workers.phalp.pace.Pace`, as is `frame_ms`
    frame_ms: npt.NDArray[np.float64]  # (N,)
    turn: int  # frames folded
    memory: Memory  # of pictures, by which cuts are found

    def to_bytes(self) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode(
            [STATE_VERSION, _plain(self), [_plain(track) for track in self.tracks], _plain(self.memory)]
        )

    @staticmethod
    def from_bytes(stored: bytes) -> "SessionState":
        """The state that `to_bytes` wrote. Raises `UnreadableState`."""

        def read(session: Any, tracks: Any, memory: Any) -> SessionState:
            return SessionState(
                tracks=tuple(_track(track) for track in tracks),
                memory=Memory(**_arrays(memory)),
                **_arrays(session),
            )

        return unpacked(stored, version=STATE_VERSION, read=read)


#: Arrays are written as their bytes; what a field's numbers are, and how many to a row.
_ARRAYS: Final = {
    "times": ("<i8", (-1,)),
    "frame_ms": ("<f8", (-1,)),
    "poses": ("<f4", (-1, POSE_NUMBERS)),
    "places": ("<f4", (-1, 3)),
    "expected_pose": ("<f4", (-1,)),
    "expected_place": ("<f4", (-1,)),
    "expected_doubt": ("<f4", (-1,)),
    "box": ("<f4", (-1,)),
    "visibility": ("<f4", (-1,)),
    "seen": ("u1", (-1,)),
    "colours": ("<i2", (3, -1)),
    "pictures": ("u1", (-1, SIDE * SIDE)),
    "turns": ("<u4", (-1,)),
    "runs": ("<u4", (-1,)),
    "nearest": ("<f4", (-1,)),
    "steps": ("<f4", (-1,)),
}


def _plain(value: SessionState | TrackState | Texture | Memory) -> dict[str, Any]:
    """Fields by name; `Any` because MessagePack values are of many types."""
    named = {field.name: getattr(value, field.name) for field in fields(value)}
    return {
        name: _plain(field)
        if isinstance(field, Texture)
        else field.astype(_ARRAYS[name][0], copy=False).tobytes()
        if isinstance(field, np.ndarray)
        else field
        for name, field in named.items()
        if name not in ("tracks", "memory")
    }


def _track(named: dict[str, Any]) -> TrackState:
    texture = Texture(**_arrays(named.pop("texture")))
    return TrackState(texture=texture, **_arrays(named))


def _arrays(named: dict[str, Any]) -> dict[str, Any]:
    return {
        name: np.frombuffer(field, _ARRAYS[name][0]).reshape(_ARRAYS[name][1])
        if isinstance(field, bytes)
        else field
        for name, field in named.items()
    }
