"""One frame's numbers in bytes of fixed layout, as they are appended to files while a video is worked on.

A frame is a `FRAME` record and as many `PERSON` records as people are in it. Nothing in them depends on when,
by whom or over which connection a frame was answered, so equal bytes are the same answer.
"""

import zlib
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from client.results import MEASURED_SHAPES, PERSON_SHAPES, recorded_arrays
from client.under_way import Outcome
from wire.errors import PoseError

Records = npt.NDArray[np.void]  # `FRAME`, `PERSON` or `FINISHED`
Integers = npt.NDArray[np.integer[Any]]

#: `PersonState` by its number.
STATES = ("detected", "recovered", "predicted")

#: The track id where there is nobody to show.
NOBODY = -1

PERSON = np.dtype(
    [
        ("track_ids", "<i4"),
        ("states", "u1"),
        ("tentative", "?"),
        ("frames_since_detected", "<i4"),
        ("confidence", "<f4"),
        ("expected_error_mm", "<f4"),  # NaN: not said
        ("expected_error_px", "<f4"),
        *((name, "<f4", shape) for name, shape in PERSON_SHAPES.items()),
        *((name, "<f4", shape) for name, shape in MEASURED_SHAPES.items()),
    ]
)

#: A person of a frame in a result file: as answered, and what the second pass says.
FINISHED = np.dtype(
    [
        *((name, *rest) for name, *rest in PERSON.descr if name not in MEASURED_SHAPES),
        ("filled", "?"),
        ("standing", "?", (2,)),  # left foot, right foot
    ]
)

FRAME = np.dtype(
    [
        ("times_s", "<f8"),
        ("sizes_px", "<i4", (2,)),  # width, height
        ("primary_tracks", "<i4"),
        ("people", "<i4"),
        ("errors", "S24"),  # code of the failure; empty: none
        ("new_shots", "?"),  # another shot begins
        ("checksum", "<u4"),  # CRC-32 of the record before it and of its people
    ]
)

_SUMMED = FRAME.fields["checksum"][1] if FRAME.fields else 0


class Record(NamedTuple):
    """A frame as it is written."""

    frame: bytes
    people: bytes


def of_outcome(outcome: Outcome) -> Record:
    """The record of what came of a frame. Raises `ProtocolError` where an answer's arrays do not fit."""
    picture, answer = outcome
    frame = np.zeros((), FRAME)
    frame["times_s"] = np.nan if picture.time_s is None else picture.time_s
    frame["sizes_px"] = picture.width_px, picture.height_px
    frame["primary_tracks"] = NOBODY
    people = np.zeros(0, PERSON)
    if isinstance(answer, PoseError):
        frame["errors"] = answer.code
    else:
        result = answer.result
        people = np.zeros(len(result.people), PERSON)
        frame["sizes_px"] = result.width_px, result.height_px
        frame["people"] = len(people)
        frame["new_shots"] = result.new_shot
        if result.primary is not None:
            frame["primary_tracks"] = result.people[result.primary].track_id
        for row, person in zip(people, result.people, strict=True):
            row["track_ids"], row["states"] = person.track_id, STATES.index(person.state)
            row["tentative"], row["frames_since_detected"] = person.tentative, person.frames_since_detected
            row["confidence"] = person.confidence
            row["expected_error_mm"] = _number(person.expected_error_mm)
            row["expected_error_px"] = _number(person.expected_error_px)
        for name, array in recorded_arrays(answer).items():
            people[name] = array
    frame["checksum"] = checksum(frame.tobytes(), people.tobytes())
    return Record(frame.tobytes(), people.tobytes())


def as_answered(people: Records) -> Records:
    """`PERSON` records (R,) as `FINISHED` ones of which no second pass says anything."""
    finished = np.zeros(len(people), FINISHED)
    for name in (PERSON.names or ())[: -len(MEASURED_SHAPES)]:
        finished[name] = people[name]
    return finished


def states_shown(
    *, primary_tracks: Integers, people: Integers, track_ids: Integers, states: Integers
) -> "Counter[str]":
    """In how many frames the person to show is in which state; the other frames show nobody.

    primary_tracks, people: (F,), of the frames. track_ids, states: (R,), of all people in them, in order.
    """
    shown = states[track_ids == np.repeat(primary_tracks, people)]
    return Counter(dict(zip(STATES, np.bincount(shown, minlength=len(STATES)).tolist(), strict=True)))


def checksum(frame: bytes, people: bytes) -> int:
    """The CRC-32 that a frame's record holds."""
    return zlib.crc32(people, zlib.crc32(frame[:_SUMMED]))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
