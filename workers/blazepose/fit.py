"""From 33 landmarks to the SMPL body: rotations, shape and camera that put its markers on them.

The pose that the tracker expects, or else a closed-form one, is improved by a few damped
Gauss-Newton steps. Body shape is not part of them: it belongs to the track, which averages
what each frame suggests.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from body.model import Body
from wire.camera import focal_length_px
from wire.skeleton import SMPL_JOINTS
from workers.blazepose import kinematics
from workers.blazepose.flips import unflip
from workers.blazepose.habits import habits, near
from workers.blazepose.kinematics import JOINTS, Array, Rest
from workers.blazepose.landmarks import Landmarks
from workers.blazepose.lift import lift
from workers.blazepose.markers import INDEX, OWNERS, attach
from workers.blazepose.shape import ShapeEstimate
from workers.blazepose.solve import Guess, Seen, solve
from workers.blazepose.start import start
from workers.geometry import nearest_rotation
from workers.types import BodyPose

#: Weight of a landmark that the network takes for hidden: it still guesses better than nothing.
_HIDDEN = 0.05

#: How near the expected pose is held, radians: limbs follow it only in what landmarks leave open, for
#: smoothing is the tracker's.
_CONTINUOUS_SIGMA = 0.5
_JUMPED_SIGMA = 3.0
#: The same for the trunk and head of an upright person: how they are turned shows in depth alone, and
#: where left and right were mistaken it hardly shows at all.
_TRUNK_SIGMA = 0.2
_FLIPPED_TRUNK_SIGMA = 0.08
_UPRIGHT = 0.5  # cosine
_TRUNK = [SMPL_JOINTS.index(joint) for joint in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")]
#: The expected pose is where the steps begin when its markers are this near on average, metres.
_CLOSE_M = 0.2

#: The least and the largest person, pixels and frame sides, for a tall one: they bound the distance.
_SMALLEST_PX = 4.0
_LARGEST_SIDES = 10.0
_TALL_M = 1.7

#: Coordinates beyond these are no landmarks; they only keep the arithmetic finite.
_FAR_SIDES = 100.0
_FAR_M = 5.0

#: Joints whose visibility is that of landmarks with other names.
_SHOWN_BY = {
    "pelvis": ("left_hip", "right_hip"),
    "spine1": ("left_hip", "right_hip"),
    "spine2": ("left_shoulder", "right_shoulder", "left_hip", "right_hip"),
    "spine3": ("left_shoulder", "right_shoulder"),
    "neck": ("left_shoulder", "right_shoulder"),
    "head": ("nose", "left_ear", "right_ear"),
    "left_collar": ("left_shoulder",),
    "right_collar": ("right_shoulder",),
    "left_foot": ("left_foot_index",),
    "right_foot": ("right_foot_index",),
    "left_hand": ("left_index", "left_pinky"),
    "right_hand": ("right_index", "right_pinky"),
}


@dataclass(frozen=True, slots=True, eq=False)
class FittedBody:
    """One body laid over the landmarks of one frame.

    pose: with the expected pose's betas where there was one, else with `shape_estimate`.
    joint_visibility (24,): 0..1. shape_estimate (10,): the betas that this frame alone suggests.
    flipped: left and right were swapped somewhere, to match the expected pose.
    """

    pose: BodyPose
    joint_visibility: npt.NDArray[np.float32]
    shape_estimate: npt.NDArray[np.float32]
    flipped: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What is read of the 33 landmarks.

    centred (33, 2): pixels from the principal point. points (33, 3): metres, camera axes, any origin.
    visibility and weight (33,): 0..1. pixels_per_m: at the person.
    """

    centred: Array
    points: Array
    visibility: Array
    weight: Array
    pixels_per_m: float


