"""The vertices of the decimated mesh that stand for points of the face, the feet and the fingertips."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from tools.open_body.people import People
from tools.open_body.surface import Carrier

Array = npt.NDArray[np.float64]

FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def surface_points(people: People, carrier: Carrier) -> dict[str, int]:
    """The vertex of the decimated mesh nearest to each named point."""
    mean = people.vertices.mean(axis=0)
    points = {name: mean[vertex] for name, vertex in people.points.items()} | finger_tips(people)
    _, nearest = cKDTree(carrier.vertices).query(np.stack(list(points.values())))
    return dict(zip(points, nearest.tolist(), strict=True))


def finger_tips(people: People) -> dict[str, Array]:
    """The point (3,), metres, of each finger's skin farthest from the head of its last bone."""
    mean, heads = people.vertices.mean(axis=0), people.heads.mean(axis=0)
    tips = {}
    for side, letter in (("left", "L"), ("right", "R")):
        for number, finger in enumerate(FINGERS, start=1):
            bone = people.bones.index(f"finger{number}-3.{letter}")
            skin = mean[people.weights[:, bone] > 0.5]
            tips[f"{side}_{finger}"] = skin[np.argmax(np.linalg.norm(skin - heads[bone], axis=1))]
    return tips
