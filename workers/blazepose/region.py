"""The rotated square of an image in which the landmark network looks for one person.

Pure geometry in pixels: from a detection, from landmarks, or from a body that the tracker expects.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wire.skeleton import SMPL_JOINTS

Array = npt.NDArray[np.floating]

#: Side of the region, in radii of the circle around the whole body (the margin used in training).
SIDE_RADII = 2 * 1.25

_HIPS = [SMPL_JOINTS.index("left_hip"), SMPL_JOINTS.index("right_hip")]
_SHOULDERS = [SMPL_JOINTS.index("left_shoulder"), SMPL_JOINTS.index("right_shoulder")]

#: The circle's radius by the farthest joint's distance from the hips: fingers, toes and scalp stand out
#: beyond the joints. Median over the people of the demo clips, fitted with the open body.
_RADIUS_IN_REACHES = 1.05
#: Radius of the circle around a body by the longer side of its box: hips are near the middle, but arms
#: and legs reach farther one way.
_RADIUS_IN_SIDES = 0.52
#: Below this part of the radius the trunk points at the camera.
_SHORT_TRUNK = 0.1


@dataclass(frozen=True, slots=True)
class Region:
    """A square of side `side_px` around (`cx`, `cy`), pixels; `angle` radians, clockwise as seen.

    Turned by -`angle` around its centre, the person in it stands upright.
    """

    cx: float
    cy: float
    side_px: float
    angle: float

    def axes(self) -> Array:
        """The region's x and y axes as unit columns (2, 2) in image axes."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cosine, -sine], [sine, cosine]])

    def to_image(self, crop_px: int) -> Array:
        """The affine map (2, 3) from pixels of a crop of `crop_px` x `crop_px` to pixels of the image."""
        linear = self.axes() * (self.side_px / crop_px)
        corner = np.array([self.cx, self.cy]) - linear @ np.full(2, crop_px / 2)
        return np.column_stack([linear, corner])

    def contains(self, points: Array) -> npt.NDArray[np.bool_]:
        """Which of `points` (N, 2), pixels, lie inside: (N,)."""
        local = (points - np.array([self.cx, self.cy])) @ self.axes()
        return np.all(np.abs(local) <= self.side_px / 2, axis=-1)


def region_of_circle(centre: Array, top: Array) -> Region:
    """The region of a body whose hip centre is `centre` (2,) and whose circle passes `top` (2,), straight up.

    Both networks describe a person by these two points: the detector in its points 0 and 1, the
    landmark network in its points 33 and 34.
    """
    x, y = (float(value) for value in top - centre)
    return Region(
        cx=float(centre[0]),
        cy=float(centre[1]),
        side_px=SIDE_RADII * float(np.hypot(x, y)),
        angle=float(np.arctan2(x, -y)),
    )


def region_of_joints(joints: Array) -> Region:
    """The region of an expected body from its SMPL joints (24, 2), projected to pixels.

    It is what the networks' own points would give: hip centre, shoulders up, circle around everything.
    """
    hips = joints[_HIPS].mean(axis=0)
    trunk = joints[_SHOULDERS].mean(axis=0) - hips
    reach = float(np.linalg.norm(joints - hips, axis=-1).max()) * _RADIUS_IN_REACHES
    length = float(np.linalg.norm(trunk))
    # A trunk seen end-on has no direction; the picture's is as good as any.
    up = trunk / length if length > _SHORT_TRUNK * reach else np.array([0.0, -1.0])
    return region_of_circle(hips, hips + reach * up)


def regions_of_box(box: Array, *, angles: Iterable[float]) -> list[Region]:
    """The regions of a body of which only its box (4,) is known, for each way in which it may be turned."""
    width, height = (float(side) for side in box[2:] - box[:2])
    if not (np.isfinite(box).all() and width > 0 and height > 0):
        return []
    side = SIDE_RADII * _RADIUS_IN_SIDES * max(width, height)
    cx, cy = (float(middle) for middle in (box[:2] + box[2:]) / 2)
    return [Region(cx, cy, side, angle) for angle in angles]
