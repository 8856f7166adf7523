"""torchvision's two compiled operators, in plain torch where its own cannot be loaded.

The torchvision of a package index is compiled for torch with CUDA. Beside a torch for the CPU its
library does not load, and importing it fails. `provide` must run before the first import of
torchvision: it loads that library, or else defines non-maximum suppression and RoIAlign under the
names that torchvision calls them by, and says so in the log. Nothing else of torchvision that is
compiled works then.
"""

import importlib.util
import logging
import sys
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

log = logging.getLogger(__name__)

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_ROI_ALIGN = (
    "(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width,"
    " int sampling_ratio, bool aligned) -> Tensor"
)


@cache
def provide() -> bool:
    """Make torchvision usable; False where plain torch stands in for its operators.

    Raises `ModuleNotFoundError` if there is no torchvision.
    """
    reason = _loading_fails()
    if reason is None:
        return True
    torch.library.define("torchvision::nms", _NMS)
    torch.library.define("torchvision::qnms", _NMS)  # never called; torchvision describes it while imported
    torch.library.define("torchvision::roi_align", _ROI_ALIGN)
    torch.library.impl("torchvision::nms", ("cpu", "cuda"), nms)
    torch.library.impl("torchvision::roi_align", ("cpu", "cuda"), roi_align)
    _answer_for_torchvision()
    log.warning("torchvision's operators cannot be loaded, slower ones in plain torch are used: %s", reason)
    return False


def _loading_fails() -> str | None:
    """Why torchvision's library cannot be loaded; None: it is loaded now."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("torchvision is not installed", name="torchvision")
    package = Path(spec.submodule_search_locations[0])
    library = next((path for path in package.glob("_C*") if path.suffix in (".so", ".pyd")), None)
    if library is None:
        return f"{package} holds none"
    try:
        torch.ops.load_library(library)
    except OSError as error:
        return str(error.__cause__ or error)
    return None


def _answer_for_torchvision() -> None:
    """Let torchvision believe that it has operators: it asks before it calls one."""
    import torchvision.extension  # not before the operators are defined

    for module in (torchvision.extension, sys.modules["torchvision.ops.roi_align"]):
        module._has_ops = lambda: True


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices (K,) of the boxes that no better kept box overlaps by more than `iou_threshold`, best first.

    boxes (N, 4): x0 y0 x1 y1. scores (N,); of equal ones the earlier box counts as the better.

    A box is kept unless a better one that is kept overlaps it. That is asked of all boxes at once, again
    and again from `all are kept` on: each round settles at least one box more, in order, so the rounds end
    with the one answer that the usual loop over the boxes gives, mostly after a handful.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    suppresses = (_overlap(boxes[order]) > iou_threshold).triu(diagonal=1).to(torch.float32)  # (N, N)
    kept = torch.ones_like(order, dtype=torch.float32)
    while True:
        still = (kept @ suppresses == 0).to(torch.float32)
        if torch.equal(still, kept):
            return order[kept > 0]
        kept = still


def _overlap(boxes: Tensor) -> Tensor:
    """Intersection over union (N, N) of boxes (N, 4), rounded as torchvision's operator does."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    width, height = (high - low).clamp(min=0).unbind(-1)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    shared = width * height
    # In double, so that a threshold such as 0.3 is not rounded before it is compared.
    return (shared / (area[:, None] + area[None] - shared)).double()


def roi_align(
    features: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """The mean of bilinear samples in each cell of each region: (K, C, pooled_height, pooled_width).

    features (N, C, H, W). rois (K, 5): index of the image, x0 y0 x1 y1 in pixels of the image, of which a
    feature is `1 / spatial_scale`. A cell has `sampling_ratio` samples each way. aligned: pixel centres
    are at halves (Mask R-CNN, section 3; He et al. 2017). Raises `ValueError` for a number of samples that
    depends on the region's size, which none of our networks asks for.
    """
    if sampling_ratio <= 0:
        raise ValueError("RoIAlign in plain torch needs a fixed number of samples")
    images, channels, height, width = features.shape
    shift = 0.5 if aligned else 0.0
    shortest = 0.0 if aligned else 1.0
    starts, sides = rois[:, 1:3] * spatial_scale - shift, (rois[:, 3:] - rois[:, 1:3]) * spatial_scale
    sides = sides if aligned else sides.clamp(min=shortest)
    rows, row_weights = _samples(starts[:, 1], sides[:, 1], pooled_height, sampling_ratio, height)
    columns, column_weights = _samples(starts[:, 0], sides[:, 0], pooled_width, sampling_ratio, width)
    image = rois[:, 0].long()[:, None, None, None, None] * (height * width)
    index = image + rows[:, :, None, :, None] * width + columns[:, None, :, None, :]
    weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]  # (K, PH, PW, 2S, 2S)
    cells = len(rois) * pooled_height * pooled_width
    if not cells:
        return features.new_zeros(0, channels, pooled_height, pooled_width)
    pooled = functional.embedding_bag(
        index.reshape(cells, -1),
        features.permute(0, 2, 3, 1).reshape(images * height * width, channels),
        per_sample_weights=weights.reshape(cells, -1).to(features.dtype),
        mode="sum",
    )
    return pooled.reshape(len(rois), pooled_height, pooled_width, channels).permute(0, 3, 1, 2)


def _samples(start: Tensor, side: Tensor, cells: int, per_cell: int, length: int) -> tuple[Tensor, Tensor]:
    """The features that the samples along one axis lie between, and what each counts: (K, cells, 2 per_cell).

    start, side (K,): of the regions, in features. length: features along the axis. A sample more than one
    feature outside counts nothing; one at the edge takes the edge's.
    """
    offsets = torch.arange(cells * per_cell, dtype=start.dtype, device=start.device) + 0.5
    at = start[:, None] + offsets * (side[:, None] / (cells * per_cell))  # (K, cells * per_cell)
    counts = ((at >= -1) & (at <= length)).to(at.dtype) / per_cell
    at = at.clamp(0, length - 1)
    low = at.floor()
    share = at - low
    low = low.long()
    index = torch.stack([low, (low + 1).clamp(max=length - 1)], dim=-1)
    weight = torch.stack([(1 - share) * counts, share * counts], dim=-1)
    return index.reshape(-1, cells, 2 * per_cell), weight.reshape(-1, cells, 2 * per_cell)
