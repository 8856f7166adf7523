"""PHALP's results: a dictionary of frames, each with lists that have an entry for each person, in a `.pkl`.

Names, forms and units are those that PHALP of 4D-Humans writes (`docs/formats.md` lists them). Where PHALP
leaves the last observation of somebody who is not seen, this has what is expected of him; `tracked_time`
counts the frames since, so readers that leave such people out go on doing so. There are no silhouettes:
masks are empty.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from body import stated
from body.joint_sets import BODY_25, Hmr2Joints, read_regressor, smplx_joints
from body.model import Body, Mesh
from client.exports.scene import Scene, Unavailable
from client.motion import Motion, Track
from client.records import STATES
from wire.camera import crop_camera, crop_square, project
from wire.skeleton import SMPL_JOINTS

Array = npt.NDArray[Any]

#: What 4D-Humans' regressor finds in SMPL's surface, by the joints nearest to them, for all other bodies.
_NEAREST = [
    SMPL_JOINTS.index(joint)
    for joint in (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
        "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head",
        "pelvis", "spine3", "spine2", "head", "head",
    )
]  # fmt: skip

#: Bodies posed at a time: bounds the memory.
_AT_A_TIME = 64

_PREDICTED = STATES.index("predicted")

_OF_EACH = (
    "tid", "bbox", "tracked_time", "conf", "class_name", "center", "scale", "size", "img_path", "img_name",
    "smpl", "camera", "camera_bbox", "3d_joints", "2d_joints", "mask", "annotations", "extra_data",
)  # fmt: skip
_SEEN = ("tracked_ids", "tracked_bbox")

#: Lists whose entries are numbers, those of `smpl` among them: their kind, and the form of an entry.
_NUMBERS: Final[dict[str, tuple[type, tuple[int, ...]]]] = {
    "tid": (int, ()),
    "bbox": (np.float32, (4,)),
    "tracked_time": (int, ()),
    "conf": (float, ()),
    "class_name": (int, ()),
    "center": (np.float32, (2,)),
    "scale": (float, ()),
    "size": (int, (2,)),
    "camera": (np.float32, (3,)),
    "camera_bbox": (np.float32, (3,)),
    "3d_joints": (np.float32, (45, 3)),
    "2d_joints": (np.float32, (90,)),
    "global_orient": (np.float32, (1, 3, 3)),
    "body_pose": (np.float32, (23, 3, 3)),
    "betas": (np.float32, (10,)),
}
_SMPL = ("global_orient", "body_pose", "betas")


def write_pickle(motion: Motion, scene: Scene, path: Path) -> None:
    """All tracks, as joblib writes them. Raises `Unavailable` without joblib, `AnotherBody`."""
    try:
        import joblib  # its arrays are read by every version of numpy, those of plain pickles are not
    except ModuleNotFoundError:
        raise Unavailable("PHALP's .pkl needs joblib; run: pip install 'everyframe[exports]'") from None
    joblib.dump(frames(motion, scene), path, compress=3)


def write_arrays(motion: Motion, scene: Scene, path: Path) -> None:
    """The same as arrays: a row for each person of each frame, `people` of them in each."""
    told = list(frames(motion, scene).values())
    rows = {name: [entry for frame in told for entry in frame[name]] for name in _OF_EACH}
    rows |= {name: [entry[name] for entry in rows["smpl"]] for name in _SMPL}
    arrays: dict[str, Any] = {
        name: np.array(rows[name], kind).reshape(-1, *form) for name, (kind, form) in _NUMBERS.items()
    }
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            frame_path=np.array([frame["frame_path"] for frame in told]),
            time=np.array([frame["time"] for frame in told], int),
            shot=np.array([frame["shot"] for frame in told], int),
            people=np.array([len(frame["tid"]) for frame in told], int),
            **arrays,
        )


def frames(motion: Motion, scene: Scene) -> dict[str, dict[str, Any]]:
    """What PHALP writes of the video, by the name of each frame's picture."""
    video = Path(motion.about.source).stem
    told: dict[str, dict[str, Any]] = {}
    for number in range(len(motion.times_s)):
        name = f"outputs//_DEMO/{video}/img/{number + 1:06d}.jpg"  # PHALP counts pictures from 1
        told[name] = {"time": number, "shot": 0, "frame_path": name} | {
            key: [] for key in (*_OF_EACH, *_SEEN)
        }
    names = list(told)
    joints_of = _Joints(scene.body(), motion, scene.regressor)
    for track in motion.tracks:
        for row, joints in enumerate(joints_of(track)):
            frame = int(track.frames[row])
            width, height = motion.sizes_px[frame].tolist()
            entry = _person(track, row, joints, width=width, height=height, name=names[frame])
            for key, value in entry.items():
                told[names[frame]][key].append(value)
            if entry["tracked_time"] == 0:
                told[names[frame]]["tracked_ids"].append(entry["tid"])
                told[names[frame]]["tracked_bbox"].append(entry["bbox"])
    return told


