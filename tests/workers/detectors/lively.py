"""torchvision's networks as if somebody had trained them: seeded weights, and outputs that tell things apart.

The published weights cannot be had where the tests run. Of random ones the first layers would leave
nothing; with their normalisation measured on a picture, and the last layers scaled, scores spread
over 0..1 and boxes move.
"""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from workers.detectors import networks
from workers.detectors.networks import Name, Rcnn
from workers.types import Array, Image

#: What the last layers give, as deviation over the proposals: logits of labels, shifts of boxes.
_LOGITS, _SHIFTS = 1.0, 1.0
_PERSON = 1
#: The labels that the network tells apart: background, person, and another. It gives no others.
_TOLD_APART = 3


def picture(height: int, width: int, *, seed: int = 0) -> Image:
    """Clouds of colour."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    clouds = cv2.GaussianBlur(noise, (0, 0), 9)
    return cv2.normalize(clouds, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def network(name: Name, *, short_px: int = 96, proposals: int = 40) -> Rcnn:
    """The network at a smaller scale than the published one, so that the tests are quick."""
    torch.manual_seed(0)
    made = networks.architecture(name)
    made = replace(made, short_px=short_px, long_px=4 * short_px)
    module = made.module
    module.transform.min_size, module.transform.max_size = (made.short_px,), made.long_px
    module.rpn._pre_nms_top_n = dict.fromkeys(module.rpn._pre_nms_top_n, proposals)
    module.rpn._post_nms_top_n = dict.fromkeys(module.rpn._post_nms_top_n, proposals)
    module.roi_heads.score_thresh = 1e-3
    _enliven(module)
    return made


@torch.no_grad()
def _enliven(module: nn.Module) -> None:
    hooks = [
        part.register_forward_pre_hook(_measure) for part in module.modules() if hasattr(part, "running_var")
    ]
    _run(module)
    for hook in hooks:
        hook.remove()
    nn.init.normal_(module.rpn.head.cls_logits.weight)
    nn.init.normal_(module.rpn.head.bbox_pred.weight, std=0.02)
    predictor = module.roi_heads.box_predictor
    seen: list[Tensor] = []
    hook = predictor.register_forward_hook(lambda _module, _entered, left: seen.extend(left))
    _run(module)
    hook.remove()
    logits, shifts = seen
    _scale(predictor.cls_score, logits, to=_LOGITS)
    _scale(predictor.bbox_pred, shifts, to=_SHIFTS)
    predictor.cls_score.bias[_TOLD_APART:] = -100
    if module.roi_heads.has_mask():
        masks: list[Tensor] = []
        layer = module.roi_heads.mask_predictor.mask_fcn_logits
        hook = layer.register_forward_hook(lambda _module, _entered, left: masks.append(left))
        _run(module)
        hook.remove()
        _scale(layer, masks[0].transpose(0, 1).flatten(1).T, to=_LOGITS)


def _run(module: nn.Module) -> None:
    module([tensor(picture(240, 320, seed=seed)) for seed in range(4)])


def _measure(part: nn.Module, entered: tuple[Tensor]) -> None:
    (values,) = entered
    part.running_mean.copy_(values.mean((0, 2, 3)))
    part.running_var.copy_(values.var((0, 2, 3)) + 1e-3 if values.numel() > values.shape[1] else 1.0)


def _scale(layer: nn.Linear | nn.Conv2d, outputs: Tensor, *, to: float) -> None:
    """Spread `outputs` (N, K) of the layer, over the proposals of a few pictures, around 0."""
    factor = to / outputs.std(0)
    layer.bias.sub_(outputs.mean(0)).mul_(factor)
    layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))


def tensor(image: Image) -> Tensor:
    """The picture as torchvision's networks take it."""
    return torch.from_numpy(image).permute(2, 0, 1) / 255


@torch.no_grad()
def teach(made: Rcnn, image: Image, box: Array) -> None:
    """Let the second stage say `person` at `box` (4,), pixels of `image`, and `background` elsewhere.

    The last layer alone is fitted, by least squares over a few hundred boxes; boxes stay as proposed.
    """
    heads = made.module.roi_heads
    boxes, near = _examples(image, box)
    given: list[Tensor] = []
    hook = heads.box_predictor.register_forward_pre_hook(lambda _module, entered: given.append(entered[0]))
    rpn = made.module.rpn.register_forward_hook(partial(_instead, made, image, boxes))
    made.module([tensor(image)])
    hook.remove()
    rpn.remove()
    features = torch.cat([given[0], torch.ones(len(boxes), 1)], dim=1).double()
    gram = features @ features.T + 1e-3 * torch.eye(len(boxes), dtype=torch.float64)
    weights = features.T @ torch.linalg.solve(gram, torch.where(near, 8.0, -8.0).double())
    predictor = heads.box_predictor
    for layer in (predictor.cls_score, predictor.bbox_pred):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    predictor.cls_score.bias.fill_(-50)
    predictor.cls_score.bias[0] = 0
    predictor.cls_score.weight[_PERSON] = weights[:-1].float()
    predictor.cls_score.bias[_PERSON] = weights[-1].float()


def _examples(image: Image, box: Array) -> tuple[Array, Tensor]:
    """Boxes (N, 4) around `box` and elsewhere, and which of them (N,) are near enough to be it."""
    random = np.random.default_rng(0)
    height, width = image.shape[:2]
    sides = box[2:] - box[:2]
    around = box + random.normal(0, 0.05, (100, 4)) * np.tile(sides, 2)
    corner = random.uniform(0, 1, (300, 2)) * (np.array([width, height]) - sides)
    elsewhere = np.concatenate([corner, corner + sides], axis=1)
    far = np.abs(elsewhere - box).max(axis=1) > 0.7 * sides.min()
    boxes = np.concatenate([around, elsewhere[far]]).clip(0, np.array([width, height] * 2))
    return boxes.astype(np.float32), torch.arange(len(boxes)) < len(around)


def _instead(made: Rcnn, image: Image, boxes: Array, *_: object) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Proposals `boxes` rather than the first stage's."""
    scale = made.short_px / min(image.shape[:2])
    return [torch.from_numpy(boxes * np.float32(scale))], {}
