"""People for made-up scenes: how they move through the picture, and what they wear.

Everything is drawn from a seed. A person's way is a row of legs, walked at a person's pace: to a goal in the
picture, out of it and back, or along behind somebody else.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from body.model import Body
from wire.camera import CROP_PX, FOCAL_256
from wire.skeleton import SMPL_JOINTS
from workers.geometry import rotation_from_vector
from workers.types import Array, BodyPose

Floats = npt.NDArray[np.floating]
Clothes = Literal["distinct", "alike"]

FRAMES_PER_SECOND: Final = 25
#: How tall people are in the picture, in its heights; and the height of the camera, in people's.
NEAREST, FARTHEST = 0.5, 0.3
CAMERA_HEIGHT: Final = 0.75
HORIZON: Final = 0.4  # of the picture's height, from its top
STATURE_M: Final = 1.7

#: Fastest turn of a walker, radians a frame.
TURN: Final = 0.2
STRIDE_M: Final = 1.4


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person through a scene of T frames.

    across (T,): the pelvis, in picture widths, 0..1 inside. height (T,): in picture heights.
    betas (10,): shape. paint (F, 3): 0..1, RGB, of each face of the body.
    """

    across: Floats
    height: Floats
    betas: Array
    paint: Floats
    gait: Floats  # (4,) swings of thighs, knees, arms and trunk, radians


def walk(draw: np.random.Generator, frames: int, *, aspect: float, leaves: bool) -> tuple[Floats, Floats]:
    """Somebody's way, across (T,) and height (T,): to and fro, at times standing; `leaves`: out and back."""
    across, height = [draw.uniform(0.1, 0.9)], [draw.uniform(FARTHEST, NEAREST)]
    while len(across) < frames:
        away = leaves and len(across) > draw.uniform(0.15, 0.3) * frames
        goal = draw.choice([-0.15, 1.15]) if away else draw.uniform(0.08, 0.92)
        leg = _leg(draw, across[-1], goal, height[-1], aspect=aspect)
        across += leg[0].tolist()
        height += leg[1].tolist()
        pause = int(draw.integers(30, 90) if away else draw.choice([0, 0, 0, 10, 20]))
        across += [across[-1]] * pause
        height += [height[-1]] * pause
        if away:
            leaves = False
            if draw.random() < 0.3:  # round the back of the camera
                across[-1] = 1 - goal
    return np.array(across[:frames]), np.array(height[:frames])


def _leg(
    draw: np.random.Generator, start: float, goal: float, height: float, *, aspect: float
) -> tuple[Floats, Floats]:
    pace = draw.uniform(0.8, 1.6) / STATURE_M / FRAMES_PER_SECOND * height / aspect  # widths a frame
    count = max(int(abs(goal - start) / pace), 2)
    share = np.arange(1, count + 1) / count
    nearer = np.clip(height * np.exp(draw.normal(0, 0.1)), FARTHEST, NEAREST)
    return start + share * (goal - start), height + share * (nearer - height)


def shadow(
    draw: np.random.Generator, across: Floats, height: Floats, *, aspect: float
) -> tuple[Floats, Floats]:
    """The way of somebody who walks beside another one, and at times behind them, for up to 40 frames."""
    beside = 0.55 * height.mean() / aspect  # picture widths: out of the other one's outline
    offset: list[float] = []
    side = draw.choice([-1.0, 1.0])
    while len(offset) < len(across):
        hidden = int(draw.integers(8, 34))
        step = int(draw.integers(10, 18))
        out = side if draw.random() < 0.5 else -side
        offset += [side] * int(draw.integers(20, 50))
        offset += np.linspace(side, 0, step).tolist() + [0.0] * hidden + np.linspace(0, out, step).tolist()
        side = out
    return across + beside * np.array(offset[: len(across)]), height * 0.85


def poses(person: Person, body: Body, *, width: int, height: int) -> list[BodyPose]:
    """The person's true pose in every frame of a picture of `width` x `height` pixels."""
    metres = STATURE_M * width / (person.height * height)  # that the picture is wide, where the person is
    speed = np.gradient(person.across) * metres
    coming = -np.gradient(np.log(person.height)) * 4  # metres away a frame, as a camera of usual angle has it
    rotations = _gaits(person, speed, coming)
    focal = FOCAL_256 / CROP_PX * max(width, height)
    depth = focal * STATURE_M / (person.height * height)
    feet = HORIZON * height + CAMERA_HEIGHT * person.height * height
    pelvis_px = np.stack([person.across * width, feet - 0.55 * person.height * height], axis=1)
    pelvis = (pelvis_px - np.array([width, height]) / 2) * (depth / focal)[:, None]
    rest = body.rest_joints(person.betas[None])[0, 0]
    translations = np.concatenate([pelvis, depth[:, None]], axis=1) - rest
    return [
        BodyPose(turned.astype(np.float32), person.betas, moved.astype(np.float32))
        for turned, moved in zip(rotations, translations, strict=True)
    ]


def _gaits(person: Person, speed: Floats, coming: Floats) -> Floats:
    """Rotations (T, 24, 3, 3) of a walk with `speed` (T,) to the right and `coming` (T,) away, m a frame."""
    count = len(speed)
    pace = np.hypot(speed, coming)
    walking = np.minimum(pace * FRAMES_PER_SECOND, 1.0)
    phase = 2 * np.pi * np.cumsum(pace) / STRIDE_M
    thigh, knee, arm, sway = person.gait
    vectors = np.zeros((count, 24, 3))

    def bend(joint: str, axis: int, angle: Floats | float) -> None:
        vectors[:, SMPL_JOINTS.index(joint), axis] = angle

    for sign, side in ((1, "left"), (-1, "right")):
        swing = sign * np.sin(phase) * walking
        bend(f"{side}_hip", 0, -thigh * swing)
        bend(f"{side}_knee", 0, 0.1 + knee * walking * np.maximum(np.cos(phase) * sign, 0))
        bend(f"{side}_shoulder", 2, -sign * 1.25)
        bend(f"{side}_shoulder", 1, -sign * 0.2 + arm * swing)
        bend(f"{side}_elbow", 1, -sign * (0.3 + 0.3 * walking))
    bend("spine2", 1, sway * np.sin(phase) * walking)
    rotations = rotation_from_vector(vectors)
    heading = rotation_from_vector(np.outer(_headings(speed, coming), [0.0, 1.0, 0.0]))
    rotations[:, 0] = np.diag([1.0, -1.0, -1.0]) @ heading
    return rotations


def _headings(speed: Floats, coming: Floats) -> Floats:
    """Where a walker faces (T,), radians; 0: us. Who stands goes on facing where he went."""
    facing, headings = 0.0, []
    for right, away in zip(speed, coming, strict=True):
        if np.hypot(right, away) > 0.01:
            wanted = np.arctan2(right, -away)
            turn = (wanted - facing + np.pi) % (2 * np.pi) - np.pi
            facing += float(np.clip(turn, -TURN, TURN))
        headings.append(facing)
    return np.array(headings)


def gait(draw: np.random.Generator) -> Floats:
    """How one person walks, for `Person.gait`."""
    return draw.uniform([0.35, 0.5, 0.2, 0.05], [0.6, 1.0, 0.7, 0.2])
