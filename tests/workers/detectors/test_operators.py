"""torchvision works whatever torch it was compiled for, and the operators in plain torch are its own."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workers.detectors import operators

#: Coordinates on a coarse grid, so that equal boxes, equal scores and overlaps of exactly 1/2 are common.
GRID = st.integers(0, 8).map(float)
BOX = st.tuples(GRID, GRID, GRID, GRID).map(
    lambda box: (min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3]))
)
SCORED = st.lists(st.tuples(BOX, st.integers(0, 4).map(lambda score: score / 4)), max_size=24)


def tensors(scored: list[tuple[tuple[float, ...], float]]) -> tuple[Tensor, Tensor]:
    boxes = torch.tensor([box for box, _ in scored], dtype=torch.float32).reshape(-1, 4)
    return boxes, torch.tensor([score for _, score in scored], dtype=torch.float32)


def one_after_the_other(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """The usual loop: the best box left is kept and takes those away that it overlaps."""
    left = sorted(range(len(boxes)), key=lambda index: -float(scores[index]))
    kept = []
    while left:
        best, *rest = left
        kept.append(best)
        left = [index for index in rest if not shared(boxes[best], boxes[index]) > threshold]
    return kept


def shared(one: Tensor, other: Tensor) -> float:
    sides = (torch.minimum(one[2:], other[2:]) - torch.maximum(one[:2], other[:2])).clamp(min=0)
    union = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - sides.prod()
    return float(sides.prod() / union) if union > 0 else math.nan


@given(SCORED, st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_suppression_keeps_what_the_usual_loop_keeps(
    scored: list[tuple[tuple[float, ...], float]], threshold: float
) -> None:
    boxes, scores = tensors(scored)
    assert operators.nms(boxes, scores, threshold).tolist() == one_after_the_other(boxes, scores, threshold)


def test_suppression_follows_long_chains() -> None:
    """Each box overlaps the next one only: every second one stays."""
    start = torch.arange(300.0)[:, None] * 4
    boxes = torch.cat([start, torch.zeros(300, 1), start + 10, torch.ones(300, 1)], dim=1)
    kept = operators.nms(boxes, torch.linspace(1, 0, 300), 0.4)
    assert kept.tolist() == list(range(0, 300, 2))


def sampled(features: Tensor, roi: Tensor, scale: float, size: int, samples: int, aligned: bool) -> Tensor:
    """RoIAlign of one region (C, size, size), sample by sample."""
    image, *corners = roi.tolist()
    x0, y0, x1, y1 = (corner * scale - (0.5 if aligned else 0.0) for corner in corners)
    width, height = ((side if aligned else max(side, 1.0)) for side in (x1 - x0, y1 - y0))
    pooled = torch.zeros(features.shape[1], size, size, dtype=torch.float64)
    for row, column in np.ndindex(size, size):
        for down, across in np.ndindex(samples, samples):
            y = y0 + (row + (down + 0.5) / samples) * height / size
            x = x0 + (column + (across + 0.5) / samples) * width / size
            pooled[:, row, column] += bilinear(features[int(image)].double(), y, x)
    return pooled / samples**2


def bilinear(values: Tensor, y: float, x: float) -> Tensor:
    _, height, width = values.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(len(values), dtype=torch.float64)
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = values[:, top, left] * (1 - across) + values[:, top, right] * across
    lower = values[:, below, left] * (1 - across) + values[:, below, right] * across
    return upper * (1 - down) + lower * down


CORNER = st.floats(-12, 44, width=32)
REGION = st.tuples(
    st.integers(0, 1).map(float), CORNER, CORNER, st.floats(0, 40, width=32), st.floats(0, 40, width=32)
).map(lambda roi: (*roi[:3], roi[1] + roi[3], roi[2] + roi[4]))


@given(
    st.lists(REGION, max_size=4),
    st.sampled_from([1.0, 0.5, 0.25]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
)
def test_regions_are_the_means_of_their_samples(
    rois: list[tuple[float, ...]], scale: float, size: int, samples: int, aligned: bool
) -> None:
    features = torch.randn(2, 3, 6, 9, generator=torch.Generator().manual_seed(0))
    regions = torch.tensor(rois, dtype=torch.float32).reshape(-1, 5)
    pooled = operators.roi_align(features, regions, scale, size, size, samples, aligned)
    assert pooled.shape == (len(rois), 3, size, size)
    for region, values in zip(regions, pooled, strict=True):
        expected = sampled(features, region, scale, size, samples, aligned)
        assert values.double().numpy() == pytest.approx(expected.numpy(), abs=2e-5)


def test_a_number_of_samples_that_depends_on_the_region_is_refused() -> None:
    with pytest.raises(ValueError, match="fixed number"):
        operators.roi_align(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), 1.0, 2, 2, 0, False)


def test_torchvision_calls_operators_that_work() -> None:
    operators.provide()
    from torchvision.ops import batched_nms, roi_align

    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30.0]])
    scores = torch.tensor([0.5, 0.9, 0.1])
    assert batched_nms(boxes, scores, torch.zeros(3, dtype=torch.int64), 0.5).tolist() == [1, 2]
    assert batched_nms(boxes, scores, torch.arange(3), 0.5).tolist() == [1, 0, 2]
    features = torch.arange(36.0).reshape(1, 1, 6, 6)
    pooled = roi_align(features, [torch.tensor([[0, 0, 4, 4.0]])], 2, sampling_ratio=2, aligned=True)
    assert pooled.flatten().tolist() == pytest.approx([3.5, 5.5, 15.5, 17.5])


def test_operators_that_stand_in_are_spoken_of_once() -> None:
    program = (
        "import logging; logging.basicConfig()\n"
        "from workers.detectors import operators\n"
        "print(operators.provide(), operators.provide())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(operators.provide())] * 2
    assert done.stderr.count("slower ones in plain torch are used") == (0 if operators.provide() else 1)
