"""GLB: a person's surface on a skeleton of 24 joints, and its motion. Metres, y up, at the video's own times.

The surface is the body's with the person's shape, at rest; each vertex follows at most four joints. That is
the whole of the open body. SMPL's also bulges with the pose, which glTF has no word for: there joints are
exact and the surface is without its bulges. Times are those of the video, so files of several people keep
together.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from body.model import Body
from body.stated import OPEN, check_joints
from client.exports.gltf import INDICES, VERTICES, Buffer
from client.exports.scene import Scene
from client.exports.skeleton import Skeleton, of_track, quaternions, rate
from client.motion import Motion, Track
from wire.skeleton import SMPL_JOINTS, SMPL_PARENTS

Array = npt.NDArray[np.floating]

#: How many joints one vertex may follow in glTF's first set of weights.
_INFLUENCES = 4

#: Rows of a track by which its body is known again.
_CHECKED_ROWS = 32

_ARMATURE, _SURFACE = len(SMPL_JOINTS), len(SMPL_JOINTS) + 1
_MATERIAL = {
    "name": "body",
    "pbrMetallicRoughness": {
        "baseColorFactor": [0.68, 0.78, 0.84, 1],
        "metallicFactor": 0,
        "roughnessFactor": 0.8,
    },
}


def write(motion: Motion, scene: Scene, path: Path) -> None:
    """The first track of `motion`. Raises `AnotherBody` where the body that it was made with is not here."""
    track, body = motion.tracks[0], scene.body()
    _check(body, track, motion.about.body)
    skeleton = of_track(track, scene.world, rate=rate(motion))
    buffer = Buffer()
    buffer.write(
        path,
        {
            "asset": {"version": "2.0", "generator": "Everyframe"},
            "scene": 0,
            "scenes": [{"nodes": [_ARMATURE, _SURFACE]}],
            "nodes": _nodes(skeleton, f"person {track.track_id}"),
            "meshes": [{"name": "body", "primitives": [_surface(buffer, body, skeleton)]}],
            "materials": [_MATERIAL],
            "skins": [_skin(buffer, skeleton)],
            "animations": [_animation(buffer, skeleton)],
            "extras": {
                "source": motion.about.source,
                "track": track.track_id,
                "model": motion.about.model_version,
                "body": motion.about.body or OPEN,
                "camera": scene.world.shift.tolist(),  # where the camera is in this world
            },
        },
    )


def _check(body: Body, track: Track, said: str) -> None:
    rows = np.unique(np.linspace(0, len(track.frames) - 1, _CHECKED_ROWS).astype(int))
    check_joints(body, track.rotations[rows], track.betas[rows], track.joints[rows], stated=said)


def _nodes(skeleton: Skeleton, name: str) -> list[dict[str, Any]]:
    """The joints in SMPL's order, then the armature and the surface; all at rest."""
    nodes: list[dict[str, Any]] = [
        {"name": joint, "translation": bone.tolist()}
        for joint, bone in zip(SMPL_JOINTS, skeleton.bones, strict=True)
    ]
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        nodes[parent].setdefault("children", []).append(joint)
    nodes.append({"name": name, "children": [0]})
    nodes.append({"name": f"{name} body", "mesh": 0, "skin": 0})
    return nodes


def _surface(buffer: Buffer, body: Body, skeleton: Skeleton) -> dict[str, Any]:
    """The body at rest in the person's shape."""
    unposed = np.tile(np.eye(3, dtype=np.float32), (1, len(SMPL_JOINTS), 1, 1))
    vertices = body.mesh(unposed, skeleton.betas[None].astype(np.float32)).vertices[0]
    joints = np.argsort(-body.weights, axis=1, kind="stable")[:, :_INFLUENCES]
    weights = np.take_along_axis(body.weights, joints, axis=1)
    joints[weights == 0] = 0  # as the specification wants joints that do not count
    return {
        "attributes": {
            "POSITION": buffer.add(vertices, "<f4", target=VERTICES, bounds=True),
            "NORMAL": buffer.add(_normals(vertices, body.faces), "<f4", target=VERTICES),
            "JOINTS_0": buffer.add(joints, "u1", target=VERTICES),
            "WEIGHTS_0": buffer.add(weights / weights.sum(axis=1, keepdims=True), "<f4", target=VERTICES),
        },
        "indices": buffer.add(body.faces.reshape(-1), "<u2", target=INDICES),
        "material": 0,
    }


def _skin(buffer: Buffer, skeleton: Skeleton) -> dict[str, Any]:
    """Joints, and what takes the resting surface into the axes of each."""
    inverse = np.tile(np.eye(4), (len(SMPL_JOINTS), 1, 1))
    inverse[:, :3, 3] = -skeleton.rest
    return {
        "joints": list(range(len(SMPL_JOINTS))),
        "skeleton": _ARMATURE,
        "inverseBindMatrices": buffer.add(inverse, "<f4"),
    }


def _animation(buffer: Buffer, skeleton: Skeleton) -> dict[str, Any]:
    """The pelvis's place and all rotations at the video's times."""
    times = buffer.add(skeleton.times_s - min(skeleton.times_s[0], 0), "<f4", bounds=True)
    turns = quaternions(skeleton.rotations)
    channels = [("translation", 0, buffer.add(skeleton.pelvis, "<f4"))]
    channels += [("rotation", joint, buffer.add(turns[:, joint], "<f4")) for joint in range(turns.shape[1])]
    return {
        "name": "motion",
        "samplers": [
            {"input": times, "output": output, "interpolation": "LINEAR"} for _, _, output in channels
        ],
        "channels": [
            {"sampler": sampler, "target": {"node": joint, "path": path}}
            for sampler, (path, joint, _) in enumerate(channels)
        ],
    }


def _normals(vertices: Array, faces: npt.NDArray[np.integer]) -> Array:
    """Unit normals (V, 3): those of the faces around each vertex, by their areas."""
    corners = vertices[faces]
    of_faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    around = [np.bincount(faces.ravel(), np.repeat(of_faces[:, axis], 3), len(vertices)) for axis in range(3)]
    normals: Array = np.stack(around, axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return normals
