"""Answers to frames, as types, for their schemas to be derived from; tests hold every answer to them.

Nothing is encoded with these: `contract` writes answers faster. Lengths are metres in body-centred
camera axes (x right, y down, z away), pixels are those of the picture sent.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from wire.messages import FrameNumber, History, Note, PersonState
from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES, SMPL_JOINTS

Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]

Pair = Annotated[list[float], Meta(min_length=2, max_length=2)]
Vector = Annotated[list[float], Meta(min_length=3, max_length=3)]
Corners = Annotated[list[float], Meta(min_length=4, max_length=4, description="x0 y0 x1 y1, pixels")]
Matrix = Annotated[list[Vector], Meta(min_length=3, max_length=3, description="a rotation, row by row")]
Betas = Annotated[list[float], Meta(min_length=10, max_length=10)]

Vertices = Annotated[list[Vector], Meta(min_length=6890, max_length=6890)]
Index = Annotated[int, Meta(ge=0, lt=6890)]
Triangle = Annotated[list[Index], Meta(min_length=3, max_length=3)]
Triangles = Annotated[list[Triangle], Meta(min_length=13776, max_length=13776)]
Joints = Annotated[list[Vector], Meta(min_length=24, max_length=24, description="the SMPL joints")]
PointCount = Literal[17, 24]
Nothing = Annotated[list[Any], Meta(max_length=0)]
Empty = Annotated[dict[str, Any], Meta(max_length=0)]

_KEYPOINT_NAMES: list[str] = [*dict.fromkeys(COCO_KEYPOINTS + SMPL_JOINTS)]
KeypointName = Annotated[str, Meta(extra_json_schema={"enum": _KEYPOINT_NAMES})]
Angles = Annotated[
    dict[str, Annotated[float, Meta(ge=0, le=180)]],
    Meta(
        description="degrees at the middle joint; 180 is straight",
        extra_json_schema={"required": [*JOINT_ANGLES], "propertyNames": {"enum": [*JOINT_ANGLES]}},
    ),
]
Contradictions = Annotated[
    dict[str, Count], Meta(description="parts of the body observed as they cannot be, by what was wrong")
]
ExpectedError = Annotated[float, Meta(ge=0)] | None


class Refusal(Struct, kw_only=True):
    """What every error says. frame_number: of the frame that was refused, as far as it is known."""

    error: str
    code: str
    frame_number: FrameNumber | None


class Keypoint(Struct, kw_only=True):
    """x, y: pixels; z = z_3d."""

    name: KeypointName
    x: float
    y: float
    z: float
    x_3d: float
    y_3d: float
    z_3d: float
    confidence: Share


Keypoints = Annotated[
    list[Keypoint],
    Meta(min_length=17, max_length=24, description="17, or 24: always the same ones in the same order"),
]


class CropCamera(Struct, kw_only=True):
    """The camera of the square around the person."""

    scale: float
    tx: float
    ty: float
    type: Literal["weak_perspective"]


class FullCamera(Struct, kw_only=True):
    """The camera of the whole picture: pixel = focal_length (X + tx) / (Z + tz) + width / 2, likewise y."""

    tx: float
    ty: float
    tz: float
    focal_length: float
    img_width: int
    img_height: int
    type: Literal["perspective"]


class Detection(Struct, kw_only=True):
    """The square around the primary person, pixels; null where there is none."""

    box_center: Pair | None
    box_size: float | None
    num_persons_detected: Count


class Tracking(Struct, kw_only=True):
    """The session of this frame, and the primary person's track in it; null where nobody is shown."""

    session_id: str
    track_id: int | None
    state: PersonState | None
    tentative: bool | None
    frames_since_detected: Count | None
    expected_error_mm: ExpectedError
    expected_error_px: ExpectedError
    contradictions: Contradictions
    history: History
    frames_skipped: Count
    frames_expired: Count
    num_tracks: Count
    observer: str
    tracker: str


class Smpl(Struct, kw_only=True):
    """Shape and pose of the body."""

    betas: Betas
    global_orient: Annotated[list[Matrix], Meta(min_length=1, max_length=1)]
    body_pose: Annotated[list[Matrix], Meta(min_length=23, max_length=23)]


class SeenPerson(Struct, kw_only=True):
    """One of the people in a frame.

    box_index: which of the request's `boxes` showed the person, counted from 0; null where none did.
    mesh_vertices_data: only with `people=full`.
    """

    track_id: int
    state: PersonState
    tentative: bool
    frames_since_detected: Count
    contradictions: Contradictions
    box_index: Count | None
    tracking_confidence: Share
    expected_error_mm: ExpectedError
    expected_error_px: ExpectedError
    bbox: Corners
    keypoints: Keypoints
    joints_3d_raw: Joints
    joint_angles_3d: Angles
    camera_translation: Vector
    smpl: Smpl
    mesh_vertices_data: Vertices | UnsetType = UNSET


class Frame(Struct, kw_only=True):
    """What every answer to a frame says, whoever is in it."""

    frame_number: FrameNumber
    frame_width: Annotated[int, Meta(gt=0)]
    frame_height: Annotated[int, Meta(gt=0)]
    detection: Detection
    tracking_confidence: Share
    processing_time_ms: Annotated[float, Meta(ge=0)]
    model_version: str
    tracking: Tracking
    notes: list[Note]
    people: list[SeenPerson]
    visualization: (
        Annotated[str, Meta(pattern="^data:image/png;base64,", description="with `visualize`")] | UnsetType
    ) = UNSET


class _Posed(Frame, kw_only=True):
    """The flat fields speak of the primary person, who stays the same."""

    keypoints: Keypoints
    keypoint_count: PointCount
    has_3d: Literal[True]
    joints_3d_raw: Joints
    joint_angles_3d: Angles
    camera_translation: Vector
    camera_params: CropCamera
    camera_full: FullCamera
    error: None


class Pose(_Posed, kw_only=True):
    """The people of a frame. The flat fields speak of the primary person, who stays the same."""

    mesh_vertices: Literal[6890]
    mesh_vertices_data: Vertices
    mesh_faces_data: Triangles


class PoseWithoutFaces(_Posed, kw_only=True):
    """The same with `faces=none`."""

    mesh_vertices: Literal[6890]
    mesh_vertices_data: Vertices
    mesh_faces_data: Nothing


class PoseWithoutMesh(_Posed, kw_only=True):
    """The same with `mesh=none`."""

    mesh_vertices: Literal[0]
    mesh_vertices_data: Nothing
    mesh_faces_data: Nothing


class Nobody(Frame, kw_only=True):
    """Nobody was seen in the frame or before it; `error` says so."""

    keypoints: Nothing
    keypoint_count: Literal[0]
    has_3d: Literal[False]
    joints_3d_raw: Nothing
    joint_angles_3d: Empty
    mesh_vertices: Literal[0]
    mesh_vertices_data: Nothing
    mesh_faces_data: Nothing
    camera_translation: None
    camera_params: None
    camera_full: None
    error: str
