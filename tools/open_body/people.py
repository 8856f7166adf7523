"""A seeded sample of adults from Anny, as arrays in SMPL's axes: x to the left, y up, z forward, metres."""

import re
from dataclasses import dataclass

import anny
import numpy as np
import numpy.typing as npt
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.keypoints import KeypointsRegressor
from anny.shape_distribution import SimpleShapeDistribution
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

PEOPLE = 400
SEED = 2026
AGES_YEARS = (18.0, 70.0)

#: Anny's keypoints that are kept, of either side.
COCO_POINTS = ("eye", "ear", "big_toe", "small_toe", "heel")


@dataclass(frozen=True)
class People:
    """Anny's body piece for many people; V vertices, N bones, metres.

    vertices (P, V, 3), heads (P, N, 3): of the bones; weights (V, N); faces (F, 3);
    points: vertices by the name of what they lie at.
    """

    vertices: Array
    heads: Array
    weights: Array
    faces: Index
    bones: list[str]
    parents: list[int]
    points: dict[str, int]

    def bones_named(self, pattern: str) -> list[int]:
        """Indices of the bones whose whole name matches."""
        return [i for i, bone in enumerate(self.bones) if re.fullmatch(pattern, bone)]


def load_people() -> People:
    """A seeded sample of adults from Anny, the eyes and the tongue left out, in SMPL's axes."""
    model = anny.Anny(rig="anny", topology="anny")
    torch.manual_seed(SEED)
    youngest, oldest = (torch.tensor(age, dtype=model.dtype) for age in AGES_YEARS)
    ages = torch.distributions.Uniform(youngest, oldest)
    _, phenotypes = SimpleShapeDistribution(model, ages).sample(PEOPLE)
    rest = model(phenotype_kwargs=phenotypes)
    triangles = model.get_triangular_faces().numpy()
    kept, faces = largest_piece(triangles, len(model.template_vertices))
    bone_count = len(model.bone_labels)
    weights = np.zeros((len(model.template_vertices), bone_count))
    np.add.at(
        weights,
        (np.arange(len(weights))[:, None], model.vertex_bone_indices.numpy()),
        model.vertex_bone_weights.numpy(),
    )
    return People(
        vertices=smpl_axes(rest["rest_vertices"].numpy()[:, kept]),
        heads=smpl_axes(rest["rest_bone_heads"].numpy()),
        weights=weights[kept],
        faces=faces,
        bones=list(model.bone_labels),
        parents=list(model.bone_parents),
        points=named_points(model, kept),
    )


def smpl_axes(points: Array) -> Array:
    """From Anny's axes (x left, z up, facing -y) to SMPL's (x left, y up, facing +z)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def largest_piece(faces: Index, vertex_count: int) -> tuple[Index, Index]:
    """The vertices (K,) of the largest connected piece, and its faces renumbered to them; `faces` (F, 3)."""
    edges = coo_array(
        (np.ones(len(faces) * 2), (np.tile(faces[:, 0], 2), faces[:, 1:].T.ravel())),
        shape=(vertex_count, vertex_count),
    )
    _, piece = connected_components(edges, directed=False)
    largest = np.argmax(np.bincount(piece))
    kept = np.flatnonzero(piece == largest)
    renumbered = np.full(vertex_count, -1)
    renumbered[kept] = np.arange(len(kept))
    return kept, renumbered[faces[piece[faces[:, 0]] == largest]]


def named_points(model: anny.Anny, kept: Index) -> dict[str, int]:
    """The vertex at each of Anny's own keypoints, the tip of the nose, and the corners of the mouth.

    They are counted among those that are kept (K,).
    """
    template = smpl_axes(model.template_vertices.numpy())
    skin = template[kept]
    regressor = KeypointsRegressor.coco(model)
    points = {"nose": int(np.argmax(np.where(skin[:, 1] > skin[:, 1].max() - 0.3, skin[:, 2], -np.inf)))}
    for name, weights in zip(regressor.labels, regressor.regression_weights.numpy(), strict=True):
        if name.partition("_")[2] in COCO_POINTS:
            at = weights @ template
            if name.endswith("eye"):  # the eyeball is another piece: take the skin at its front
                at[2] = template[weights > 0, 2].max()
            points[name] = int(np.argmin(np.sum((skin - at) ** 2, axis=1)))
    return points | mouth_corners(model, kept)


def mouth_corners(model: anny.Anny, kept: Index) -> dict[str, int]:
    """The outermost vertices, among those kept (K,), of the line where skin and cavity of the mouth meet."""
    faces = model.faces.numpy()
    inside = get_face_segmentation_mask(model, ["mouth_cavity"]).numpy()
    skin = get_face_segmentation_mask(model, ["head"]).numpy()
    line = np.searchsorted(kept, np.intersect1d(np.intersect1d(faces[inside], faces[skin]), kept))
    across = model.template_vertices.numpy()[kept[line], 0]
    return {"left_mouth": int(line[np.argmax(across)]), "right_mouth": int(line[np.argmin(across)])}
