"""The body that a result was made with: how it is stated, and opened again.

A body is stated as its file and what is in it, `open_body.npz sha256:...`. So a motion is never posed with
another body than the one that it was measured with: shapes, and places of joints, mean nothing to another.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from body.model import OPEN_BODY, Array, Body
from wire.errors import ModelNotLoaded

OPEN: Final = OPEN_BODY.name
SMPL: Final = "SMPL_NEUTRAL.pkl"

#: The names that SMPL's neutral model has at its publisher's.
SMPL_ALSO: Final = (
    "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl",
    "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl",
)

#: How far off joints may be, metres: rotations and joints travel in single precision.
_SAME_M = 5e-4


class AnotherBody(ModelNotLoaded):
    """The body that a result was made with is not here."""


def of_models(models: Mapping[str, str]) -> str:
    """What states the body among a worker's files, by name -> `sha256:...`; empty: none is named."""
    return next((f"{name} {models[name]}" for name in (OPEN, SMPL) if name in models), "")


def opened(stated: str, assets_dir: Path) -> Body:
    """The body that is stated; the open one where nothing is. Raises `AnotherBody`, naming it.

    SMPL's file is looked for in `assets_dir`, where workers have it.
    """
    name, _, digest = stated.partition(" ")
    if name in ("", OPEN):
        _check(OPEN_BODY, digest, stated)
        return Body.open()
    if name != SMPL:
        raise AnotherBody(f"the result was made with {stated}, which is not a body that is known here")
    places = (assets_dir / name for name in (SMPL, *SMPL_ALSO))
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise AnotherBody(f"the result was made with {SMPL}, which is not in {assets_dir}")
    _check(path, digest, stated)
    from body.official import open_body  # whoever has nothing to do with SMPL loads nothing of it

    return open_body(path)


def check_joints(body: Body, rotations: Array, betas: Array, joints: Array, *, stated: str) -> None:
    """Raise `AnotherBody` where these joints (N, 24, 3) are not those of this body in these poses."""
    off_m = np.abs(body.joints(rotations, betas) - joints).max(initial=0.0)
    if not off_m < _SAME_M:
        raise AnotherBody(
            f"the joints of the result are up to {off_m * 1e3:.1f} mm from those of {stated or OPEN}: "
            "it was made with another body"
        )


def _check(path: Path, digest: str, stated: str) -> None:
    if digest and digest != f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}":
        raise AnotherBody(f"the result was made with {stated}, and {path} is another file")
