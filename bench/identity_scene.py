"""Made-up scenes of people who walk, cross, hide and return: rendered, and observed with noise and misses.

A scene is what a tracker would be given, beside who is truly where. It does not depend on the tracker:
nobody looks again where somebody is expected, so every miss stays one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bench import identity_clothes, identity_people
from bench.identity_people import Person
from body.model import Body
from body.rasteriser import rasterise
from wire.camera import project
from workers.appearance import Appearance
from workers.geometry import rotation_from_vector
from workers.thumbnail import Thumbnail, thumbnail
from workers.types import Array, BodyPose, Image, Observation

Floats = npt.NDArray[np.floating]
Index = npt.NDArray[np.integer]

#: Chance of a miss, and the mean length of a row of them, frames: detectors miss for a while.
MISSED: Final = 0.36
MISS_FRAMES: Final = 2.0

#: Noise of an observation. Radians at each joint, which make about 20 mm of mean joint error; pixels of the
#: pelvis, in body heights; log depth; shape.
JOINT_NOISE: Final = 0.055
PLACE_NOISE: Final = 0.01
DEPTH_NOISE: Final = 0.03
SHAPE_NOISE: Final = 0.3
#: Joints out of view are seen this many times worse.
HIDDEN_NOISE: Final = 3.0
#: Nobody sees a person of whom less than this share is in view.
LEAST_VISIBLE: Final = 0.5
#: A person with this share in the picture is a part of the scene, seen or not.
PRESENT: Final = 0.5

#: Width of the cells in which vertices become one, metres: people are drawn a hundred pixels tall.
COARSE_M: Final = 0.035

#: Depth by which something is in front of a person, metres at the camera's long focal length.
_IN_FRONT_M: Final = 0.3


@dataclass(frozen=True, slots=True)
class Script:
    """What a scene shows, drawn from `seed`."""

    seed: int
    people: int
    frames: int
    alike: bool
    leavers: int = 1  # go out of the picture and come back
    shadows: int = 1  # go along behind somebody else
    missed: float = MISSED
    width: int = 480
    height: int = 270


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame: who is truly there, hidden or not, and what was observed.

    present: person -> true box (4,), pixels. observed, whose: observations, and of whom each is.
    hidden: those of whom too little is in view.
    """

    present: dict[int, Floats]
    hidden: frozenset[int]
    observed: tuple[Observation, ...]
    whose: tuple[int, ...]
    thumbnail: Thumbnail


