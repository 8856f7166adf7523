"""What a session remembers of its people: plain values that travel and are stored.

Nothing here changes once made: every step of the fold makes new values. Numbers are float64, so
that a session which goes on from stored bytes is bit-identical to one that never stopped.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Written into the bytes; bytes of any other version are refused.
STATE_VERSION: Final = 2


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
    trust: float  # confidence of the last observation, 0..1
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


@dataclass(frozen=True, slots=True, eq=False)
class SessionState:
    """One session: its tracks, by rising id, and what it needs to go on."""

    tracks: tuple[TrackState, ...]
    next_track_id: int
    primary_id: int | None
    last_frame: int | None  # None: no frame yet
    turn: int  # frames folded
    continuous: bool  # the latest step was one of continuous motion
    steadiness: float  # 0: the pictures jump all the time; 1: they are one continuous motion

    def to_bytes(self) -> bytes:
        """The state as MessagePack."""
        return msgspec.msgpack.encode([STATE_VERSION, _plain(self), [_plain(track) for track in self.tracks]])

    @staticmethod
    def from_bytes(stored: bytes) -> "SessionState":
        """The state that `to_bytes` wrote. Raises `UnreadableState`."""
        try:
            version, session, tracks = msgspec.msgpack.decode(stored)
            if version != STATE_VERSION:
                raise UnreadableState(
                    f"session state of version {version}, this program reads {STATE_VERSION}"
                )
            return SessionState(tracks=tuple(TrackState(**_arrays(track)) for track in tracks), **session)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            if isinstance(error, UnreadableState):
                raise
            raise UnreadableState(f"not a session state: {error}") from None


def _plain(value: SessionState | TrackState) -> dict[str, Any]:
    """Fields by name; arrays as shape and bytes; `Any` because MessagePack values are of many types."""
    named = {field.name: getattr(value, field.name) for field in fields(value) if field.name != "tracks"}
    return {
        name: [field.shape, field.astype("<f8").tobytes()] if isinstance(field, np.ndarray) else field
        for name, field in named.items()
    }


def _arrays(named: dict[str, Any]) -> dict[str, Any]:
    return {
        name: np.frombuffer(field[1], dtype="<f8").reshape(field[0]) if isinstance(field, list) else field
        for name, field in named.items()
    }
