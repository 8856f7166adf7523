"""The `.npz` of AMASS: poses of SMPL+H at a fixed rate, z up, metres.

`poses` (N, 156) are rotation vectors of 52 joints: SMPL's first 22, then 15 of each hand. SMPL turns a hand
as a whole; here that turn stands at the first joint of each of its five fingers, which is where readers
that go on with SMPL's 24 joints look for it, and the other joints of the fingers are straight. `betas` has
AMASS's 16 numbers. Another body than SMPL has shapes of its own, so there `betas` is zero, and `body_betas`
has that body's ten.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from body import stated
from client.exports.scene import Scene
from client.exports.skeleton import evenly, of_track, rate
from client.motion import Motion

Array = npt.NDArray[np.floating]

#: Our world to AMASS's: x stays, y goes up to z, so who faces the camera faces -y.
_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

_BODY_JOINTS = 22
_JOINTS = 52
_SHAPES = 16

#: SMPL's hands -> the first joints of the fingers of SMPL+H: index, middle, little, ring, thumb.
_FINGERS = {22: range(22, 37, 3), 23: range(37, 52, 3)}


def write(motion: Motion, scene: Scene, path: Path) -> None:
    """The first track of `motion`."""
    fps = rate(motion)
    skeleton = evenly(of_track(motion.tracks[0], scene.world, rate=fps), fps)
    count = len(skeleton.times_s)
    rotations = skeleton.rotations.copy()
    rotations[:, 0] = _Z_UP @ rotations[:, 0]
    vectors = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(count, 24, 3)
    poses = np.zeros((count, _JOINTS, 3))
    poses[:, :_BODY_JOINTS] = vectors[:, :_BODY_JOINTS]
    for hand, fingers in _FINGERS.items():
        poses[:, list(fingers)] = vectors[:, hand, None]
    pelvis = skeleton.pelvis @ _Z_UP.T
    is_smpl = motion.about.body.startswith(stated.SMPL)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            poses=poses.reshape(count, -1),
            trans=pelvis - skeleton.rest[0],  # SMPL turns about the pelvis, wherever the shape puts that
            betas=np.pad(skeleton.betas, (0, _SHAPES - 10)) if is_smpl else np.zeros(_SHAPES),
            dmpls=np.zeros((count, 8)),
            gender=np.array("neutral"),
            mocap_framerate=np.array(fps),
            mocap_frame_rate=np.array(fps),
            pelvis=pelvis,
            body=np.array(motion.about.body or stated.OPEN),
            body_betas=skeleton.betas,
        )
