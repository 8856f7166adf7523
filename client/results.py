"""What comes back for one frame, as values: no JSON, arrays over the bytes that came."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wire.arrays import unpack_arrays
from wire.errors import ProtocolError
from wire.exchange import Answer
from wire.messages import History, Note, PersonState

Floats = npt.NDArray[np.float32]
Arrays = Mapping[str, npt.NDArray[np.generic]]

_MESH_SHAPE = (6890, 3)

#: Arrays of everyone in a frame -> the shape of one person's.
PERSON_SHAPES = {
    "rotations": (24, 3, 3),
    "betas": (10,),
    "translation": (3,),
    "joints": (24, 3),
    "joint_confidence": (24,),
    "keypoints": (17, 3),
    "keypoints_2d": (17, 2),
    "keypoint_confidence": (17,),
    "angles": (9,),
    "boxes": (4,),
}

#: Arrays of the same kind that say how each person was seen, before smoothing; 0 where nothing is said.
MEASURED_SHAPES = {"measured_turns": (24, 4), "measured_pelvis": (3,)}


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person in one frame. Camera axes: x right, y down, z away from the camera; metres; float32.

    rotations: (24, 3, 3), of the SMPL joints, the whole body's (global_orient) first. betas: (10,).
    translation: (3,), from the body's own origin to the full-image camera, whose focal length is
    5000/256 max(w, h) pixels. joints: (24, 3), joint_confidence: (24,). keypoints: (17, 3), COCO,
    keypoints_2d: (17, 2), pixels of the picture upright, keypoint_confidence: (17,). angles: (9,), degrees,
    180 straight, order of `wire.skeleton.JOINT_ANGLES`. box: (4,), x0 y0 x1 y1, pixels.
    vertices: (6890, 3), or None: it was not sent. Arrays are read-only.
    """

    track_id: int
    state: PersonState
    frames_since_detected: int
    confidence: float
    expected_error_mm: float | None
    expected_error_px: float | None
    tentative: bool
    rotations: Floats
    betas: Floats
    translation: Floats
    joints: Floats
    joint_confidence: Floats
    keypoints: Floats
    keypoints_2d: Floats
    keypoint_confidence: Floats
    angles: Floats
    box: Floats
    vertices: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """One frame. primary: the person to show, one of `people`, or None: nobody.

    history: whether the video's past is known (`complete`, `restored`, `cold`). skipped: frames of the
    video that time went on without, so far.
    """

    frame_number: int
    width_px: int
    height_px: int
    people: tuple[Person, ...]
    primary: Person | None
    session_id: str
    history: History
    skipped: int
    model_version: str
    stages_ms: Mapping[str, float]
    notes: tuple[Note, ...]


def of_answer(answer: Answer) -> FrameResult:
    """The values of an answer; arrays share its memory. Raises `ProtocolError` where they do not fit."""
    result = answer.result
    came = unpack_arrays(result.arrays, answer.payload)
    arrays = _people_arrays(came, len(result.people))
    meshes = _meshes(came, people=len(result.people), primary=result.primary)
    people = tuple(
        Person(
            track_id=person.track_id,
            state=person.state,
            frames_since_detected=person.frames_since_detected,
            confidence=person.confidence,
            expected_error_mm=person.expected_error_mm,
            expected_error_px=person.expected_error_px,
            tentative=person.tentative,
            rotations=arrays["rotations"][row],
            betas=arrays["betas"][row],
            translation=arrays["translation"][row],
            joints=arrays["joints"][row],
            joint_confidence=arrays["joint_confidence"][row],
            keypoints=arrays["keypoints"][row],
            keypoints_2d=arrays["keypoints_2d"][row],
            keypoint_confidence=arrays["keypoint_confidence"][row],
            angles=arrays["angles"][row],
            box=arrays["boxes"][row],
            vertices=meshes[row],
        )
        for row, person in enumerate(result.people)
    )
    return FrameResult(
        frame_number=result.frame_number,
        width_px=result.width_px,
        height_px=result.height_px,
        people=people,
        primary=None if result.primary is None else people[result.primary],
        session_id=result.session_id,
        history=result.history,
        skipped=result.skipped,
        model_version=result.model_version,
        stages_ms=result.stages_ms,
        notes=tuple(result.notes),
    )


def recorded_arrays(answer: Answer) -> dict[str, Floats]:
    """The arrays of `PERSON_SHAPES` and of `MEASURED_SHAPES`, each with a row for each person.

    The latter are all 0 where the service does not send them. Raises `ProtocolError`.
    """
    came = unpack_arrays(answer.result.arrays, answer.payload)
    count = len(answer.result.people)
    return _people_arrays(came, count) | _measured_arrays(came, count)


def _people_arrays(came: Arrays, count: int) -> dict[str, Floats]:
    if not count:
        return _zeros(PERSON_SHAPES, 0)
    found = _fitting(came, PERSON_SHAPES, count)
    if missing := [name for name in PERSON_SHAPES if name not in found]:
        raise ProtocolError(f"the answer has no array {missing[0]!r} of {count} people")
    return found


def _measured_arrays(came: Arrays, count: int) -> dict[str, Floats]:
    return _zeros(MEASURED_SHAPES, count) | _fitting(came, MEASURED_SHAPES, count)


def _fitting(came: Arrays, shapes: Mapping[str, tuple[int, ...]], count: int) -> dict[str, Floats]:
    """Those of the arrays that have a row of their shape for each person."""
    return {
        name: came[name].astype(np.float32, copy=False)
        for name, shape in shapes.items()
        if name in came and came[name].shape == (count, *shape) and came[name].dtype == np.float32
    }


def _zeros(shapes: Mapping[str, tuple[int, ...]], count: int) -> dict[str, Floats]:
    return {name: np.zeros((count, *shape), np.float32) for name, shape in shapes.items()}


def _meshes(came: Arrays, *, people: int, primary: int | None) -> list[Floats | None]:
    """The mesh of each person: everyone's came, the primary person's, or nobody's."""
    meshes: list[Floats | None] = [None] * people
    vertices = came.get("vertices")
    if vertices is None or vertices.shape[1:] != _MESH_SHAPE:
        return meshes
    sent = list(vertices.astype(np.float32, copy=False))
    if len(sent) == people:
        return [*sent]
    if sent and primary is not None:
        meshes[primary] = sent[0]
    return meshes
