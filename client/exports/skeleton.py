"""One person as a skeleton whose bones keep their length, in the world, at a rate: what most tools take.

Bones follow from a result alone: how far a joint is from its parent, turned back by the parent's rotation,
is the bone at rest. So no body model is needed to write a skeleton, whichever body the result was made
with.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from client.exports.world import World
from client.motion import Motion, Track
from client.records import STATES
from client.results import Person
from wire.skeleton import SMPL_PARENTS

Array = npt.NDArray[np.floating]

_PREDICTED = STATES.index("predicted")

#: A frame that comes at most this part of a frame off its time is in time: containers round.
_IN_TIME = 0.25

_DEFAULT_RATE = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """A person in N moments; metres.

    times_s (N,): ascending. betas (10,). rest (24, 3): joints of the unposed body, in the body's axes from
    its own origin. rotations (N, 24, 3, 3): the pelvis's to the world's axes, others relative to their
    parent. pelvis (N, 3): its place in the world. points (N, P, 3): further places in the world that move
    along.
    """

    times_s: Array
    betas: Array
    rest: Array
    rotations: Array
    pelvis: Array
    points: Array

    @property
    def bones(self) -> Array:
        """From each joint's parent to it, at rest (24, 3); the pelvis's is its place at rest."""
        return np.concatenate([self.rest[:1], self.rest[1:] - self.rest[list(SMPL_PARENTS[1:])]])


def of_track(track: Track, world: World, *, rate: float) -> Skeleton:
    """The person of a track, at its own times.

    Shape and bones are means over the frames in which the person was seen; after two passes they are the same
    in all. `points` are the 24 joints as the result has them, then the five points of the face that COCO has.
    """
    seen = track.states != _PREDICTED
    rows = seen if seen.any() else np.ones(len(seen), bool)
    rest = rest_joints(track.rotations[rows].astype(float), track.joints[rows].astype(float)).mean(axis=0)
    rotations = track.rotations.astype(float)
    rotations[:, 0] = world.turns(rotations[:, 0])
    points = np.concatenate([track.joints, track.keypoints[:, :5]], axis=1) + track.translation[:, None]
    places = world.places(points.astype(float))
    return Skeleton(
        times_s=_ascending(track, rate),
        betas=track.betas[rows].astype(float).mean(axis=0),
        rest=rest,
        rotations=rotations,
        pelvis=places[:, 0],
        points=places,
    )


def _ascending(track: Track, rate: float) -> Array:
    """The times of a track; by the numbers of its frames where the video's say nothing, or stand still."""
    times_s = track.times_s.astype(float)
    told = np.isfinite(times_s).all() and (np.diff(times_s) > 0).all()
    return times_s if told else track.frames / rate


def of_person(person: Person, world: World, *, time_s: float) -> Skeleton:
    """The person of one frame; `points` are the 24 joints."""
    rotations, joints = person.rotations.astype(float)[None], person.joints.astype(float)[None]
    places = world.places(joints + person.translation)
    rest = rest_joints(rotations, joints)[0]
    rotations[:, 0] = world.turns(rotations[:, 0])
    return Skeleton(
        times_s=np.array([time_s]),
        betas=person.betas.astype(float),
        rest=rest,
        rotations=rotations,
        pelvis=places[:, 0],
        points=places,
    )


def rest_joints(rotations: Array, joints: Array) -> Array:
    """Joints (N, 24, 3) of unposed bodies, from posed ones and the rotations (N, 24, 3, 3) that did it."""
    turned = rotations.copy()
    rest = joints.copy()
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        bone = np.einsum("nji,nj->ni", turned[:, parent], joints[:, joint] - joints[:, parent])
        rest[:, joint] = rest[:, parent] + bone
        turned[:, joint] = turned[:, parent] @ turned[:, joint]
    return rest


def rate(motion: Motion) -> float:
    """Frames per second of the video; where it announces none, by its times."""
    if motion.about.frames_per_second:
        return motion.about.frames_per_second
    steps = np.diff(motion.times_s[np.isfinite(motion.times_s)])
    return float(1 / np.median(steps)) if len(steps) and np.median(steps) > 0 else _DEFAULT_RATE


def evenly(skeleton: Skeleton, rate: float) -> Skeleton:
    """The same motion in moments 1/rate apart, from its first to its last.

    Where the video's frames are that, nothing changes. Moments between them, as videos of varying rate and
    frames in which the person was out of reach leave, are interpolated: rotations along the shortest turn.
    """
    steps = (skeleton.times_s - skeleton.times_s[0]) * rate
    if np.all(np.abs(steps - np.rint(steps)) < _IN_TIME) and np.all(np.diff(np.rint(steps)) > 0):
        steps = np.rint(steps)
    wanted = np.arange(int(np.rint(steps[-1])) + 1, dtype=float)
    before = np.clip(np.searchsorted(steps, wanted, side="right") - 1, 0, max(len(steps) - 2, 0))
    after = np.minimum(before + 1, len(steps) - 1)
    share = np.clip((wanted - steps[before]) / np.maximum(steps[after] - steps[before], 1e-9), 0, 1)
    return replace(
        skeleton,
        times_s=skeleton.times_s[0] + wanted / rate,
        rotations=_between(skeleton.rotations[before], skeleton.rotations[after], share),
        pelvis=_mixed(skeleton.pelvis[before], skeleton.pelvis[after], share),
        points=_mixed(skeleton.points[before], skeleton.points[after], share),
    )


def quaternions(rotations: Array) -> Array:
    """Rotations (N, J, 3, 3) as quaternions (N, J, 4), x y z w, each on the side of the one before it."""
    count, joints = rotations.shape[:2]
    turns = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_quat().reshape(count, joints, 4)
    flips = np.sum(turns[1:] * turns[:-1], axis=-1) < 0
    turns[1:] *= np.where(np.cumsum(flips, axis=0) % 2, -1.0, 1.0)[..., None]
    return np.asarray(turns)


def _mixed(first: Array, second: Array, share: Array) -> Array:
    weight = share.reshape(-1, *[1] * (first.ndim - 1))
    return first * (1 - weight) + second * weight


def _between(first: Array, second: Array, share: Array) -> Array:
    """Rotations (N, J, 3, 3) on the way from one to the other; exactly these where the share is 0 or 1."""
    mixed = np.where((share < 1)[:, None, None, None], first, second)
    rows = np.flatnonzero((share > 0) & (share < 1))
    if len(rows):
        shape = first[rows].shape
        start = Rotation.from_matrix(first[rows].reshape(-1, 3, 3))
        way = (start.inv() * Rotation.from_matrix(second[rows].reshape(-1, 3, 3))).as_rotvec()
        part = Rotation.from_rotvec(way * np.repeat(share[rows], shape[1])[:, None])
        mixed[rows] = (start * part).as_matrix().reshape(shape)
    return mixed