def _person(track: Track, row: int, joints: Array, *, width: int, height: int, name: str) -> dict[str, Any]:
    """One person's entry in each list of a frame; joints (45, 3)."""
    box, translation = track.boxes[row], track.translation[row]
    center, side = crop_square(box)
    longer = max(width, height)
    padding = np.array([(longer - width) // 2, (longer - height) // 2])
    camera = crop_camera(translation, box_center=center, box_size=side, width=width, height=height)
    unseen = abs(int(track.frames_since_detected[row])) if track.states[row] == _PREDICTED else 0
    pixels = project(joints, translation, width, height)
    return {
        "tid": track.track_id,
        "bbox": np.concatenate([box[:2], box[2:] - box[:2]]),
        "tracked_time": unseen,
        "conf": float(track.confidence[row]),
        "class_name": 0,
        "center": np.array(center, np.float32),
        "scale": side / longer,
        "size": [height, width],
        "img_path": name,
        "img_name": name.rpartition("/")[2],
        "smpl": {
            "global_orient": track.rotations[row, :1],
            "body_pose": track.rotations[row, 1:],
            "betas": track.betas[row],
        },
        "camera": translation,
        "camera_bbox": np.array(camera, np.float32),
        "3d_joints": joints,
        "2d_joints": ((pixels + padding) / longer).astype(np.float32).ravel(),
        "mask": {"size": [height, width], "counts": _empty_mask(height * width)},
        "annotations": [],
        "extra_data": None,
    }


class _Joints:
    """PHALP's 45 joints: 25 of OpenPose, 19 that 4D-Humans finds in the surface, and the origin."""

    def __init__(self, body: Body, motion: Motion, regressor: Path | None) -> None:
        is_smpl = motion.about.body.startswith(stated.SMPL)
        if is_smpl and regressor:
            self._body = body
            self._of_mesh: Callable[[Mesh], Array] = Hmr2Joints(body, read_regressor(regressor))
        else:
            # Some points of the surface are all that is wanted of it.
            self._body = body.restricted_to(list(body.points.values()))
            self._of_mesh = self._without_regressor

    def __call__(self, track: Track) -> Iterator[Array]:
        """Those of each row (45, 3), float32."""
        for first in range(0, len(track.frames), _AT_A_TIME):
            rows = slice(first, first + _AT_A_TIME)
            mesh = self._body.mesh(track.rotations[rows], track.betas[rows])
            joints = self._of_mesh(mesh)
            yield from np.concatenate([joints, np.zeros_like(joints[:, :1])], axis=1)

    def _without_regressor(self, mesh: Mesh) -> Array:
        """The 44 of each body (B, 44, 3), those in the surface from the nearest of SMPL's."""
        return np.concatenate([smplx_joints(self._body, mesh)[:, BODY_25], mesh.joints[:, _NEAREST]], axis=1)


def _empty_mask(pixels: int) -> bytes:
    """COCO's compressed run lengths of a picture that shows nothing: one run, five bits a byte."""
    counts = bytearray()
    while True:
        bits, pixels = pixels & 0x1F, pixels >> 5
        more = pixels != 0 or bool(bits & 0x10)
        counts.append((bits | 0x20 if more else bits) + 48)
        if not more:
            return bytes(counts)
