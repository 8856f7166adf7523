"""One person's skeleton, read off the answers themselves: bones follow from joints and turns.

Whichever body the service poses, a bone is where a joint lies in the axes of its parent, and that depends on
the shape alone, linearly. So the mean of the bones of many answers is the skeleton of the mean shape, to the
last digit, and no body model is needed here. The face, which is of the surface, hangs on the head; what the
neck and pose do to it besides is averaged out.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from body.model import joint_angles
from client.second_pass.turns import LEVELS, PARENTS, Counts, Floats
from wire.camera import CROP_PX, FOCAL_256
from wire.skeleton import COCO_KEYPOINTS, SMPL_JOINTS

_HEAD: Final = SMPL_JOINTS.index("head")
#: COCO's keypoints that are no joints come first: the face.
_FACE: Final = sum(name not in SMPL_JOINTS for name in COCO_KEYPOINTS)
_LIMBS: Final = [SMPL_JOINTS.index(name) for name in COCO_KEYPOINTS[_FACE:]]


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """A person's shape: bones (24, 3), each joint in its parent's axes, the pelvis' in the body's; metres.

    face (5, 3): in the head's axes. betas (10,).
    """

    bones: Floats
    face: Floats
    betas: Floats

    def joints(self, turns: Floats) -> Floats:
        """Body-centred joints (N, 24, 3) of turns (N, 24, 3, 3), camera axes."""
        joints = np.empty((len(turns), 24, 3))
        joints[:, 0] = self.bones[0]
        for level in LEVELS:
            above = PARENTS[level]
            joints[:, level] = joints[:, above] + np.einsum(
                "njab,jb->nja", turns[:, above], self.bones[level]
            )
        return joints

    def keypoints(self, turns: Floats, joints: Floats) -> Floats:
        """COCO's keypoints (N, 17, 3) of turns, whose joints are (N, 24, 3)."""
        face = joints[:, None, _HEAD] + np.einsum("nab,kb->nka", turns[:, _HEAD], self.face)
        return np.concatenate([face, joints[:, _LIMBS]], axis=1)


def bones_of(turns: Floats, joints: Floats) -> Floats:
    """Bones (N, 24, 3) of bodies whose turns are (N, 24, 3, 3) and joints (N, 24, 3)."""
    bones = joints.astype(np.float64)
    bones[:, 1:] = _in_axes(turns[:, PARENTS[1:]], joints[:, 1:] - joints[:, PARENTS[1:]])
    return bones


def skeleton_of(
    turns: Floats, *, joints: Floats, keypoints: Floats, betas: Floats, weights: Floats
) -> Skeleton:
    """What N answers of one person agree on, each by its weight (N,)."""
    share = weights * _agreeing(betas, weights)
    share = share / share.sum()
    face = _in_axes(turns[:, None, _HEAD], keypoints[:, :_FACE] - joints[:, None, _HEAD])
    return Skeleton(
        bones=np.tensordot(share, bones_of(turns, joints), axes=1),
        face=np.tensordot(share, face, axes=1),
        betas=np.tensordot(share, betas.astype(np.float64), axes=1),
    )


def length(bones: Floats) -> Floats:
    """The sum of the bones (..., 24, 3) of a body: (...), metres."""
    return np.asarray(np.linalg.norm(bones[..., 1:, :], axis=-1).sum(axis=-1))


def in_picture(points: Floats, translation: Floats, sizes_px: Counts) -> Floats:
    """Pixels (N, K, 2) of points (N, K, 3) moved by translation (N, 3), in pictures of (N, 2) pixels."""
    moved = points + translation[:, None]
    focal = FOCAL_256 / CROP_PX * sizes_px.max(axis=1)[:, None, None]
    pixels: Floats = focal * moved[..., :2] / moved[..., 2:] + sizes_px[:, None] / 2
    return pixels


def angles(joints: Floats) -> Floats:
    """Angles (N, 9), degrees, of joints (N, 24, 3), in the order of `wire.skeleton.JOINT_ANGLES`."""
    degrees: Floats = joint_angles(joints.astype(np.float32))
    return degrees


def _agreeing(betas: Floats, weights: Floats) -> Floats:
    """(N,): shapes far from the median of all count less."""
    off = np.linalg.norm(betas - np.median(betas[weights > 0], axis=0), axis=1)
    usual = np.median(off[weights > 0])
    agreeing: Floats = 1 / (1 + np.square(off / max(float(usual), 1e-3)))
    return agreeing


def _in_axes(turns: Floats, vectors: Floats) -> Floats:
    """Vectors (..., 3) in camera axes, in those that turns (..., 3, 3) lead from."""
    turned: Floats = np.einsum("...ba,...b->...a", turns, vectors.astype(np.float64))
    return turned
