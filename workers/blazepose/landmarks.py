"""The 33 BlazePose landmarks of the person in one region of an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from workers.blazepose.crop import cut
from workers.blazepose.graph import pruned
from workers.blazepose.network import Network
from workers.blazepose.region import Region, region_of_circle
from workers.blazepose.together import Together
from workers.types import Array, Image

#: Landmarks of the body; the network adds two that span the next region, and four we do not use.
LANDMARKS = 33
_POINTS = 39
#: What is read of the network's outputs: points, score, heat maps, world points; not the segmentation.
READ = (0, 1, 3, 4)
_CIRCLE_CENTRE, _CIRCLE_TOP = 33, 34

#: Half the window, in heat map cells, in which a landmark is refined, and the peak that it needs there.
#: mediapipe's graph file says 7 cells, its behaviour says 9: with those its landmarks are met to 0.01 px.
_REFINE_RADIUS = 4
_REFINE_PEAK = 0.5

#: A landmark is taken for part of the picture from this presence on.
_PRESENT = 0.5
#: The box's margin around the landmarks, in its longer sides: scalp and clothes are beyond them.
_BOX_MARGIN = 0.06


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """One person's landmarks, in BlazePose's order.

    pixels (33, 3): x, y and depth relative to the hips, pixels of the image; smaller depth is nearer.
    visibility (33,): 0..1, in the picture and not hidden. presence (33,): 0..1, in the picture.
    clarity (33,): 0..1, how sure the network's heat maps are of where each was put.
    world (33, 3): metres, camera axes (x right, y down, z away), origin between the hips.
    score: 0..1, how surely the region shows a person. region: where the network looked.
    following: where to look for the same person next.
    """

    pixels: Array
    visibility: Array
    presence: Array
    clarity: Array
    world: Array
    score: float
    region: Region
    following: Region


class LandmarkFinder:
    """The landmark network. One per worker; not thread-safe.

    One person gets all threads. Of several, two at a time get half of them each: what there is to do around
    the network then goes on side by side, too.
    """

    def __init__(self, model: bytes, *, threads: int) -> None:
        """`model`: the contents of `pose_landmark_full.tflite`."""
        graph = pruned(model, outputs=READ)
        self._network = Network(graph, threads=threads)
        self._halves = (
            (Network(graph, threads=threads // 2), Network(graph, threads=threads // 2))
            if threads > 1
            else (self._network, self._network)
        )
        self._together = Together(threads=threads)

    def find(self, image: Image, region: Region, *, min_score: float = 0.5) -> Landmarks | None:
        """The landmarks of the person in `region` of `image`, HWC uint8 RGB; None: nobody is there."""
        return self._find(self._network, image, region, min_score=min_score)

    def find_all(
        self, image: Image, regions: Sequence[Region], *, min_score: float = 0.5
    ) -> list[Landmarks | None]:
        """What `find` gives for each of `regions`, to the bit."""
        one, other = (partial(self._find, network, image, min_score=min_score) for network in self._halves)
        return self._together.in_pairs(
            regions, one, other, last=partial(self.find, image, min_score=min_score)
        )

    @staticmethod
    def _find(network: Network, image: Image, region: Region, *, min_score: float) -> Landmarks | None:
        to_image = region.to_image(network.input_px)
        crop = cut(image, to_image, network.input_px, border=cv2.BORDER_REPLICATE)
        network.run(crop, low=0.0, high=1.0)
        score = float(network.output(1)[0])
        if not score >= min_score:
            return None
        raw = network.output(0).reshape(_POINTS, 5)
        heat = network.output(2)
        points, peaks = refine(raw[:, :2], heat, crop_px=network.input_px)
        placed = points @ to_image[:, :2].T + to_image[:, 2]  # (39, 2)
        depth = raw[:LANDMARKS, 2] * (region.side_px / network.input_px)
        certainty = _sigmoid(raw[:LANDMARKS, 3:])
        return Landmarks(
            pixels=np.column_stack([placed[:LANDMARKS], depth]).astype(np.float32),
            visibility=certainty[:, 0],
            presence=certainty[:, 1],
            clarity=peaks[:LANDMARKS],
            world=_upright_to_camera(network.output(3).reshape(_POINTS, 3)[:LANDMARKS], region),
            score=score,
            region=region,
            following=region_of_circle(placed[_CIRCLE_CENTRE], placed[_CIRCLE_TOP]),
        )


def box_around(landmarks: Landmarks) -> Array:
    """The box (4,), pixels, around the landmarks that are in the picture, or all if none is."""
    present = landmarks.presence >= _PRESENT
    points = landmarks.pixels[present if present.any() else slice(None), :2]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _BOX_MARGIN * (high - low).max()
    return np.concatenate([low - margin, high + margin]).astype(np.float32)


def refine(points: Array, heat: Array, *, crop_px: int) -> tuple[Array, Array]:
    """`points` (N, 2), crop pixels, moved to the centre of the heat around them, and its peaks (N,), 0..1.

    heat (H, W, N): logits of where each point is. Points outside the crop, or without a clear peak nearby,
    stay (mediapipe, `refine_landmarks_from_heatmap_calculator.cc`).
    """
    side = heat.shape[0]
    cells = np.trunc(points * (side / crop_px)).astype(np.int64)  # (N, 2), column and row
    inside = np.all((points >= 0) & (cells < side), axis=-1)
    offsets = np.arange(-_REFINE_RADIUS, _REFINE_RADIUS + 1)
    columns = cells[:, :1] + offsets  # (N, 9)
    rows = cells[:, 1:] + offsets
    valid = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    window = heat[
        np.clip(rows, 0, side - 1)[:, :, None],
        np.clip(columns, 0, side - 1)[:, None, :],
        np.arange(len(points))[:, None, None],
    ]  # (N, 9, 9)
    weight = np.where(valid, _sigmoid(window), 0)
    total = np.maximum(weight.sum(axis=(1, 2)), np.finfo(np.float32).tiny)
    centre = np.column_stack(
        [(weight.sum(axis=1) * columns).sum(axis=1) / total, (weight.sum(axis=2) * rows).sum(axis=1) / total]
    )
    peaks = weight.max(axis=(1, 2))
    clear = inside & (peaks >= _REFINE_PEAK)
    return np.where(clear[:, None], centre * (crop_px / side), points), peaks


def _upright_to_camera(world: Array, region: Region) -> Array:
    """`world` (33, 3) in the axes of the region, turned into those of the image."""
    turned = world.copy()
    turned[:, :2] = world[:, :2] @ region.axes().T
    return turned


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
