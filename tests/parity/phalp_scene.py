"""The synthetic video, seen as PHALP sees it: from pictures and masks to sightings, frame by frame."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from tests.fixtures import rules
from tests.parity import networks, phalp_bodies
from workers.hmr2.camera import crop_translation
from workers.hmr2.crop import mask_crops, normalised, tracking_crops, tracking_squares
from workers.hmr2.padded import (
    PaddedPicture,
    joints_and_origin,
    location_vector,
    pose_vector,
    square_points,
)
from workers.phalp.learned.location import place_of
from workers.phalp.learned.sighting import Sighting
from workers.phalp.location import normalised_box

#: Whom PHALP looks at: people, this sure, and at least so wide and high, pixels.
PERSON, SURE, WIDE, HIGH = 0, 0.8, 50, 100


@dataclass(frozen=True)
class Seen:
    """One person in one frame: the sighting, and what the recording has of it beside."""

    sighting: Sighting
    score: float
    box: np.ndarray  # (4,) x0 y0 x1 y1, pixels
    center: np.ndarray  # (2,) and side of the square crop, pixels
    side: float
    camera: np.ndarray  # (3,) s, tx, ty
    betas: np.ndarray  # (10,)
    rotations: np.ndarray  # (24, 3, 3)
    joints: np.ndarray  # (45, 3)
    location: np.ndarray  # (99,)


@cache
def seen(variant: str) -> list[list[Seen]]:
    return [_frame(variant, number) for number in range(rules.SCENE_T)]


def _frame(variant: str, number: int) -> list[Seen]:
    image, boxes, masks, scores, classes, _ = rules.scene(variant, number)
    wide, high = (boxes[:, 2:] - boxes[:, :2]).T
    kept = (classes == PERSON) & (scores > np.float32(SURE)) & (wide >= WIDE) & (high >= HIGH)
    boxes, masks, scores = boxes[kept], masks[kept], scores[kept]
    if not len(boxes):
        return []
    squares = tracking_squares(boxes)
    crops = normalised(tracking_crops(np.ascontiguousarray(image[..., ::-1]), squares))
    with torch.inference_mode():
        found = networks.hmr2("tiny", variant)(torch.from_numpy(crops))
    rotations, betas, camera = (part.numpy() for part in found)
    height, width = image.shape[:2]
    picture = PaddedPicture(width, height)
    translation = picture.translation(camera, center=squares.center, side=squares.side).astype(np.float32)
    mesh = phalp_bodies.body(variant).mesh(rotations, betas)
    joints = joints_and_origin(phalp_bodies.joints_44(variant)(mesh))
    locations = location_vector(square_points(joints, translation), translation)
    poses = pose_vector(rotations, betas, translation).astype(np.float32)
    vertices = mesh.vertices + crop_translation(camera)[:, None]
    inside = (mask_crops(masks, squares) > 0).astype(np.float32)[:, None]
    pictures = np.concatenate([crops, inside], axis=1)
    return [
        Seen(
            sighting=Sighting(
                pose=poses[row],
                place=place_of(translation[row]),
                translation=translation[row],
                texture=phalp_bodies.atlas(variant).unfold(vertices[row], pictures[row]),
                score=float(scores[row]),
                box=normalised_box(boxes[row], width, height).astype(np.float32),
                visibility=np.ones(24, np.float32),
                detected=True,
            ),
            score=float(scores[row]),
            box=boxes[row],
            center=squares.center[row],
            side=float(squares.side[row]),
            camera=camera[row],
            betas=betas[row],
            rotations=rotations[row],
            joints=joints[row],
            location=locations[row].astype(np.float32),
        )
        for row in range(len(boxes))
    ]
