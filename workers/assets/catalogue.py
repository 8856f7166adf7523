"""Every model file there is: where it comes from, its digest where one is published, its licence."""

from collections.abc import Collection

from body import stated
from workers.assets.asset import Address, Archive, Asset, Digest, Hand, Wheel

_MEDIAPIPE = Wheel("mediapipe", "0.10.21")
_SPORTS2D = Wheel("sports2d", "0.8.34")
_POSE2SIM = Wheel("pose2sim", "0.10.49")

#: 4D-Humans' files. Its code names the second address; the files have moved to the first, as PHALP's have.
_HMR2 = Archive(
    (
        "https://www.cs.utexas.edu/~pavlakos/4dhumans/hmr2_data.tar.gz",
        "https://people.eecs.berkeley.edu/~jathushan/projects/4dhumans/hmr2_data.tar.gz",
    )
)
_HMR2_RUN = "logs/train/multiruns/hmr2/0"

_PHALP = "https://www.cs.utexas.edu/~pavlakos/phalp"
_TORCHVISION = "https://download.pytorch.org/models"

_SMPL = Hand(
    also=stated.SMPL_ALSO,
    how=(
        "SMPL may not be passed on, so no command fetches it: register at https://smplify.is.tue.mpg.de,"
        " accept its licence, download the neutral model basicModel_neutral_lbs_10_207_0_v1.0.0.pkl"
        " and put it, under this name or as SMPL_NEUTRAL.pkl, into the directory of the other model files"
    ),
)


def _wheel(name: str, group: str, wheel: Wheel, member: str, digest: Digest, licence: str) -> Asset:
    return Asset(name, group, wheel, licence, digest, member)


def _blazepose(name: str, folder: str, digest: Digest) -> Asset:
    return _wheel(name, "blazepose", _MEDIAPIPE, f"mediapipe/modules/{folder}/{name}", digest, "Apache-2.0")


def _single_person(name: str, folder: str, digest: Digest) -> Asset:
    member = f"Pose2Sim/Demo_SinglePerson/{folder}/{name}"
    return _wheel(f"pose2sim_{name}", "clips", _POSE2SIM, member, digest, "BSD-3-Clause")


def _hmr2(name: str, member: str, most_bytes: int) -> Asset:
    return Asset(name, "hmr2", _HMR2, "MIT", None, member, most_bytes)


def _phalp(name: str, remote: str) -> Asset:
    return Asset(name, "phalp", Address((f"{_PHALP}/{remote}",)), "MIT")


def _detector(name: str, remote: str, digest: Digest) -> Asset:
    return Asset(name, "detectors", Address((f"{_TORCHVISION}/{remote}",)), "BSD-3-Clause", digest)


ASSETS = (
    _blazepose(
        "pose_detection.tflite",
        "pose_detection",
        Digest(2_959_046, "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"),
    ),
    _blazepose(
        "pose_landmark_full.tflite",
        "pose_landmark",
        Digest(6_440_512, "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"),
    ),
    _wheel(
        "sports2d_demo.mp4",
        "demo",
        _SPORTS2D,
        "Sports2D/Demo/demo.mp4",
        Digest(3_968_304, "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039"),
        "BSD-3-Clause",
    ),
    _single_person(
        "cam01.mp4",
        "videos",
        Digest(387_775, "cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a"),
    ),
    _single_person(
        "cam02.mp4",
        "videos",
        Digest(540_548, "94ff87cf978b8406e8aa36ab3c5362e72848994e87652f0dc7a33c315e8e0442"),
    ),
    _single_person(
        "cam03.mp4",
        "videos",
        Digest(1_709_101, "b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca"),
    ),
    _single_person(
        "cam04.mp4",
        "videos",
        Digest(1_772_999, "b5c0e7863fd70d008e7178d3c556b045b0ea5f78fcd61ca548a0b2e807e641f7"),
    ),
    _single_person(
        "Calib.qca.txt",
        "calibration",
        Digest(4_843, "fd90e4bbae3278ef1dc0cdd42a34ee06bf88286f628a02c00a29407aa39e34c5"),
    ),
    _hmr2("hmr2.ckpt", f"{_HMR2_RUN}/checkpoints/epoch=35-step=1000000.ckpt", 4 * 2**30),
    _hmr2("hmr2_model_config.yaml", f"{_HMR2_RUN}/model_config.yaml", 2**20),
    _hmr2("SMPL_to_J19.pkl", "data/SMPL_to_J19.pkl", 16 * 2**20),
    _hmr2("smpl_mean_params.npz", "data/smpl_mean_params.npz", 2**20),
    Asset(stated.SMPL, "hmr2", _SMPL, "SMPL's own: non-commercial research"),
    _phalp("hmar_v2_weights.pth", "weights/hmar_v2_weights.pth"),
    _phalp("pose_predictor.pth", "weights/pose_predictor_40006.ckpt"),
    _phalp("pose_predictor.yaml", "weights/config_40006.yaml"),
    _phalp("mean_std.npy", "3D/mean_std.npy"),
    _phalp("head_faces.npy", "3D/head_faces.npy"),
    _phalp("texture.npz", "3D/texture.npz"),
    _phalp("bmap_256.npy", "bmap_256.npy"),
    _phalp("fmap_256.npy", "fmap_256.npy"),
    # torchvision publishes the first eight digits, in the file's name.
    _detector(
        "maskrcnn_resnet50_fpn_v2_coco.pth",
        "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
        Digest(185_828_065, "73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e"),
    ),
    _detector(
        "fasterrcnn_mobilenet_v3_large_320_fpn_coco.pth",
        "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth",
        Digest(77_844_807, "907ea3f91ff92242bc1baea8049276a3e76bca48ce7560bd268cc029f37977b5"),
    ),
)

_BY_NAME = {asset.name: asset for asset in ASSETS}

GROUPS = tuple(dict.fromkeys(asset.group for asset in ASSETS))

#: What serving needs by default; the clips are for the demo, the tests and the measurements.
DEFAULT_GROUP = "blazepose"


def named(name: str) -> Asset:
    """The asset called `name`. Raises `KeyError`: names are the program's own, never a caller's."""
    return _BY_NAME[name]


def in_groups(groups: Collection[str]) -> tuple[Asset, ...]:
    """The assets of `groups`, in the order of the list above."""
    return tuple(asset for asset in ASSETS if asset.group in groups)
