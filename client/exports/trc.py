"""TRC, for OpenSim: places of markers at a fixed rate, as text. Millimetres, y up.

The markers are SMPL's 24 joints and the five points of the face, as the result has them, not of a skeleton
with fixed bones: inverse kinematics finds that by itself.
"""

from pathlib import Path

import numpy as np

from client.exports.scene import Scene
from client.exports.skeleton import evenly, of_track, rate
from client.motion import Motion
from wire.skeleton import COCO_KEYPOINTS, SMPL_JOINTS

MARKERS = (*SMPL_JOINTS, *COCO_KEYPOINTS[:5])

_MM = 1000.0
_ABOUT = [
    "DataRate",
    "CameraRate",
    "NumFrames",
    "NumMarkers",
    "Units",
    "OrigDataRate",
    "OrigDataStartFrame",
    "OrigNumFrames",
]


def write(motion: Motion, scene: Scene, path: Path) -> None:
    """The first track of `motion`; times are the video's."""
    fps = rate(motion)
    skeleton = evenly(of_track(motion.tracks[0], scene.world, rate=fps), fps)
    count = len(skeleton.times_s)
    numbers = np.arange(1, count + 1)[:, None]
    rows = np.concatenate(
        [numbers, skeleton.times_s[:, None], skeleton.points.reshape(count, -1) * _MM], axis=1
    )
    told = [f"{fps:.6f}", f"{fps:.6f}", count, len(MARKERS), "mm", f"{fps:.6f}", 1, count]
    axes = [f"{axis}{marker}" for marker in range(1, len(MARKERS) + 1) for axis in "XYZ"]
    with path.open("w", newline="\n") as file:
        file.write(f"PathFileType\t4\t(X/Y/Z)\t{path.name}\n")
        file.write("\t".join(_ABOUT) + "\n" + "\t".join(map(str, told)) + "\n")
        file.write("Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t\n")
        file.write("\t\t" + "\t".join(axes) + "\n\n")
        np.savetxt(file, rows, fmt=["%d", "%.6f", *["%.4f"] * (3 * len(MARKERS))], delimiter="\t")
