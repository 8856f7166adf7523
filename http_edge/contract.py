"""The bodies of the contract, from a worker's result.

Pure: `People` in, bytes out. Lengths are metres in body-centred camera axes (x right, y down, z away),
rounded to 0.1 mm; pixels are those of the image sent, rounded to 0.01.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from http_edge.formats import JSON, Body, Format
from http_edge.numerals import METRES_DIGITS
from http_edge.results import Array, Meshes, People
from http_edge.topology import Topology
from wire.camera import crop_camera, crop_square, focal_length_px, project
from wire.messages import Person, Result
from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES, SMPL_JOINTS

#: An object under construction; its values are whatever its `Format` can write.
Json = dict[str, Any]
KeypointSet = Literal["coco17", "smpl24"]

_PIXEL_DIGITS = 2
_CAMERA_DIGITS = 6  # a camera multiplies whatever error it carries by its focal length
_SHARE_DIGITS = 4
_ANGLE_DIGITS = 2

NOBODY = "no person seen: none in view, and none to predict from earlier frames"


@dataclass(frozen=True, slots=True)
class Style:
    """What of the people is told, and how. faces: whether triangles come with the primary person's mesh."""

    keypoints: KeypointSet = "coco17"
    meshes: Meshes = "primary"
    faces: bool = True
    form: Format = JSON


def answer(people: People, *, topology: Topology, style: Style, elapsed_ms: float) -> Body:
    """The body of a 200. Raises `ValueError` where a number is not finite."""
    result = people.result
    rows = _rows(people, style)
    fields: Json = {
        "frame_number": result.frame_number,
        "frame_width": result.width_px,
        "frame_height": result.height_px,
        **_primary(people, rows, style),
        "processing_time_ms": _number(elapsed_ms, 2),
        "model_version": result.model_version,
        "tracking": _tracking(result),
        "notes": [{"code": note.code, "message": note.message} for note in result.notes],
        "people": [_compact(people, index, row, style) for index, row in enumerate(rows)],
        "error": NOBODY if result.primary is None else None,
    }
    if people.png is not None:
        fields["visualization"] = style.form.picture(people.png)
    shows_faces = style.faces and style.meshes != "none" and result.primary is not None
    return style.form.answer(fields, topology if shows_faces else None)


def refusal(*, code: str, message: str, frame_number: int | None, form: Format = JSON) -> bytes:
    """The body of every error."""
    return form.body({"error": message, "code": code, "frame_number": frame_number})


def _primary(people: People, rows: Sequence["_Row"], style: Style) -> Json:
    """The flat fields, which speak of the primary person alone."""
    result, arrays = people.result, people.arrays
    if result.primary is None:
        return _no_primary(result)
    row, own = result.primary, rows[result.primary]
    width, height = result.width_px, result.height_px
    translation = arrays["translation"][row].astype(np.float64)
    center, size = crop_square(arrays["boxes"][row])
    scale, tx, ty = crop_camera(translation, box_center=center, box_size=size, width=width, height=height)
    full_tx, full_ty, full_tz = own.translation
    return {
        "keypoints": own.keypoints,
        "keypoint_count": len(own.keypoints),
        "has_3d": True,
        "joints_3d_raw": own.joints,
        "joint_angles_3d": own.angles,
        **_mesh(arrays, row, style),
        "camera_translation": own.translation,
        "camera_params": {
            "scale": _number(scale, _CAMERA_DIGITS),
            "tx": _number(tx, _CAMERA_DIGITS),
            "ty": _number(ty, _CAMERA_DIGITS),
            "type": "weak_perspective",
        },
        "camera_full": {
            "tx": full_tx,
            "ty": full_ty,
            "tz": full_tz,
            "focal_length": focal_length_px(width, height),
            "img_width": width,
            "img_height": height,
            "type": "perspective",
        },
        "detection": {
            "box_center": [_number(value, _PIXEL_DIGITS) for value in center],
            "box_size": _number(size, _PIXEL_DIGITS),
            "num_persons_detected": result.num_persons_detected,
        },
        "tracking_confidence": _number(result.people[row].confidence, _SHARE_DIGITS),
    }


def _mesh(arrays: Mapping[str, Array], row: int, style: Style) -> Json:
    if style.meshes == "none":
        return {"mesh_vertices": 0, "mesh_vertices_data": []}
    vertices = arrays["vertices"][row if style.meshes == "everyone" else 0]
    return {"mesh_vertices": len(vertices), "mesh_vertices_data": style.form.vertices(vertices)}


def _no_primary(result: Result) -> Json:
    """The flat fields of a frame with nobody to show: present, and empty."""
    return {
        "keypoints": [],
        "keypoint_count": 0,
        "has_3d": False,
        "joints_3d_raw": [],
        "joint_angles_3d": {},
        "mesh_vertices": 0,
        "mesh_vertices_data": [],
        "camera_translation": None,
        "camera_params": None,
        "camera_full": None,
        "detection": {
            "box_center": None,
            "box_size": None,
            "num_persons_detected": result.num_persons_detected,
        },
        "tracking_confidence": 0.0,
    }