class Fit:
    """Fits one body model to landmarks. It keeps nothing between calls."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._habits = habits()
        self._shape = ShapeEstimate(self._rest_at)
        self._shown_by = _shown_by()

    def fit(
        self, landmarks: Landmarks, *, width: int, height: int, prior: BodyPose | None, continuous: bool
    ) -> FittedBody:
        """The body on `landmarks` in an image of `width` x `height` pixels.

        prior: the pose that the tracker expects in this frame, with the track's betas. continuous: it
        follows from the frame just before; else it is a weak hint.
        """
        focal = focal_length_px(width, height)
        read = _read(landmarks, width=width, height=height)
        estimate = self._shape(read.points, read.visibility)
        betas = estimate if prior is None else _finite(prior.betas, 10.0)
        rest = self._rest_at(betas)
        local, pull, flipped = None, self._habits, False
        if prior is not None:
            expected = nearest_rotation(prior.rotations.astype(np.float64))
            read, distance_m, flipped = _met(read, rest, expected, continuous=continuous)
            local = expected if distance_m < _CLOSE_M else None
            pull += near(expected, _hold(expected, continuous=continuous, flipped=flipped))
        if local is None:
            local = start(read.points)
        seen = Seen(
            rays=read.centred / focal,
            points=read.points,
            weight=read.weight,
            nearest_m=focal * _TALL_M / (_LARGEST_SIDES * max(width, height)),
            farthest_m=focal * _TALL_M / _SMALLEST_PX,
        )
        guess = solve(rest, seen, pull, Guess(local, _place(rest, local, seen, focal / read.pixels_per_m)))
        return FittedBody(
            pose=BodyPose(
                rotations=nearest_rotation(guess.local).astype(np.float32),
                betas=betas.astype(np.float32),
                translation=guess.translation.astype(np.float32),
            ),
            joint_visibility=(self._shown_by @ read.visibility).astype(np.float32),
            shape_estimate=estimate.astype(np.float32),
            flipped=flipped,
        )

    def _rest_at(self, betas: Array) -> Rest:
        return attach(self._body.rest_joints(betas[None])[0].astype(np.float64))


def _read(landmarks: Landmarks, *, width: int, height: int) -> _Read:
    """The landmarks in an image of `width` x `height` pixels, made finite."""
    middle = np.array([width, height]) / 2
    centred = _finite(landmarks.pixels[:, :2] - middle, _FAR_SIDES * max(width, height))
    visibility = _finite(landmarks.visibility, 1.0).clip(0, 1)
    weight = _HIDDEN + (1 - _HIDDEN) * visibility
    points, pixels_per_m = lift(centred, _finite(landmarks.world, _FAR_M), weight)
    return _Read(centred, points, visibility, weight, pixels_per_m)


def _met(read: _Read, rest: Rest, expected: Array, *, continuous: bool) -> tuple[_Read, float, bool]:
    """The landmarks beside the markers of the `expected` rotations (24, 3, 3).

    Left and right are taken back where they were swapped, if the picture goes on. With them: how far they
    are from the markers on average, metres, and whether any were swapped.
    """
    markers = kinematics.pose(rest, expected).markers
    at_points = markers - read.weight @ (markers - read.points) / read.weight.sum()
    flipped = False
    if continuous:
        points, source, flipped = unflip(read.points, at_points)
        read = _Read(
            centred=read.centred[source],
            points=points,
            visibility=read.visibility[source],
            weight=read.weight[source],
            pixels_per_m=read.pixels_per_m,
        )
    apart = np.linalg.norm(read.points - at_points, axis=1)
    return read, float(read.weight @ apart / read.weight.sum()), flipped


def _hold(expected: Array, *, continuous: bool, flipped: bool) -> Array:
    """How near each joint (24,) is held to its `expected` rotation, radians."""
    sigma = np.full(JOINTS, _CONTINUOUS_SIGMA if continuous else _JUMPED_SIGMA)
    if continuous and _is_upright(expected):
        sigma[_TRUNK] = _FLIPPED_TRUNK_SIGMA if flipped else _TRUNK_SIGMA
    return sigma


def _place(rest: Rest, local: Array, seen: Seen, depth: float) -> Array:
    """The translation that puts the markers' mean on that of the rays, `depth` metres away."""
    depth = float(np.clip(depth, seen.nearest_m, seen.farthest_m))
    share = seen.weight / seen.weight.sum()
    middle = share @ kinematics.pose(rest, local).markers
    return np.append(depth * (share @ seen.rays) - middle[:2], depth - middle[2])


def _is_upright(rotations: Array) -> bool:
    """Whether the trunk of rotations (24, 3, 3) points up in the picture: who lies or tumbles turns fast."""
    return bool(-rotations[0, 1, 1] > _UPRIGHT)


def _finite(values: npt.NDArray[np.floating], bound: float) -> Array:
    return np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0).clip(-bound, bound)


def _shown_by() -> Array:
    """(24, 33): the share of each landmark in a joint's visibility; rows sum to 1."""
    share = np.zeros((JOINTS, len(OWNERS)))
    for row, joint in zip(share, SMPL_JOINTS, strict=True):
        shown_by = _SHOWN_BY.get(joint, (joint,))
        row[[INDEX[name] for name in shown_by]] = 1 / len(shown_by)
    return share
