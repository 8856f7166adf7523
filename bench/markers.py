"""How far BlazePose's landmarks lie from the body's markers: `python -m bench.markers`.

Bodies are fitted with the table of `workers.blazepose.markers` as it is; then each landmark's offset
is solved for from all frames, both sides alike, and held near the table's because few sides of a
person are seen. Head, hands and feet were measured by adding what this prints until it vanished.
Shoulders, elbows, wrists, hips, knees and ankles can hide their offsets in the pose: theirs came
from triangulating the four Pose2Sim views, where BlazePose puts hips a centimetre outside and above
the joints, knees below and ankles above them; of knees and ankles about half of that is in the
table, so that the joints, which callers see, stay near the landmarks too.
"""

import argparse
import os

import numpy as np

from bench.fit import Shot, fit_all, followed, posed
from body.model import Body
from wire import settings as wire_settings
from wire.camera import focal_length_px
from workers.blazepose.fit import Fit, FittedBody
from workers.blazepose.kinematics import Array
from workers.blazepose.markers import LANDMARK_NAMES, OWNERS, SWAPPED

_MIRROR = np.array([-1.0, 1.0, 1.0])
#: How firmly the table is held, frames seen from the front.
_HOLD = 0.1
#: Landmarks farther than this from their marker count less (Cauchy's weight), metres.
_OUTLIER_M = 0.04


def main() -> None:
    """Print the distances in millimetres, rest axes, of the left side and the middle."""
    body = Body.open()
    fit = Fit(body)
    matrix, right, frames = np.zeros((33, 3, 3)), np.zeros((33, 3)), 0
    for _, shots in followed(wire_settings.load(os.environ)):
        for shot, fitted in zip(shots, fit_all(fit, shots), strict=True):
            if not fitted.flipped:
                in_frame, there = _equations(body, shot, fitted)
                matrix, right, frames = matrix + in_frame, right + there, frames + 1
    matrix = matrix + _MIRROR[:, None] * matrix[SWAPPED] * _MIRROR
    right = right + _MIRROR * right[SWAPPED]
    moves = np.linalg.solve(matrix + _HOLD * frames * np.eye(3), right[..., None])[..., 0]
    print(f"{'landmark':<18}{'left':>7}{'up':>7}{'forward':>9}  mm")
    for name, (left, up, forward) in zip(LANDMARK_NAMES, 1000 * moves, strict=True):
        if "right" not in name:
            print(f"{name:<18}{left:>7.0f}{up:>7.0f}{forward:>9.0f}")


def _equations(body: Body, shot: Shot, fitted: FittedBody) -> tuple[Array, Array]:
    """Normal equations (33, 3, 3) and (33, 3) for each landmark's distance from its marker, rest axes."""
    there = posed(body, fitted)
    placed = there.markers + fitted.pose.translation
    centre = np.array([shot.width, shot.height]) / 2
    rays = (shot.landmarks.pixels[:, :2] - centre) / focal_length_px(shot.width, shot.height)
    error = rays * placed[:, 2:] - placed[:, :2]
    across = there.rotations[OWNERS][:, :2]  # (33, 2, 3)
    weight = shot.landmarks.visibility / (1 + np.sum(error**2, axis=1) / _OUTLIER_M**2)
    turned = np.swapaxes(across, 1, 2) * weight[:, None, None]
    return turned @ across, (turned @ error[..., None])[..., 0]


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.markers", description=__doc__).parse_args()
    main()
