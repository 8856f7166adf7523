"""The body of the rules, by way of files as the official ones are, and the atlas of its surface."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from body import official
from body.joint_sets import Hmr2Joints, read_regressor
from body.model import Body
from tests import smpl_files
from tests.fixtures import rules
from workers.phalp.learned.unfold import Atlas


@cache
def body(variant: str) -> Body:
    with TemporaryDirectory() as directory:
        path = smpl_files.write(Path(directory) / "SMPL_NEUTRAL.pkl", smpl_files.smpl_model(variant))
        return official.open_body(path)


@cache
def joints_44(variant: str) -> Hmr2Joints:
    with TemporaryDirectory() as directory:
        path = smpl_files.write(Path(directory) / "SMPL_to_J19.pkl", rules.j19(variant))
        return Hmr2Joints(body(variant), read_regressor(path))


@cache
def atlas(variant: str) -> Atlas:
    shares, face_of = rules.uv_atlas()
    return Atlas(faces=body(variant).faces, face_of=face_of, shares=shares)