class Studio:
    """Renders scripts; holds the body and what is derived of it."""

    def __init__(self) -> None:
        self.body = Body.open()
        self._appearance = Appearance(self.body)
        vertices, self._faces = _coarse(self.body)
        self._coarse = self.body.restricted_to(vertices)
        self._original_faces = vertices[self._faces]

    def film(self, script: Script) -> list[Frame]:
        """The frames of a script."""
        draw = np.random.default_rng(script.seed)
        people = self._cast(draw, script)
        ways = [
            identity_people.poses(one, self.body, width=script.width, height=script.height) for one in people
        ]
        backdrop = _backdrop(draw, width=script.width, height=script.height)
        light = draw.uniform(0.75, 1.0, 2)
        misses = np.stack([_misses(draw, script) for _ in people])
        return [
            self._frame(draw, people, [way[number] for way in ways], backdrop, light, misses[:, number])
            for number in range(script.frames)
        ]

    def _cast(self, draw: np.random.Generator, script: Script) -> list[Person]:
        aspect = script.width / script.height
        outfits = identity_clothes.wardrobe(draw, script.people, alike=script.alike)
        cast: list[Person] = []
        for number, outfit in enumerate(outfits):
            first_shadow = script.people - script.shadows
            if number >= first_shadow:
                before = cast[number - first_shadow]
                across, height = identity_people.shadow(draw, before.across, before.height, aspect=aspect)
            else:
                across, height = identity_people.walk(
                    draw, script.frames, aspect=aspect, leaves=first_shadow - script.leavers <= number
                )
            paint = identity_clothes.painted(draw, self.body, self._original_faces, outfit)
            betas = draw.normal(0, 1, 10).astype(np.float32)
            cast.append(Person(across, height, betas, paint, identity_people.gait(draw)))
        return cast

    def _frame(
        self,
        draw: np.random.Generator,
        people: Sequence[Person],
        poses: Sequence[BodyPose],
        backdrop: Image,
        light: Floats,
        missed: npt.NDArray[np.bool_],
    ) -> Frame:
        height, width = backdrop.shape[:2]
        mesh = self._coarse.mesh(
            np.stack([pose.rotations for pose in poses]), np.stack([pose.betas for pose in poses])
        )
        moves = np.stack([pose.translation for pose in poses])[:, None]
        points = mesh.vertices + moves  # (P, V, 3)
        pixels = project(points.reshape(-1, 3), np.zeros(3, np.float32), width, height).reshape(
            *points.shape[:2], 2
        )
        inside = np.all((pixels > -0.5) & (pixels < np.array([width, height]) - 0.5), axis=2)
        image, depth = self._picture(draw, people, points, pixels, backdrop, light)
        joints = mesh.joints + moves
        joint_pixels = project(joints.reshape(-1, 3), np.zeros(3, np.float32), width, height).reshape(
            -1, 24, 2
        )
        present, hidden, observed, whose = {}, set(), [], []
        for number, pose in enumerate(poses):
            if inside[number].mean() < PRESENT:
                continue
            present[number] = np.concatenate([pixels[number].min(axis=0), pixels[number].max(axis=0)])
            front = _covered(depth, pixels[number], points[number, :, 2].min())
            if (inside[number] & ~front).mean() < LEAST_VISIBLE:
                hidden.add(number)
            elif not missed[number]:
                covered = _covered(depth, joint_pixels[number], points[number, :, 2].min())
                observed.append(self._observed(draw, image, pose, covered))
                whose.append(number)
        return Frame(present, frozenset(hidden), tuple(observed), tuple(whose), thumbnail(image))

    def _picture(
        self,
        draw: np.random.Generator,
        people: Sequence[Person],
        points: Floats,
        pixels: Floats,
        backdrop: Image,
        light: Floats,
    ) -> tuple[Image, Floats]:
        """The picture (H, W, 3), and how far what it shows is (H, W)."""
        height, width = backdrop.shape[:2]
        count = points.shape[1]
        faces = (self._faces + np.arange(len(people))[:, None, None] * count).reshape(-1, 3)
        corners = points.reshape(-1, 3)[faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        facing = -(normals * corners[:, 0]).sum(axis=1)
        shown = np.flatnonzero(facing > 0)
        cosine = (
            facing[shown] / np.linalg.norm(normals[shown], axis=1) / np.linalg.norm(corners[shown, 0], axis=1)
        )
        paint = np.concatenate([one.paint for one in people])[shown] * (0.55 + 0.45 * cosine[:, None])
        buffer = rasterise(
            pixels.reshape(-1, 2), points.reshape(-1, 3)[:, 2], faces[shown], width=width, height=height
        )
        covered = buffer.face_id >= 0
        image = backdrop / 255
        image[covered] = paint[buffer.face_id[covered]]
        image *= np.linspace(*light, width)[None, :, None]
        image += draw.normal(0, 0.015, image.shape)
        return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8), buffer.depth

    def _observed(
        self, draw: np.random.Generator, image: Image, true: BodyPose, covered: npt.NDArray[np.bool_]
    ) -> Observation:
        """What an observer says of a person whose joints (24,) are `covered` by others."""
        height, width = image.shape[:2]
        worse = np.where(covered, HIDDEN_NOISE, 1.0)[:, None]
        noise = rotation_from_vector(draw.normal(0, JOINT_NOISE, (24, 3)) * worse)
        depth = float(true.translation[2])
        stature = identity_people.STATURE_M
        moved = np.array([*draw.normal(0, PLACE_NOISE * stature, 2), depth * draw.normal(0, DEPTH_NOISE)])
        translation = true.translation * (1 + moved[2] / depth) + [moved[0], moved[1], 0]
        pose = BodyPose(
            (true.rotations @ noise).astype(np.float32),
            (true.betas + draw.normal(0, SHAPE_NOISE, 10)).astype(np.float32),
            translation.astype(np.float32),
        )
        visibility = np.where(covered, draw.uniform(0.0, 0.4, 24), draw.uniform(0.75, 1.0, 24))
        joints = self.body.joints(pose.rotations[None], pose.betas[None])[0]
        around = project(joints, pose.translation, width, height)
        margin = 0.06 * np.ptp(around[:, 1])
        appearance, patch_weight = self._appearance.sample(image, pose, visibility=visibility)
        return Observation(
            pose=pose,
            box=np.concatenate([around.min(axis=0) - margin, around.max(axis=0) + margin]).astype(np.float32),
            score=float(draw.uniform(0.7, 0.98)),
            joint_visibility=visibility.astype(np.float32),
            appearance=appearance,
            patch_weight=patch_weight,
            detected=True,
            proposal=None,
        )


def _coarse(body: Body) -> tuple[Index, Index]:
    """Vertices (V,) that stand for all within a cell, and the faces (F, 3) between them, by their order."""
    cells = np.floor(body.template / COARSE_M).astype(np.int64)
    cells = np.column_stack([cells - cells.min(axis=0), body.weights.argmax(axis=1)])  # no part meets another
    _, first, cell_of = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    faces = cell_of.ravel()[body.faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return first, np.unique(faces[whole], axis=0)


def _misses(draw: np.random.Generator, script: Script) -> npt.NDArray[np.bool_]:
    """When (T,) the detector misses somebody: a chain of two states."""
    ends = 1 / MISS_FRAMES
    begins = script.missed * ends / (1 - script.missed)
    chances = draw.random(script.frames)
    missing, misses = bool(chances[0] < script.missed), []
    for chance in chances:
        missing = bool(chance >= ends) if missing else bool(chance < begins)
        misses.append(missing)
    return np.array(misses)


def _covered(depth: Array, pixels: Floats, nearest: float) -> npt.NDArray[np.bool_]:
    """Which of the points (N, 2) of somebody as near as `nearest` lie behind somebody else."""
    height, width = depth.shape
    column, row = np.clip(np.rint(pixels), 0, [width - 1, height - 1]).astype(np.int64).T
    return depth[row, column] < nearest - _IN_FRONT_M


def _backdrop(draw: np.random.Generator, *, width: int, height: int) -> Image:
    """A wall of large soft stains (H, W, 3), uint8."""
    coarse = draw.uniform(60, 200, (6, 10, 3))
    rows, columns = np.linspace(0, 5, height), np.linspace(0, 9, width)
    low_row, low_column = np.minimum(rows.astype(int), 4), np.minimum(columns.astype(int), 8)
    down, right = (rows - low_row)[:, None, None], (columns - low_column)[None, :, None]
    top = coarse[low_row][:, low_column] * (1 - right) + coarse[low_row][:, low_column + 1] * right
    below = coarse[low_row + 1][:, low_column] * (1 - right) + coarse[low_row + 1][:, low_column + 1] * right
    return np.rint(top * (1 - down) + below * down).astype(np.uint8)
