"""Bodies drawn over their frame on the CPU: the mesh, then the skeleton. Images are HWC, uint8, RGB."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from wire.camera import project
from wire.skeleton import SMPL_JOINTS, SMPL_PARENTS
from workers import png
from workers.rasteriser import Index, rasterise
from workers.types import Array, Image

log = logging.getLogger(__name__)

MESH_COLOUR = (173, 216, 230)  # light blue
MESH_OPACITY = 0.6
LEFT_COLOUR, RIGHT_COLOUR, MIDDLE_COLOUR = (255, 128, 0), (0, 200, 80), (255, 255, 255)

#: Shade of a surface seen edge-on; one that faces the camera has 1.
AMBIENT = 0.35


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A posed body to draw; metres, camera axes.

    vertices (V, 3) and joints (24, 3), body-centred; translation (3,).
    """

    vertices: Array
    joints: Array
    translation: Array


def overlay(image: Image, figures: Sequence[Figure], faces: Index) -> Image:
    """A copy of `image` with the meshes, the nearer ones in front, and their skeletons over them."""
    drawn = image.copy()
    _draw_meshes(drawn, figures, faces)
    _draw_skeletons(drawn, figures)
    return drawn


def visualization_png(image: Image, figures: Sequence[Figure], faces: Index) -> bytes:
    """PNG of the frame with mesh and skeleton; with less, and a line in the log, where drawing fails."""
    try:
        drawn = overlay(image, figures, faces)
    except Exception:
        log.exception("mesh not drawn, falling back to the skeleton")
        drawn = _skeletons_or_plain(image, figures)
    return png.encoded(drawn)


def _skeletons_or_plain(image: Image, figures: Sequence[Figure]) -> Image:
    drawn = image.copy()
    try:
        _draw_skeletons(drawn, figures)
    except Exception:
        log.exception("skeleton not drawn, falling back to the plain frame")
        return image
    return drawn


def _draw_meshes(image: Image, figures: Sequence[Figure], faces: Index) -> None:
    """Blend all meshes into `image`, within the rectangle that they cover."""
    if not figures:
        return
    height, width = image.shape[:2]
    points = np.concatenate([figure.vertices + figure.translation for figure in figures])  # (P * V, 3)
    pixels = project(points, np.zeros(3, points.dtype), width, height)
    if not np.isfinite(pixels).all():
        raise ValueError("a mesh has no place in the picture")
    count = len(figures[0].vertices)
    all_faces = (faces + np.arange(len(figures))[:, None, None] * count).reshape(-1, 3)
    left, top = np.clip(np.floor(pixels.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(pixels.max(axis=0)) + 1, 0, (width, height)).astype(int)
    if left >= right or top >= bottom:
        return
    shown, shade = _lit_faces(points, all_faces)
    corner = np.array([left, top])
    buffer = rasterise(pixels - corner, points[:, 2], shown, width=right - left, height=bottom - top)
    covered = buffer.face_id >= 0
    region = image[top:bottom, left:right]
    paint = np.rint(MESH_OPACITY * np.outer(shade, MESH_COLOUR)).astype(np.uint8)  # (F, 3)
    dimmed = np.rint((1 - MESH_OPACITY) * np.arange(256)).astype(np.uint8)
    region[covered] = dimmed[region[covered]] + paint[buffer.face_id[covered]]


def _lit_faces(points: Array, faces: Index) -> tuple[Index, Array]:
    """The faces turned to the camera, and their brightness under a lamp at the camera."""
    a, b, c = np.moveaxis(points[faces], 1, 0)
    normals = np.cross(b - a, c - a)
    facing = np.sum(normals * a, axis=1) < 0
    # Normals averaged at the vertices hide the seams between the faces.
    smooth = np.stack(
        [np.bincount(faces.ravel(), np.repeat(normals[:, axis], 3), len(points)) for axis in range(3)], axis=1
    )
    mean = smooth[faces[facing]].sum(axis=1)
    towards = -points[faces[facing, 0]]
    cosine = np.sum(mean * towards, axis=1) / np.maximum(
        np.linalg.norm(mean, axis=1) * np.linalg.norm(towards, axis=1), 1e-12
    )
    return faces[facing], AMBIENT + (1 - AMBIENT) * np.clip(cosine, 0, 1)


def _draw_skeletons(image: Image, figures: Sequence[Figure]) -> None:
    """Draw bones and joints of every figure, the farthest first."""
    height, width = image.shape[:2]
    thickness = max(1, round(max(width, height) / 640))
    for figure in sorted(figures, key=lambda figure: -float(figure.translation[2])):
        pixels = project(figure.joints, figure.translation, width, height)
        if not np.isfinite(pixels).all():
            raise ValueError("a skeleton has no place in the picture")
        # Far outside the picture only the direction matters; OpenCV's integers end at 2^31.
        points = np.rint(np.clip(pixels, -(1 << 20), 1 << 20)).astype(int).tolist()
        for joint, parent in enumerate(SMPL_PARENTS):
            if parent >= 0:
                colour = _colour(SMPL_JOINTS[joint])
                cv2.line(image, points[parent], points[joint], colour, thickness, cv2.LINE_AA)
        for joint, point in enumerate(points):
            cv2.circle(image, point, thickness + 1, _colour(SMPL_JOINTS[joint]), -1, cv2.LINE_AA)


def _colour(joint: str) -> tuple[int, int, int]:
    side = joint.partition("_")[0]
    return {"left": LEFT_COLOUR, "right": RIGHT_COLOUR}.get(side, MIDDLE_COLOUR)
