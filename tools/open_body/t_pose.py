"""From Anny's A-pose to SMPL's T-pose."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tools.open_body.joints import joint_positions
from tools.open_body.people import People

Array = npt.NDArray[np.float64]

#: Raising an arm to the horizontal lifts the shoulder girdle with it.
COLLAR_LIFT_RAD = np.radians(12.0)
#: Straight legs run outward as they do in people who stand with their feet apart like their hips.
LEG_SLANT_RAD = np.radians(3.0)


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
