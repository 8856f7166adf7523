"""BVH: a skeleton's bones, and its rotations at a fixed rate, as text. Centimetres, y up.

Each joint has the three rotations about z, x and y, applied to a vector in the order y, x, z, degrees; the
pelvis has its place before them. The pose of all zeros is SMPL's T-pose.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from client.exports.scene import Scene
from client.exports.skeleton import Skeleton, evenly, of_track, rate
from client.motion import Motion
from wire.skeleton import SMPL_JOINTS, SMPL_PARENTS

Array = npt.NDArray[np.floating]

_CM = 100.0
_TURNS = "Zrotation Xrotation Yrotation"

#: The ends of the last bones, which nobody measures: half as long again as the bones before them.
_END = 0.5


def write(motion: Motion, scene: Scene, path: Path) -> None:
    """The first track of `motion`."""
    fps = rate(motion)
    skeleton = evenly(of_track(motion.tracks[0], scene.world, rate=fps), fps)
    numbers = np.concatenate([skeleton.pelvis * _CM, _degrees(skeleton.rotations)], axis=1)
    # Columns come in the order in which the hierarchy names the joints, the pelvis's place first.
    order = [0, 1, 2, *(3 + 3 * joint + axis for joint in _depth_first(0) for axis in range(3))]
    with path.open("w", newline="\n") as file:
        file.write("HIERARCHY\n" + "\n".join(_joint(skeleton, 0, "")) + "\n")
        file.write(f"MOTION\nFrames: {len(numbers)}\nFrame Time: {1 / fps:.9f}\n")
        np.savetxt(file, numbers[:, order], fmt="%.5f")


def _joint(skeleton: Skeleton, joint: int, indent: str) -> Iterator[str]:
    """The lines of a joint and all below it."""
    bone = skeleton.bones[joint] * _CM if joint else np.zeros(3)
    channels = f"3 {_TURNS}" if joint else f"6 Xposition Yposition Zposition {_TURNS}"
    yield f"{indent}{'JOINT' if joint else 'ROOT'} {SMPL_JOINTS[joint]}"
    yield f"{indent}{{"
    yield f"{indent}  OFFSET {_triple(bone)}"
    yield f"{indent}  CHANNELS {channels}"
    children = _children(joint)
    for child in children:
        yield from _joint(skeleton, child, f"{indent}  ")
    if not children:
        yield from (f"{indent}  End Site", f"{indent}  {{", f"{indent}    OFFSET {_triple(bone * _END)}")
        yield f"{indent}  }}"
    yield f"{indent}}}"


def _triple(vector: Array) -> str:
    return " ".join(f"{value:.6f}" for value in vector)


def _children(joint: int) -> list[int]:
    return [child for child, parent in enumerate(SMPL_PARENTS) if parent == joint]


def _depth_first(joint: int) -> list[int]:
    return [joint, *(below for child in _children(joint) for below in _depth_first(child))]


def _degrees(rotations: Array) -> Array:
    """Rotations (N, 24, 3, 3) as angles (N, 72) about z, x, y, without jumps from one frame to the next.

    Each rotation has two such triples, and each of them again any number of full turns away; tools that go
    from frame to frame in a straight line want the nearest.
    """
    count = len(rotations)
    turns = Rotation.from_matrix(rotations.reshape(-1, 3, 3))
    z, x, y = np.moveaxis(turns.as_euler("ZXY", degrees=True, suppress_warnings=True), -1, 0)
    either = np.array([[z, x, y], [z + 180, 180 - x, y + 180]]).reshape(2, 3, count, -1)  # (2, 3, N, 24)
    chosen = either[0].copy()
    for frame in range(1, count):
        last = chosen[:, frame - 1]
        near = either[:, :, frame] + 360 * np.rint((last - either[:, :, frame]) / 360)
        closer = np.abs(near - last).sum(axis=1).argmin(axis=0)
        chosen[:, frame] = np.take_along_axis(near, closer[None, None], axis=0)[0]
    degrees: Array = chosen.transpose(1, 2, 0).reshape(count, -1)
    return degrees
