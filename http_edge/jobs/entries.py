"""One entry of a video's result: the people of one frame, as `/pose/video` tells of them.

Lengths are metres in body-centred camera axes, pixels those of the frame as it is shown.
"""

from collections.abc import Sequence

import numpy as np
import orjson

from http_edge import results
from http_edge.contract import Json, KeypointSet
from http_edge.numerals import vertices_json
from http_edge.results import Array, People
from http_edge.topology import Topology
from wire.camera import project
from wire.errors import Internal, PoseError
from wire.messages import Buffer, Result

_METRES_DIGITS = 4
_PIXEL_DIGITS = 2
_CAMERA_DIGITS = 6
_SHARE_DIGITS = 4
_SECONDS_DIGITS = 6


def entry(
    result: Result,
    payload: Sequence[Buffer],
    *,
    number: int,
    time_s: float,
    topology: Topology,
    keypoints: KeypointSet,
    meshes: bool,
) -> bytes:
    """The entry as JSON on one line. Raises `Internal` where the result is not whole."""
    try:
        people = results.read(result, payload, topology=topology, meshes="everyone" if meshes else "none")
    except ValueError as error:
        raise Internal(f"the worker's answer is broken: {error}") from error
    persons = [_person(people, row, keypoints, meshes=meshes) for row in range(len(result.people))]
    return _line({**_frame(number, time_s), "persons": persons})


def failed_entry(error: PoseError, *, number: int, time_s: float) -> bytes:
    """The entry of a frame that failed by its own fault: nobody, and why."""
    reason = {"code": error.code, "message": error.message}
    return _line({**_frame(number, time_s), "persons": [], "error": reason})


def _frame(number: int, time_s: float) -> Json:
    return {"frame_number": number, "timestamp": round(time_s, _SECONDS_DIGITS)}


def _line(body: Json) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _person(people: People, row: int, keypoints: KeypointSet, *, meshes: bool) -> Json:
    arrays, person = people.arrays, people.result.people[row]
    rotations = _rounded(arrays["rotations"][row], _CAMERA_DIGITS)
    points, pixels, confidence = _keypoints(people, row, keypoints)
    tx, ty, tz = (round(float(value), _CAMERA_DIGITS) for value in arrays["translation"][row])
    return {
        "track_id": person.track_id,
        "state": person.state,
        "frames_since_detected": person.frames_since_detected,
        "confidence": round(float(confidence.mean()), _SHARE_DIGITS),
        "tracking_confidence": round(person.confidence, _SHARE_DIGITS),
        "expected_error_mm": _error(person.expected_error_mm),
        "expected_error_px": _error(person.expected_error_px),
        "smpl": {
            "betas": _rounded(arrays["betas"][row], _SHARE_DIGITS),
            "body_pose": rotations[1:],
            "global_orient": rotations[:1],
        },
        "keypoints_3d": _rounded(points, _METRES_DIGITS),
        "keypoints_2d": _rounded(pixels, _PIXEL_DIGITS),
        "camera": {"tx": tx, "ty": ty, "tz": tz},
        "bbox": _rounded(arrays["boxes"][row], _PIXEL_DIGITS),
        "mesh_vertices": vertices_json(arrays["vertices"][row]) if meshes else [],
    }


def _keypoints(people: People, row: int, keypoints: KeypointSet) -> tuple[Array, Array, Array]:
    """Points (K, 3), pixels (K, 2) and confidences (K,) of the chosen set."""
    arrays, result = people.arrays, people.result
    if keypoints == "coco17":
        return arrays["keypoints"][row], arrays["keypoints_2d"][row], arrays["keypoint_confidence"][row]
    joints = arrays["joints"][row]
    pixels = project(joints, arrays["translation"][row], result.width_px, result.height_px)
    return joints, pixels, arrays["joint_confidence"][row]


def _error(value: float | None) -> float | None:
    return None if value is None else round(value, _PIXEL_DIGITS)


def _rounded(array: Array, digits: int) -> Array:
    rounded: Array = np.round(np.ascontiguousarray(array, dtype=np.float32), digits)
    return rounded
