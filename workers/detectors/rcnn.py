"""People by one of torchvision's networks, which also looks where the tracker expects somebody.

The expected boxes are proposals beside those of the network's own first stage: its second stage says
how surely a person is there, and where exactly.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workers.detectors.networks import Rcnn
from workers.detectors.person import DetectedPerson, Look, Mask, Thresholds
from workers.detectors.selection import OWN, Candidates, Selected, select
from workers.device_failures import ending_where_lost, in_halves
from workers.types import Array, Progress, unnoticed

#: The label of people in COCO's list; 0 is the background.
_PERSON = 1
#: What the networks were trained with: mean and deviation of the ImageNet colours, of 0..1.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: The coarsest features of either network are this many pixels of its input apart.
_STRIDE_PX = 32
#: Pictures on a GPU at a time; on a CPU more than one at a time win nothing.
_LARGEST_BATCH = 8
#: A pixel is the person's from this on.
_MASK_SHARE = 0.5
#: An expected box shows nothing if less of it is in the picture, pixels of the network's input.
_THINNEST_PX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Scaled:
    """Pictures of one size as the network wants them.

    pixels (B, 3, H, W): padded with zeros on the right and below to whole strides. height, width: without
    the padding. to_image (2,): pixels of the picture a pixel of the network's input, in x and y.
    """

    pixels: Tensor
    height: int
    width: int
    to_image: Array


class RcnnDetector:
    """One network on one device. Not thread-safe; it keeps nothing between calls."""

    def __init__(self, network: Rcnn, thresholds: Thresholds, device: torch.device) -> None:
        self.name: str = network.name
        self._network = network
        self._parts = network.module
        self._thresholds = thresholds
        self._device = device

    def people(self, looks: Sequence[Look], on_progress: Progress = unnoticed) -> list[list[DetectedPerson]]:
        """The people of each picture.

        A picture's answer is the same alone or in company: bit by bit on a CPU, where each goes alone, and to
        0.05 px and 1e-3 of score on a GPU, where those of one size go together and float32 sums may
        be grouped otherwise; a score nearer than that to a threshold may fall on either side.
        Ends the process where the GPU answers no more.
        """
        answers: list[list[DetectedPerson]] = [[] for _ in looks]
        with ending_where_lost():
            for batch in self._batches(looks):
                parts = in_halves(self._look, [looks[at] for at in batch])
                for number, people in zip(batch, chain.from_iterable(parts), strict=True):
                    answers[number] = people
                on_progress()
        return answers

    def _batches(self, looks: Sequence[Look]) -> Iterator[list[int]]:
        """Which pictures go together: padding to a common size would change what is seen of the smaller."""
        by_size = defaultdict(list)
        for number, look in enumerate(looks):
            by_size[look.image.shape].append(number)
        step = 1 if self._device.type == "cpu" else _LARGEST_BATCH
        for alike in by_size.values():
            yield from (alike[start : start + step] for start in range(0, len(alike), step))

    @torch.inference_mode()
    def _look(self, looks: Sequence[Look]) -> list[list[DetectedPerson]]:
        """The people of pictures of one size."""
        scaled = self._scale(looks)
        features = self._parts.backbone(scaled.pixels)
        found = self._proposals(scaled, features)
        wanted = [self._expected(look, scaled) for look in looks]
        proposals = [torch.cat([own, boxes]) for own, (boxes, _) in zip(found, wanted, strict=True)]
        boxes, scores = self._score(scaled, features, proposals)
        chosen, people = [], []
        for look, own, (_, origins), box, score in zip(looks, found, wanted, boxes, scores, strict=True):
            candidates = Candidates(
                boxes=box.cpu().numpy() * np.tile(scaled.to_image, 2),
                scores=score.cpu().numpy(),
                origins=np.concatenate([np.full(len(own), OWN), origins]),
            )
            selected = select(candidates, look.expected, self._thresholds)
            chosen.append(box[[one.index for one in selected]])
            people.append((candidates, selected))
        masks = self._masks(scaled, features, chosen, looks)
        return [_answer(*one, mask) for one, mask in zip(people, masks, strict=True)]

    def _scale(self, looks: Sequence[Look]) -> _Scaled:
        """Scale, normalise and pad, as torchvision's `GeneralizedRCNNTransform` does."""
        height, width = looks[0].image.shape[:2]
        scale = min(self._network.short_px / min(height, width), self._network.long_px / max(height, width))
        size = max(1, int(height * scale)), max(1, int(width * scale))
        images = torch.from_numpy(np.stack([look.image for look in looks])).to(self._device)
        pixels = functional.interpolate(
            images.permute(0, 3, 1, 2).float(), size=size, mode="bilinear", align_corners=False
        )
        mean, deviation = (
            torch.tensor(values, device=self._device)[:, None, None] * 255 for values in (_MEAN, _DEVIATION)
        )
        pixels = functional.pad(
            (pixels - mean) / deviation, (0, -size[1] % _STRIDE_PX, 0, -size[0] % _STRIDE_PX)
        )
        return _Scaled(
            pixels=pixels.contiguous(memory_format=torch.channels_last),
            height=size[0],
            width=size[1],
            to_image=np.array([width / size[1], height / size[0]], np.float32),
        )

    def _proposals(self, scaled: _Scaled, features: dict[str, Tensor]) -> list[Tensor]:
        """Where the first stage suspects anything, (N, 4) in pixels of the network's input, by picture."""
        from torchvision.models.detection.image_list import ImageList

        sizes = [(scaled.height, scaled.width)] * len(scaled.pixels)
        proposals: list[Tensor] = self._parts.rpn(ImageList(scaled.pixels, sizes), features)[0]
        return proposals

    def _expected(self, look: Look, scaled: _Scaled) -> tuple[Tensor, np.ndarray]:
        """The expected boxes in pixels of the network's input, (N, 4), and their indices (N,).

        Those are left out of which the picture shows nothing.
        """
        boxes = np.asarray(look.expected, np.float32).reshape(-1, 4) / np.tile(scaled.to_image, 2)
        sides = np.array([scaled.width, scaled.height], np.float32)
        boxes = np.concatenate([boxes[:, :2].clip(0, sides), boxes[:, 2:].clip(0, sides)], axis=1)
        origins = np.flatnonzero(np.all(boxes[:, 2:] - boxes[:, :2] >= _THINNEST_PX, axis=1))
        return torch.from_numpy(boxes[origins]).to(self._device), origins

    def _score(
        self, scaled: _Scaled, features: dict[str, Tensor], proposals: list[Tensor]
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """By picture: the box (N, 4) of a person at each proposal, and how surely one is there (N,)."""
        counts = [len(boxes) for boxes in proposals]
        if not sum(counts):
            return proposals, [boxes[:, 0] for boxes in proposals]
        heads = self._parts.roi_heads
        pooled = heads.box_roi_pool(features, proposals, _padded(scaled))
        logits, shifts = heads.box_predictor(heads.box_head(pooled))
        boxes = heads.box_coder.decode(shifts, proposals)[:, _PERSON]
        limits = torch.tensor([scaled.width, scaled.height] * 2, device=self._device)
        boxes = torch.minimum(boxes.clamp(min=0), limits)
        scores = functional.softmax(logits, dim=-1)[:, _PERSON]
        return boxes.split(counts), scores.split(counts)

    def _masks(
        self, scaled: _Scaled, features: dict[str, Tensor], chosen: list[Tensor], looks: Sequence[Look]
    ) -> list[Sequence[Mask | None]]:
        """By picture: the masks of the people in the `chosen` boxes, if the network draws any."""
        counts = [len(boxes) for boxes in chosen]
        if not self._network.has_masks or not sum(counts):
            return [[None] * count for count in counts]
        from torchvision.models.detection.roi_heads import paste_masks_in_image

        heads = self._parts.roi_heads
        pooled = heads.mask_roi_pool(features, chosen, _padded(scaled))
        logits = heads.mask_predictor(heads.mask_head(pooled))
        shares = logits[:, _PERSON, None].sigmoid().split(counts)  # (N, 1, 28, 28)
        to_image = torch.from_numpy(np.tile(scaled.to_image, 2)).to(self._device)
        return [
            (paste_masks_in_image(share, boxes * to_image, look.image.shape[:2])[:, 0] >= _MASK_SHARE)
            .cpu()
            .numpy()
            for share, boxes, look in zip(shares, chosen, looks, strict=True)
        ]


def _padded(scaled: _Scaled) -> list[tuple[int, int]]:
    """The sizes from which torchvision works out the strides, once and for all: whole numbers of them.

    From the sizes without padding a very flat picture would mislead it, and every later one with it.
    """
    height, width = scaled.pixels.shape[-2:]
    return [(height, width)] * len(scaled.pixels)


def _answer(
    candidates: Candidates, selected: Sequence[Selected], masks: Sequence[Mask | None]
) -> list[DetectedPerson]:
    return [
        DetectedPerson(
            box=candidates.boxes[one.index],
            score=float(candidates.scores[one.index]),
            mask=mask,
            expected=one.expected,
            detected=one.detected,
        )
        for one, mask in zip(selected, masks, strict=True)
    ]