def _tracking(result: Result) -> Json:
    person: Person | None = None if result.primary is None else result.people[result.primary]
    return {
        "session_id": result.session_id,
        "track_id": person and person.track_id,
        "state": person and person.state,
        "tentative": person and person.tentative,
        "frames_since_detected": person and person.frames_since_detected,
        "expected_error_mm": _error(person.expected_error_mm if person else None),
        "expected_error_px": _error(person.expected_error_px if person else None),
        "contradictions": person.contradictions if person else {},
        "history": result.history,
        "frames_skipped": result.skipped,
        "frames_expired": result.expired,
        "num_tracks": result.num_tracks,
        "observer": result.observer,
        "tracker": result.tracker,
    }


def _compact(people: People, index: int, row: "_Row", style: Style) -> Json:
    """One person among all; with the mesh only where it was asked for."""
    person = people.result.people[index]
    body: Json = {
        "track_id": person.track_id,
        "state": person.state,
        "tentative": person.tentative,
        "frames_since_detected": person.frames_since_detected,
        "contradictions": person.contradictions,
        "box_index": person.box_index,
        "tracking_confidence": _number(person.confidence, _SHARE_DIGITS),
        "expected_error_mm": _error(person.expected_error_mm),
        "expected_error_px": _error(person.expected_error_px),
        "bbox": row.box,
        "keypoints": row.keypoints,
        "joints_3d_raw": row.joints,
        "joint_angles_3d": row.angles,
        "camera_translation": row.translation,
        "smpl": {
            "betas": row.betas,
            "global_orient": row.rotations[:1],
            "body_pose": row.rotations[1:],
        },
    }
    if style.meshes == "everyone":
        body["mesh_vertices_data"] = style.form.vertices(people.arrays["vertices"][index])
    return body


class _Row(NamedTuple):
    """One person's numbers as they are written, wherever they stand; `Any` is what the `Format` writes."""

    keypoints: list[Json]
    joints: Any
    angles: dict[str, float]
    translation: list[float]
    box: Any
    betas: Any
    rotations: Any


def _rows(people: People, style: Style) -> list[_Row]:
    """Everybody's numbers: an array at a time, as many small ones take several times as long."""
    arrays, numbers = people.arrays, style.form.numbers
    angles = _listed(arrays["angles"], _ANGLE_DIGITS)
    written = zip(
        _keypoints(people, style.keypoints),
        numbers(arrays["joints"], METRES_DIGITS),
        [dict(zip(JOINT_ANGLES, row, strict=True)) for row in angles],
        _listed(arrays["translation"], _CAMERA_DIGITS),
        numbers(arrays["boxes"], _PIXEL_DIGITS),
        numbers(arrays["betas"], _SHARE_DIGITS),
        numbers(arrays["rotations"], _CAMERA_DIGITS),
        strict=True,
    )
    return [_Row(*row) for row in written]


def _keypoints(people: People, keypoints: KeypointSet) -> list[list[Json]]:
    """Those of each person."""
    result, arrays = people.result, people.arrays
    if keypoints == "coco17":
        names: Sequence[str] = COCO_KEYPOINTS
        points = arrays["keypoints"]
        pixels, confidence = arrays["keypoints_2d"], arrays["keypoint_confidence"]
    else:
        names = SMPL_JOINTS
        points = arrays["joints"]
        pixels = project(points, arrays["translation"], result.width_px, result.height_px)
        if not np.isfinite(pixels).all():
            raise ValueError("a number derived from the result is not finite")
        confidence = arrays["joint_confidence"]
    persons = zip(
        _listed(pixels, _PIXEL_DIGITS),
        _listed(points, METRES_DIGITS),
        _listed(confidence, _SHARE_DIGITS),
        strict=True,
    )
    return [
        [
            {"name": name, "x": u, "y": v, "z": z, "x_3d": x, "y_3d": y, "z_3d": z, "confidence": share}
            for name, (u, v), (x, y, z), share in zip(names, *person, strict=True)
        ]
        for person in persons
    ]


def _listed(array: Array, digits: int) -> list[Any]:
    """The same as Python numbers; doubles, because a float32 widened shows all its digits."""
    listed: list[Any] = array.astype(np.float64).round(digits).tolist()
    return listed


def _number(value: float, digits: int) -> float:
    if not math.isfinite(value):
        raise ValueError("a number of the result is not finite")
    return round(float(value), digits)


def _error(value: float | None) -> float | None:
    """An error, mm or pixels; None where it is not said."""
    return None if value is None else _number(value, _PIXEL_DIGITS)
