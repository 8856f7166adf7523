"""What a person looks like in one picture: the mean colour of each patch of the body that is in view.

The patches divide the surface by part of the body and by the side that faces front, back, up, down
or sideways at rest. A fixed sample of faces is posed with the body and projected; a face is
in view where it is turned to the camera, inside the picture, and not behind another part. The
observer's sample is the tracker's evidence; comparing and remembering it is the tracker's.
"""

import numpy as np
import numpy.typing as npt

from body.model import Body
from wire.camera import project
from wire.skeleton import SMPL_JOINTS, SMPL_PARENTS
from workers.types import Array, BodyPose, Image

Index = npt.NDArray[np.int64]

#: Parts of the body: the joints that move them, then the axis that their bone lies along at rest. A
#: part with an axis (0: x, 1: y) has four sides around it; the others are too small to divide.
PARTS: dict[str, tuple[tuple[str, ...], int | None]] = {
    "head": (("neck", "head"), 1),
    "chest": (("spine3", "left_collar", "right_collar"), 1),
    "belly": (("spine1", "spine2"), 1),
    "hips": (("pelvis",), 1),
    "left_upper_arm": (("left_shoulder",), 0),
    "right_upper_arm": (("right_shoulder",), 0),
    "left_forearm": (("left_elbow",), 0),
    "right_forearm": (("right_elbow",), 0),
    "left_hand": (("left_wrist", "left_hand"), None),
    "right_hand": (("right_wrist", "right_hand"), None),
    "left_thigh": (("left_hip",), 1),
    "right_thigh": (("right_hip",), 1),
    "left_shin": (("left_knee",), 1),
    "right_shin": (("right_knee",), 1),
    "left_foot": (("left_ankle", "left_foot"), None),
    "right_foot": (("right_ankle", "right_foot"), None),
}

SAMPLES_PER_PATCH = 16

#: Cosine between a face's normal and the way to the camera from which it is in view. Nearer to the
#: outline a small error of the pose already shows the background.
IN_VIEW_COSINE = 0.3

#: A sample is hidden where another one within a cell of this width is nearer by the clearance.
#: Samples lie some 7 cm apart; the body's own roundness stays below the clearance.
CELL_M = 0.08
CLEARANCE_M = 0.12

#: Mean visibility of a part's joints up to which something else is seen in its place, and from which nothing.
HIDDEN, IN_VIEW = 0.6, 0.85


class Appearance:
    """Samples the colours of one body model's patches; P patches, S samples."""

    def __init__(self, body: Body) -> None:
        """Choose the samples: the same body gives the same ones."""
        patch_of_face, self.patch_count = _patches(body)
        centres = body.template[body.faces].mean(axis=1)
        chosen = [
            members[_spread(centres[members], SAMPLES_PER_PATCH)]
            for patch in range(self.patch_count)
            if len(members := np.flatnonzero(patch_of_face == patch))
        ]
        samples = np.concatenate(chosen)
        vertices, corners = np.unique(body.faces[samples], return_inverse=True)
        self._body = body.restricted_to(vertices)
        self._corners = corners.reshape(-1, 3)  # (S, 3), in the restricted body
        self._patch = patch_of_face[samples]
        self._sizes = np.maximum(np.bincount(self._patch, minlength=self.patch_count), 1)
        self._joint_share = _joint_shares()

    def sample(
        self,
        image: Image,
        pose: BodyPose,
        mask: npt.NDArray[np.bool_] | None = None,
        *,
        visibility: Array | None = None,
    ) -> tuple[Array, Array]:
        """Mean colour (P, 3), 0..1, RGB, of each patch, and the share (P,) of its samples in view.

        mask (height, width): the pixels that show this person, where that is known; no others count.
        visibility (24,): of the joints, 0..1, as far as the observer tells; where a part's joints are out of
        view, somebody or something else is seen in its place.
        """
        height, width = image.shape[:2]
        mesh = self._body.mesh(pose.rotations[None], pose.betas[None])
        corners = mesh.vertices[0, self._corners] + pose.translation  # (S, 3, 3), camera axes
        centres = corners.mean(axis=1)
        facing = np.flatnonzero(_facing(corners, centres))
        pixels = project(centres[facing], np.zeros(3, np.float32), width, height)
        in_view = np.flatnonzero(_unhidden(centres[facing]) & _inside(pixels, width=width, height=height))
        column, row = np.rint(pixels[in_view]).astype(np.int64).T
        if mask is not None:
            shown = mask[row, column]
            in_view, column, row = in_view[shown], column[shown], row[shown]
        colours = image[row, column] / np.float32(255)  # (N, 3)
        patch = self._patch[facing[in_view]]
        counts = np.bincount(patch, minlength=self.patch_count)
        sums = np.stack([np.bincount(patch, channel, self.patch_count) for channel in colours.T], axis=1)
        mean = sums / np.maximum(counts, 1)[:, None]
        shares = counts / self._sizes
        if visibility is not None:
            shares = shares * self.unhidden(visibility)
        return mean.astype(np.float32), shares.astype(np.float32)

    def unhidden(self, visibility: Array) -> Array:
        """How much of each patch (P,) shows the person; visibility (24,) of the joints."""
        return np.clip((self._joint_share @ visibility - HIDDEN) / (IN_VIEW - HIDDEN), 0, 1)


