"""BlazePose's person detector on one square of an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from workers.blazepose.crop import cut
from workers.blazepose.network import Network
from workers.blazepose.region import Region, region_of_circle
from workers.blazepose.together import Together
from workers.boxes import overlap
from workers.types import Array, Image

_INPUT_PX = 224

#: Cells per side of each group of anchors and anchors per cell: strides 8, 16 and three times 32, two per
#: cell and layer (mediapipe, `pose_detection_cpu.pbtxt`).
_ANCHOR_GRIDS = ((28, 2), (14, 2), (7, 6))

_MAX_LOGIT = 100.0
_SAME_PERSON_IOU = 0.3


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of an image, pixels; it may reach over the edges, where it is black."""

    x0: float
    y0: float
    side_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A person as the detector sees one, pixels of the image.

    box (4,): x0 y0 x1 y1 of the face. points (4, 2): hip centre, top of the circle around the
    whole body, shoulder centre, top of the circle around the upper body. score: 0..1.
    """

    box: Array
    points: Array
    score: float

    @property
    def region(self) -> Region:
        """Where the landmarks of this person are."""
        return region_of_circle(self.points[0], self.points[1])


class Detector:
    """The detector network. One per worker; not thread-safe.

    One look gets all threads. Of several, two at a time get half of them each, as with landmarks.
    """

    def __init__(self, model: bytes, *, threads: int) -> None:
        """`model`: the contents of `pose_detection.tflite`."""
        self.threads = threads
        self._network = Network(model, threads=threads)
        self._modest, self._halves = self._network, (self._network, self._network)
        if threads > 1:
            half = threads // 2
            self._modest = Network(model, threads=threads - 1)
            # Of two threads one is a half and all but one: a network less, of 25 MB.
            first = self._modest if half == threads - 1 else Network(model, threads=half)
            self._halves = (first, Network(model, threads=half))
        self._together = Together(threads=threads)
        self._anchors = _anchors()

    def detect(
        self, image: Image, tile: Tile, *, min_score: float = 0.5, modest: bool = False
    ) -> list[Detection]:
        """The people in `tile` of `image`, HWC uint8 RGB, best first; positions in pixels of the image.

        modest: leave a thread to others; it changes nothing but the time.
        """
        return self._look(self._modest if modest else self._network, image, tile, min_score=min_score)

    def detect_all(
        self, image: Image, tiles: Sequence[Tile], *, min_score: float = 0.5
    ) -> list[list[Detection]]:
        """What `detect` gives for each of `tiles`, to the bit."""
        one, other = (partial(self._look, network, image, min_score=min_score) for network in self._halves)
        return self._together.in_pairs(
            tiles, one, other, last=partial(self.detect, image, min_score=min_score)
        )

    def _look(self, network: Network, image: Image, tile: Tile, *, min_score: float) -> list[Detection]:
        scale = tile.side_px / _INPUT_PX
        to_image = np.array([[scale, 0, tile.x0], [0, scale, tile.y0]])
        crop = cut(image, to_image, _INPUT_PX, border=cv2.BORDER_CONSTANT)
        network.run(crop, low=-1.0, high=1.0)
        logits = np.clip(network.output(1)[:, 0], -_MAX_LOGIT, _MAX_LOGIT)
        scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
        likely = np.flatnonzero(scores >= min_score)
        if not len(likely):
            return []
        values = network.output(0)[likely].reshape(-1, 6, 2) / _INPUT_PX
        values[:, [0, 2, 3, 4, 5]] += self._anchors[likely, None]
        corners = np.stack([values[:, 0] - values[:, 1] / 2, values[:, 0] + values[:, 1] / 2], axis=1)
        shapes = np.concatenate([corners, values[:, 2:]], axis=1)  # (N, 6, 2): two corners, four points
        placed = shapes * tile.side_px + np.array([tile.x0, tile.y0], dtype=np.float32)
        return [
            Detection(box=shape[:2].reshape(4), points=shape[2:], score=score)
            for shape, score in merge_overlapping(placed, scores[likely])
        ]


def whole_frame(width: int, height: int) -> Tile:
    """The smallest square around a picture of `width` x `height` pixels, centred on it."""
    side = max(width, height)
    return Tile((width - side) / 2, (height - side) / 2, side)


def merge_overlapping(shapes: Array, scores: Array) -> list[tuple[Array, float]]:
    """One shape for each group of boxes that overlap the group's best by more than 0.3, best first.

    shapes (N, 6, 2): box corners and points; scores (N,). The merged shape is the mean of its
    group, weighted by score; its score is the best one's.
    """
    boxes = shapes[:, :2].reshape(-1, 4)
    order = np.argsort(-scores, kind="stable")
    merged = []
    while len(order):
        shares = overlap(boxes[order], boxes[order[0]])
        shares[0] = 1  # a box without area still stands for itself
        group = order[shares > _SAME_PERSON_IOU]
        weight = scores[group] / scores[group].sum()
        merged.append((np.einsum("n,nij->ij", weight, shapes[group]), float(scores[order[0]])))
        order = order[shares <= _SAME_PERSON_IOU]
    return merged


def _anchors() -> npt.NDArray[np.float32]:
    """Centres (2254, 2) of the anchors, x and y in 0..1 of the tile, row by row."""
    layers = []
    for cells, per_cell in _ANCHOR_GRIDS:
        centre = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(centre, centre, indexing="ij")
        layers.append(np.repeat(np.column_stack([x.ravel(), y.ravel()]), per_cell, axis=0))
    return np.concatenate(layers).astype(np.float32)
