"""torchvision's two networks with their published weights, ready to look. Nothing is downloaded here."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from wire.errors import ModelNotLoaded
from workers.detectors import operators

Name = Literal["maskrcnn", "fasterrcnn"]

#: The published weights' names among the model files.
FILES: dict[Name, str] = {
    "maskrcnn": "maskrcnn_resnet50_fpn_v2_coco.pth",
    "fasterrcnn": "fasterrcnn_mobilenet_v3_large_320_fpn_coco.pth",
}

#: Complaints about a wrong file that are worth reading; there may be hundreds.
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class Rcnn:
    """A network in torchvision's parts, and to what size it wants pictures scaled.

    short_px, long_px: the shorter side is scaled to `short_px` unless the longer one would exceed
    `long_px`. module: a `torchvision.models.detection.FasterRCNN`, or `MaskRCNN` where has_masks.
    """

    name: Name
    module: Any  # torchvision has no types
    short_px: int
    long_px: int
    has_masks: bool


def load(name: Name, path: Path, device: torch.device) -> Rcnn:
    """The network called `name` with the weights in `path`, in float32 on `device`.

    Raises `ModelNotLoaded` naming the file if it is missing or is not this network's.
    """
    network = architecture(name)
    state = _read(path)
    try:
        network.module.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise _wrong(path, error) from error
    return prepare(network, device)


def architecture(name: Name) -> Rcnn:
    """The network with random weights, as torchvision builds it for the 91 labels of COCO."""
    operators.provide()  # before torchvision is imported
    from torchvision.models import detection
    from torchvision.models.detection.backbone_utils import mobilenet_backbone
    from torchvision.ops import FrozenBatchNorm2d

    if name == "maskrcnn":
        module = detection.maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
        return Rcnn(name, module.eval(), short_px=800, long_px=1333, has_masks=True)
    # torchvision builds it with frozen normalisation only where it downloads weights itself.
    module = detection.FasterRCNN(
        mobilenet_backbone(
            backbone_name="mobilenet_v3_large", weights=None, fpn=True, norm_layer=FrozenBatchNorm2d
        ),
        num_classes=91,
        rpn_anchor_generator=detection.anchor_utils.AnchorGenerator(
            ((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3
        ),
        rpn_pre_nms_top_n_test=150,
        rpn_post_nms_top_n_test=150,
        rpn_score_thresh=0.05,
    )
    return Rcnn(name, module.eval(), short_px=320, long_px=640, has_masks=False)


def prepare(network: Rcnn, device: torch.device) -> Rcnn:
    """`network`, changed in place into the form that is fastest to run, on `device`."""
    _fold_normalisation(network.module)
    network.module.requires_grad_(False).to(device=device, memory_format=torch.channels_last)
    return network


def _fold_normalisation(module: nn.Module) -> None:
    """Put every normalisation into the convolution before it, for good.

    In both networks one follows the convolution that was registered right before it.
    """
    from torchvision.ops import FrozenBatchNorm2d

    before: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d | FrozenBatchNorm2d):
            if before is None or not isinstance(before[1], nn.Conv2d):
                raise TypeError(f"{name} of {type(module).__name__} follows no convolution")
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, nn.Identity())
        else:
            _fold_normalisation(child)
        before = (name, child)


def _read(path: Path) -> object:
    """The tensors in the file, read from it where they are used. Raises `ModelNotLoaded`."""
    if not path.is_file():
        raise ModelNotLoaded(f"{path} is missing; run: python -m workers.assets fetch detectors")
    try:
        # Files of before 2020 are no archives and cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        # Whatever torch trips over (a pickle of other things, a cut archive, text), the file is to blame.
        raise _wrong(path, error) from error


def _wrong(path: Path, error: Exception) -> ModelNotLoaded:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = " ".join(line[:200] for line in lines[: 1 + _REASONS_SHOWN])
    return ModelNotLoaded(f"{path} does not hold the weights that it should: {reasons}")