def _joint_shares() -> Array:
    """The share (P, 24) of each joint in the visibility of each patch: those at the ends of its part."""
    rows = []
    for joints, axis in PARTS.values():
        ends = [
            joint in joints or (parent >= 0 and SMPL_JOINTS[parent] in joints)
            for joint, parent in zip(SMPL_JOINTS, SMPL_PARENTS, strict=True)
        ]
        rows += [np.array(ends) / sum(ends)] * (1 if axis is None else 4)
    return np.stack(rows)


def _patches(body: Body) -> tuple[Index, int]:
    """The patch (F,) of every face, and how many patches there are."""
    a, b, c = np.moveaxis(body.template[body.faces], 1, 0)
    normals = np.cross(b - a, c - a)
    parts = np.stack(
        [
            body.weights[:, [SMPL_JOINTS.index(joint) for joint in joints]].sum(axis=1)
            for joints, _ in PARTS.values()
        ],
        axis=1,
    )  # (V, parts)
    part_of_face = np.argmax(parts[body.faces].sum(axis=1), axis=1)
    patch_of_face = np.zeros(len(body.faces), np.int64)
    count = 0
    for part, (_, axis) in enumerate(PARTS.values()):
        members = part_of_face == part
        if axis is None:
            patch_of_face[members] = count
            count += 1
        else:
            patch_of_face[members] = count + _side(normals[members], axis)
            count += 4
    return patch_of_face, count


def _side(normals: Array, axis: int) -> Index:
    """Which of the four sides around `axis` each normal (N, 3) points to: 0 and 1 are front and back."""
    across = normals[:, 1 - axis]  # x for upright parts, y for level ones
    forward = normals[:, 2]
    sideways = np.abs(across) > np.abs(forward)
    return np.where(sideways, 2 + (across < 0), forward < 0).astype(np.int64)


def _spread(points: Array, count: int) -> Index:
    """Up to `count` of the points (N, 3), far from each other: each next is the farthest from all before."""
    distance = np.linalg.norm(points - points.mean(axis=0), axis=1)
    chosen = [int(np.argmin(distance))]
    nearest = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def _facing(corners: Array, centres: Array) -> npt.NDArray[np.bool_]:
    """Which triangles (S, 3, 3) in front of the camera turn their outside to it."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    towards = -np.sum(normals * centres, axis=1)
    lengths = np.linalg.norm(normals, axis=1) * np.linalg.norm(centres, axis=1)
    return (towards > IN_VIEW_COSINE * lengths) & (corners[:, :, 2] > 0).all(axis=1)


def _inside(pixels: Array, *, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Which points (S, 2) have their nearest pixel in the picture."""
    return np.all((pixels > -0.5) & (pixels < np.array([width, height]) - 0.5), axis=1)


def _unhidden(centres: Array) -> npt.NDArray[np.bool_]:
    """Which of the points (N, 3) have no other one well in front of them."""
    depth = centres[:, 2]
    if not len(depth):
        return np.zeros(0, bool)
    # Along the rays through the camera, metres at the depth of the middle of the body.
    cells = np.floor(centres[:, :2] / depth[:, None] * (np.median(depth) / CELL_M)).astype(np.int64)
    cells -= cells.min(axis=0)
    _, number = np.unique(cells[:, 1] * (cells[:, 0].max() + 1) + cells[:, 0], return_inverse=True)
    front = np.full(number.max() + 1, np.inf, depth.dtype)
    np.minimum.at(front, number, depth)
    return depth < front[number] + CLEARANCE_M
