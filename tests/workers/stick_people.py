"""People made of sticks: a skeleton, smooth motions, and what an observer would say of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wire.camera import project
from wire.skeleton import SMPL_PARENTS
from workers.geometry import rotation_from_vector
from workers.thumbnail import Thumbnail, thumbnail
from workers.types import BodyPose, Observation

Floats = npt.NDArray[np.floating]

WIDTH, HEIGHT = 640, 360
PATCHES = 8

#: Rest joints, metres: x to the body's left, y up, z forward; the pelvis is not the origin.
REST = np.array(
    [
        [0.0, 0.9, 0.0], [0.1, 0.85, 0.0], [-0.1, 0.85, 0.0], [0.0, 1.0, 0.0], [0.1, 0.48, 0.0],
        [-0.1, 0.48, 0.0], [0.0, 1.13, 0.0], [0.1, 0.08, 0.0], [-0.1, 0.08, 0.0], [0.0, 1.2, 0.0],
        [0.1, 0.02, 0.12], [-0.1, 0.02, 0.12], [0.0, 1.42, 0.0], [0.08, 1.35, 0.0], [-0.08, 1.35, 0.0],
        [0.0, 1.5, 0.0], [0.18, 1.37, 0.0], [-0.18, 1.37, 0.0], [0.44, 1.37, 0.0], [-0.44, 1.37, 0.0],
        [0.69, 1.37, 0.0], [-0.69, 1.37, 0.0], [0.77, 1.37, 0.0], [-0.77, 1.37, 0.0],
    ]
)  # fmt: skip

UPRIGHT = np.diag([1.0, -1.0, -1.0])  # faces the camera: y up becomes y down, z forward becomes z near


def joints_of(rotations: Floats, betas: Floats) -> Floats:
    """Joints (N, 24, 3) of a stick body; the first number of `betas` makes it taller."""
    rest = REST * (1 + 0.1 * betas[:, :1, None])
    turned = [rotations[:, 0]]
    joints = [rest[:, 0]]
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        bone = rest[:, joint] - rest[:, parent]
        joints.append(joints[parent] + np.einsum("nij,nj->ni", turned[parent], bone))
        turned.append(turned[parent] @ rotations[:, joint])
    return np.stack(joints, axis=1).astype(rotations.dtype)


@dataclass(frozen=True)
class Person:
    """Someone who walks across the picture, swinging; smooth, and dressed in colours of their own."""

    seed: int
    start_px: tuple[float, float] = (200.0, 180.0)
    speed_px: tuple[float, float] = (1.0, 0.0)
    height_px: float = 150.0
    swing: float = 0.4
    betas: tuple[float, ...] = (0.0,) * 10

    def pose(self, frame: float) -> BodyPose:
        """The true pose in a frame."""
        draw = np.random.default_rng(self.seed)
        amplitude = draw.normal(0, self.swing, (24, 3))
        phase, rate = draw.uniform(0, 2 * np.pi, (24, 3)), draw.uniform(0.08, 0.16, (24, 3))
        vectors = amplitude * np.sin(phase + rate * frame)
        vectors[0] *= 0.3
        rotations = rotation_from_vector(vectors)
        rotations[0] = UPRIGHT @ rotations[0]
        focal = 5000 / 256 * WIDTH
        depth = focal * 1.6 / self.height_px
        x = self.start_px[0] + self.speed_px[0] * frame
        y = self.start_px[1] + self.speed_px[1] * frame
        pelvis = np.array([(x - WIDTH / 2) * depth / focal, (y - HEIGHT / 2) * depth / focal, depth])
        betas = np.array(self.betas)
        rest = joints_of(np.eye(3)[None, None].repeat(24, 1), betas[None])[0, 0]
        return BodyPose(
            rotations.astype(np.float32), betas.astype(np.float32), (pelvis - rest).astype(np.float32)
        )

    def colours(self) -> Floats:
        """Mean colours (PATCHES, 3) of the person's clothes."""
        return np.random.default_rng(1000 + self.seed).uniform(0, 1, (PATCHES, 3))

    def observed(self, frame: float, *, noise: float = 0.0, noise_seed: int = 0) -> Observation:
        """What an observer says of the person; `noise` in radians at every joint, and its like elsewhere."""
        draw = np.random.default_rng((self.seed, noise_seed, int(frame * 1000) & 0xFFFFFFFF))
        true = self.pose(frame)
        rotations = true.rotations @ rotation_from_vector(draw.normal(0, noise, (24, 3)))
        depth = true.translation[2]
        shift = draw.normal(0, noise, 3) * np.array([0.1, 0.1, 0.2 * depth])
        pose = BodyPose(
            rotations.astype(np.float32), true.betas, (true.translation + shift).astype(np.float32)
        )
        colours = self.colours() + draw.normal(0, 0.03, (PATCHES, 3))
        return Observation(
            pose=pose,
            box=box_of(pose),
            score=0.95,
            joint_visibility=np.full(24, 0.9, np.float32),
            appearance=np.clip(colours, 0, 1).astype(np.float32),
            patch_weight=np.ones(PATCHES, np.float32),
            detected=True,
            proposal=None,
        )


def pixels(pose: BodyPose) -> Floats:
    """Where the joints (24, 2) of a pose are, pixels."""
    joints = joints_of(pose.rotations[None].astype(float), pose.betas[None].astype(float))[0]
    return project(joints, pose.translation.astype(float), WIDTH, HEIGHT)


def box_of(pose: BodyPose) -> npt.NDArray[np.float32]:
    """The box (4,) around the joints of a pose."""
    points = pixels(pose)
    return np.concatenate([points.min(axis=0) - 5, points.max(axis=0) + 5]).astype(np.float32)


def looks(people: Sequence[Person], frame: float, *, light: float = 0.0) -> Thumbnail:
    """A picture of people before a wall of many greys; `light` brightens all of it."""
    image = np.random.default_rng(7).uniform(60, 120, (HEIGHT, WIDTH, 3))
    for person in people:
        for x, y in pixels(person.pose(frame)).astype(int):
            image[max(y - 12, 0) : max(y + 12, 0), max(x - 12, 0) : max(x + 12, 0)] = 220
    return thumbnail(np.clip(image + light, 0, 255).astype(np.uint8))


def swapped(seen: Observation) -> Observation:
    """The same observation with front and back mistaken: left is right."""
    half_turn = rotation_from_vector(np.array([0.0, np.pi, 0.0]))
    rotations = seen.pose.rotations.copy()
    rotations[0] = rotations[0] @ half_turn
    return replace(seen, pose=replace(seen.pose, rotations=rotations.astype(np.float32)))
