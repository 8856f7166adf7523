"""A frame with a person in it, made here: a worker that finds nobody in it must not serve."""

import numpy as np

from body.drawing import Figure, overlay
from body.model import Body
from wire.camera import focal_length_px
from wire.messages import Options
from wire.skeleton import SMPL_JOINTS
from workers import png
from workers.geometry import rotation_from_vector
from workers.pipeline import Folded, FrameInput, Pipeline
from workers.tracker import StateT

_WIDTH_PX, _HEIGHT_PX = 640, 480
_WALL = 200  # grey
_SHARE = 0.8  # of the picture's height that the person takes
_TALL_M = 1.75
_ARMS_DOWN = 1.2  # radians from level
_LEFT_SHOULDER, _RIGHT_SHOULDER = SMPL_JOINTS.index("left_shoulder"), SMPL_JOINTS.index("right_shoulder")


class SelfTestFailed(Exception):
    """The networks run, but what they say of a known picture is wrong."""


def run(pipeline: Pipeline[StateT], body: Body) -> None:
    """Pass the mannequin through the whole pipeline. Raises `SelfTestFailed` or what the frame met."""
    frame = FrameInput(frame_number=0, encoded=mannequin(body), options=Options())
    (outcome,) = pipeline.fold([(pipeline.start(), frame)])
    if not isinstance(outcome, Folded):
        raise outcome
    answer = outcome.answer
    if answer.primary is None:
        raise SelfTestFailed("nobody was found in a picture of a body")
    if not all(np.isfinite(array).all() for array in answer.arrays.values()):
        raise SelfTestFailed("the pose of a body in a picture is not finite")


def mannequin(body: Body) -> bytes:
    """A PNG of the body standing before a grey wall, facing the camera, its arms hanging."""
    rotations = np.broadcast_to(np.eye(3, dtype=np.float32), (1, 24, 3, 3)).copy()
    rotations[0, 0] = rotation_from_vector(np.array([np.pi, 0, 0]))  # y up to y down, to face the camera
    rotations[0, _LEFT_SHOULDER] = rotation_from_vector(np.array([0, 0, -_ARMS_DOWN]))
    rotations[0, _RIGHT_SHOULDER] = rotation_from_vector(np.array([0, 0, _ARMS_DOWN]))
    mesh = body.mesh(rotations, np.zeros((1, 10), dtype=np.float32))
    distance_m = focal_length_px(_WIDTH_PX, _HEIGHT_PX) * _TALL_M / (_SHARE * _HEIGHT_PX)
    middle = (mesh.vertices[0].min(axis=0) + mesh.vertices[0].max(axis=0)) / 2
    translation = np.array([0, 0, distance_m], dtype=np.float32) - middle
    wall = np.full((_HEIGHT_PX, _WIDTH_PX, 3), _WALL, dtype=np.uint8)
    figure = Figure(mesh.vertices[0], mesh.joints[0], translation)
    return png.encoded(overlay(wall, [figure], body.faces))
