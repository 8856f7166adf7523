"""The 4D-Humans observer on one page: frames and whom to expect in them, to observations.

A detector says where people are, HMR2 what body each of them has. It keeps nothing from frame to frame;
what is known about people comes with the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from body.model import Body
from wire.camera import focal_length_px, project
from workers.appearance import Appearance
from workers.boxes import paired
from workers.detectors.person import DetectedPerson, Look, Mask, PersonDetector
from workers.expected import joints_px
from workers.hmr2.camera import full_translation
from workers.hmr2.crop import Squares, tracking_crops, tracking_squares
from workers.hmr2.surfaces import Surfaces
from workers.texture import Texture
from workers.types import Array, BodyPose, Image, Observation, Plan, Progress, unnoticed

Crops = npt.NDArray[np.uint8]  # (N, 256, 256, 3), RGB

#: The box's margin around predicted joints, in its longer sides: scalp, toes and clothes are beyond them.
_BOX_MARGIN: Final = 0.08

#: What a joint counts for that is outside the picture or the person's mask, beside one that is in them.
#: HMR2 places it by all the others, which is better than nothing.
_UNSEEN: Final = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Bodies:
    """What HMR2 sees in N crops, float32; rotations and betas as in `BodyPose`.

    camera (N, 3): s, tx, ty, the weak-perspective camera of each crop.
    """

    rotations: Array  # (N, 24, 3, 3)
    betas: Array  # (N, 10)
    camera: Array


class Estimator(Protocol):
    """Whoever runs the network."""

    def estimate(self, crops: Crops, on_progress: Progress) -> Bodies:
        """The bodies in crops (N, 256, 256, 3), RGB; a crop's body does not depend on its company."""


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The people of one picture, and the squares around them."""

    image: Image
    plan: Plan
    people: list[DetectedPerson]
    squares: Squares

    def crops(self) -> Crops:
        return tracking_crops(self.image, self.squares)


class Hmr2Observer:
    """Sees people with a detector and HMR2. Not thread-safe."""

    name = "hmr2"

    def __init__(
        self,
        *,
        detector: PersonDetector,
        estimator: Estimator,
        appearance: Appearance,
        body: Body,
        model_version: str,
        surfaces: Surfaces | None = None,
    ) -> None:
        """`body` is the one that HMR2 was trained on; `appearance` and `surfaces` sample the same one.

        surfaces: for a tracker that compares people by their texture.
        """
        self._surfaces = surfaces
        self.model_version = model_version
        self._detector = detector
        self._estimator = estimator
        self._appearance = appearance
        self._body = body

    def observe(
        self, frames: Sequence[tuple[Image, Plan]], on_progress: Progress = unnoticed
    ) -> list[list[Observation]]:
        """The people of each frame, HWC uint8 RGB; a frame's answer does not depend on its company.

        On one device, that is, and to rounding: see `workers.hmr2.estimator`.
        """
        found = [
            _Found(image, plan, people, tracking_squares(_boxes(people)))
            for (image, plan), people in zip(frames, self._people(frames, on_progress), strict=True)
        ]
        crops = [one.crops() for one in found]
        if not sum(map(len, crops)):
            return [[] for _ in found]
        bodies = self._estimator.estimate(np.concatenate(crops), on_progress)
        ends = np.cumsum([len(one) for one in crops])
        return [
            self._observations(one, mine, slice(end - len(one.people), end), bodies)
            for one, mine, end in zip(found, crops, ends, strict=True)
        ]

    def _people(
        self, frames: Sequence[tuple[Image, Plan]], on_progress: Progress
    ) -> list[list[DetectedPerson]]:
        """The people of each frame: whom the caller says, or whom the detector finds."""
        expected = [self._expected_boxes(image, plan) for image, plan in frames]
        looks = {
            number: Look(image, expected[number], plan.turn)
            for number, (image, plan) in enumerate(frames)
            if plan.boxes is None
        }
        found = self._detector.people(list(looks.values()), on_progress) if looks else []
        people = dict(zip(looks, found, strict=True))
        return [
            people[number] if plan.boxes is None else _given(plan.boxes, expected[number])
            for number, (_, plan) in enumerate(frames)
        ]

    def _expected_boxes(self, image: Image, plan: Plan) -> Array:
        """Boxes (E, 4) around the bodies that the plan proposes, pixels."""
        if not plan.proposals:
            return np.zeros((0, 4), np.float32)
        height, width = image.shape[:2]
        pixels = joints_px(self._body, plan.proposals, width=width, height=height)
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        margin = _BOX_MARGIN * (high - low).max(axis=1, keepdims=True)
        return np.concatenate([low - margin, high + margin], axis=1).astype(np.float32)

    def _observations(self, found: _Found, crops: Crops, rows: slice, bodies: Bodies) -> list[Observation]:
        """One picture's people with the bodies in `rows`."""
        height, width = found.image.shape[:2]
        rotations, betas = bodies.rotations[rows], bodies.betas[rows]
        translation = full_translation(
            bodies.camera[rows],
            center=found.squares.center,
            side=found.squares.side,
            size=np.array([width, height], np.float32),
            focal_px=focal_length_px(width, height),
        ).astype(np.float32)
        pixels = project(self._body.joints(rotations, betas), translation, width, height)
        poses = [BodyPose(*one) for one in zip(rotations, betas, translation, strict=True)]
        textures: Sequence[Texture | None] = [None] * len(poses)
        if self._surfaces:
            textures = self._surfaces.textures(
                crops,
                found.squares,
                [person.mask for person in found.people],
                rotations=rotations,
                betas=betas,
                camera=bodies.camera[rows],
            )
        return [
            self._observation(found, index, pose, joints, texture)
            for index, (pose, joints, texture) in enumerate(zip(poses, pixels, textures, strict=True))
        ]

    def _observation(
        self, found: _Found, index: int, pose: BodyPose, joints: Array, texture: Texture | None
    ) -> Observation:
        """The person `index` of a picture, with joints (24, 2) where it shows them, pixels."""
        person = found.people[index]
        proposals = found.plan.proposals
        appearance, patch_weight = self._appearance.sample(found.image, pose, person.mask)
        seen = _are_seen(joints, found.image, person.mask)
        return Observation(
            pose=pose,
            box=person.box,
            score=person.score,
            joint_visibility=(person.score * np.where(seen, 1, _UNSEEN)).astype(np.float32),
            appearance=appearance,
            patch_weight=patch_weight,
            detected=person.detected,
            proposal=None if person.expected is None else proposals[person.expected].track_id,
            texture=texture,
            box_index=None if found.plan.boxes is None else index,
        )


def _given(boxes: Array, expected: Array) -> list[DetectedPerson]:
    """The people in the caller's `boxes` (B, 4): the caller has seen them, so none is doubted."""
    return [
        DetectedPerson(box=box, score=1.0, mask=None, expected=one, detected=True)
        for box, one in zip(boxes, paired(boxes, expected), strict=True)
    ]


def _boxes(people: Sequence[DetectedPerson]) -> Array:
    return np.stack([person.box for person in people]) if people else np.zeros((0, 4), np.float32)


def _are_seen(joints: Array, image: Image, mask: Mask | None) -> npt.NDArray[np.bool_]:
    """Which joints (J, 2), pixels, lie in the picture, and on the person where a mask tells."""
    height, width = image.shape[:2]
    column, row = np.rint(np.clip(joints, -1, max(height, width))).astype(np.int64).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    if mask is not None:
        inside[inside] = mask[row[inside], column[inside]]
    return inside
