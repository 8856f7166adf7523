"""The synthetic video, seen as PHALP sees it: from pictures and masks to sightings, frame by frame."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from tests.fixtures import rules
from tests.parity import networks, phalp_bodies, phalp_rounding
from tests.parity.pictures import joints_and_origin, location_vector, square_points, square_translation
from tests.parity.recordings import Recording
from workers.hmr2.camera import crop_translation
from workers.hmr2.crop import Squares, mask_crops, normalised, tracking_crops, tracking_squares
from workers.hmr2.network import Hmr2
from workers.phalp.learned.location import place_of
from workers.phalp.learned.pose import pose_vector
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


@dataclass(frozen=True)
class Shown:
    """Whom PHALP looks at in a frame: N people."""

    width: int  # of the picture, pixels
    height: int
    boxes: np.ndarray  # (N, 4) x0 y0 x1 y1, pixels
    scores: np.ndarray  # (N,)
    squares: Squares
    crops: np.ndarray  # (N, 4, 256, 256) normalised RGB, and the mask


@cache
def seen(variant: str) -> list[list[Seen]]:
    return [_frame(variant, number) for number in range(rules.SCENE_T)]


def as_recorded(recording: Recording) -> list[list[Sighting]]:
    """The same people with the bodies, cameras and places of the recording, to the last bit."""
    poses, locations = recording["det_pose"], recording["det_loca"]
    corners, numbers = recording["row_bbox"][:, :2], recording["row_frame"]
    frames = []
    for number, found in enumerate(seen(recording.variant)):
        here = recording["det_frame"] == number
        frames.append([])
        if not found:
            continue
        # Cameras are recorded of those who were told of.
        told = [np.flatnonzero((numbers == number) & (corners == one.box[:2]).all(axis=1)) for one in found]
        camera = np.stack(
            [
                recording["row_camera_bbox"][rows[0]] if rows.size else one.camera
                for rows, one in zip(told, found, strict=True)
            ]
        )
        rotations, betas = np.split(poses[here][:, :226], [216], axis=1)
        bodies = phalp_rounding.vertices(recording.variant, rotations.reshape(-1, 24, 3, 3), betas, camera)
        crops = _shown(recording.variant, number).crops
        for one, pose, location, body, crop in zip(
            found, poses[here], locations[here], bodies, crops, strict=True
        ):
            texture = phalp_bodies.atlas(recording.variant).unfold(body, crop)
            place, translation = location[[88, 89, 92]], location[90:93]
            frames[-1].append(
                replace(one.sighting, pose=pose, place=place, translation=translation, texture=texture)
            )
    return frames


def _shown(variant: str, number: int) -> Shown:
    image, boxes, masks, scores, classes, _ = rules.scene(variant, number)
    wide, high = (boxes[:, 2:] - boxes[:, :2]).T
    kept = (classes == PERSON) & (scores > np.float32(SURE)) & (wide >= WIDE) & (high >= HIGH)
    squares = tracking_squares(boxes[kept])
    pictures = normalised(tracking_crops(np.ascontiguousarray(image[..., ::-1]), squares))
    inside = (mask_crops(masks[kept], squares) > 0).astype(np.float32)[:, None]
    height, width = image.shape[:2]
    crops = np.concatenate([pictures, inside], axis=1)
    return Shown(width, height, boxes[kept], scores[kept], squares, crops)


@cache
def _network(variant: str) -> Hmr2:
    return networks.hmr2("tiny", variant)


def _frame(variant: str, number: int) -> list[Seen]:
    shown = _shown(variant, number)
    boxes, squares = shown.boxes, shown.squares
    if not len(boxes):
        return []
    with torch.inference_mode():
        found = _network(variant)(torch.from_numpy(shown.crops[:, :3].copy()))
    rotations, betas, camera = (part.numpy() for part in found)
    translation = square_translation(
        camera, center=squares.center, side=squares.side, width=shown.width, height=shown.height
    ).astype(np.float32)
    mesh = phalp_bodies.body(variant).mesh(rotations, betas)
    joints = joints_and_origin(phalp_bodies.joints_44(variant)(mesh))
    locations = location_vector(square_points(joints, translation), translation)
    poses = pose_vector(rotations, betas, translation).astype(np.float32)
    vertices = mesh.vertices + crop_translation(camera)[:, None]
    return [
        Seen(
            sighting=Sighting(
                pose=poses[row],
                place=place_of(translation[row]),
                translation=translation[row],
                texture=phalp_bodies.atlas(variant).unfold(vertices[row], shown.crops[row]),
                score=float(shown.scores[row]),
                box=normalised_box(boxes[row], shown.width, shown.height).astype(np.float32),
                visibility=np.ones(24, np.float32),
                detected=True,
            ),
            score=float(shown.scores[row]),
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
