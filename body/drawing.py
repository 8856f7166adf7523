"""Bodies drawn over a picture on the CPU: the mesh, then the skeleton. Pictures are HWC, uint8, RGB."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from body.model import Array
from body.rasteriser import Index, rasterise
from wire.camera import project
from wire.skeleton import SMPL_JOINTS, SMPL_PARENTS

Image = npt.NDArray[np.uint8]  # (height, width, 3), RGB

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
    draw_skeletons(drawn, figures)
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


def draw_skeletons(image: Image, figures: Sequence[Figure]) -> None:
    """Draw bones and joints of every figure into `image`, the farthest first."""
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
