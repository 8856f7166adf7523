"""The backbone's matrices in eight bits, for CPUs that multiply those fastest.

A matrix times the tokens of a crop is split into what the tokens have in common and how each differs
from that: W x = W m + W (x - m), m their mean. Differences and W have 8 bits where they meet; W m, one
product for all tokens, is made of 16. Errors of W (x - m) differ from token to token and the network
averages over tokens; those of W m would be the same in all of them. Without the split eight bits move
the surface fifteen times as far from float32's (docs/performance.md).

A crop's differences are rounded by themselves and sums of whole numbers are exact, so a crop has the
same body alone and in company, to the last bit.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from workers.hmr2.layers import Matrix

#: Steps from 0 to the largest weight of a row; from the least to the largest value of a token or mean.
_WEIGHT_STEPS: Final = 127
_VALUE_STEPS: Final = 255

#: Fine steps in a coarse one: rounding leaves at most half a step on either side.
_FINE_STEPS: Final = 254

#: Rows of a matrix that are rounded together.
_ROWS_AT_A_TIME: Final = 128

#: Keeps steps above 0 where all values are equal.
_TINY: Final = 1e-12


class _Rows:
    """A matrix of whole numbers in -127..127, each row with the step that its numbers count."""

    def __init__(self, numbers: torch.Tensor, step: torch.Tensor) -> None:
        """`numbers` (out, in), int8; `step` (out,)."""
        self.sums = step * numbers.sum(dim=1, dtype=torch.int32)  # (out,)
        self._packed = torch.ops.onednn.qlinear_prepack(numbers, None)
        self._step = step
        self._zero = torch.zeros(len(step), dtype=torch.int32)

    def times(self, levels: torch.Tensor, *, step: float, plus: torch.Tensor | None = None) -> torch.Tensor:
        """The matrix times `step` times `levels` (N, in), uint8; `plus` (out,): (N, out), float32."""
        return torch.ops.onednn.qlinear_pointwise(
            levels, step, 0, self._packed, self._step, self._zero, plus, 1.0, 0, torch.float32, "none", [], ""
        )


class EightBitMatrix(nn.Module):
    """Does what a `Matrix` does."""

    def __init__(self, matrix: Matrix) -> None:
        """`matrix`: float32; it is not kept."""
        super().__init__()
        step = matrix.weight.detach().abs().amax(dim=1).clamp_min_(_TINY) / _WEIGHT_STEPS  # (out,)
        coarse, fine = _rounded_twice(matrix.weight.detach(), step)
        self._coarse = _Rows(coarse, step)
        self._fine = _Rows(fine, step / _FINE_STEPS)
        self._bias = matrix.bias.detach().clone()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` (B, N, in) times the matrix, plus its bias: (B, N, out), float32."""
        share = values.new_full((1, values.shape[1]), 1 / values.shape[1])
        means = torch.cat([share @ tokens for tokens in values])  # far faster than values.mean(1)
        common = [self._of_mean(mean) for mean in means]
        return torch.stack(
            [
                self._of_differences(tokens - mean, plus)
                for tokens, mean, plus in zip(values, means, common, strict=True)
            ]
        )

    def _of_mean(self, mean: torch.Tensor) -> torch.Tensor:
        """The matrix times `mean` (in,), plus the bias, of 16 bits both: (out,)."""
        least, step = _scale(mean)
        counts = (mean - least) / step
        coarse = counts.round()
        fine = counts.sub_(coarse).add_(0.5).mul_(_FINE_STEPS).round_()  # 0..254
        levels = torch.stack([coarse, fine]).to(torch.uint8)
        of_coarse, of_fine = self._coarse.times(levels, step=step)
        rest = self._fine.times(levels[:1], step=step)[0]
        constant = self._bias + (least - step / 2) * self._coarse.sums + least * self._fine.sums
        return of_coarse + of_fine / _FINE_STEPS + rest + constant

    def _of_differences(self, differences: torch.Tensor, plus: torch.Tensor) -> torch.Tensor:
        """The matrix times `differences` (N, in), which are overwritten, `plus` (out,): (N, out)."""
        least, step = _scale(differences)
        # Conversion to int8 is vectorised and to uint8 is not, so the levels are shifted by 128 and back.
        counts = differences.sub_(least + 128 * step).div_(step).round_()
        levels = counts.to(torch.int8).view(torch.uint8).bitwise_xor_(128)
        return self._coarse.times(levels, step=step, plus=plus + least * self._coarse.sums)


def _rounded_twice(weight: torch.Tensor, step: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`weight` (out, in) in coarse steps, and what that leaves in fine ones; int8 both."""
    coarse = torch.empty(weight.shape, dtype=torch.int8)
    fine = torch.empty_like(coarse)
    # Some rows at a time: holes as large as a whole matrix would stay in the heap, unused.
    for start in range(0, len(weight), _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        counts = weight[rows] / step[rows, None]
        coarse[rows] = counts.round()
        fine[rows] = counts.sub_(coarse[rows]).mul_(_FINE_STEPS).round_()
    return coarse, fine


def _scale(values: torch.Tensor) -> tuple[float, float]:
    """The least of `values`, and the step that takes 255 to get from there to the largest."""
    least, most = (float(end) for end in values.aminmax())
    return least, max((most - least) / _VALUE_STEPS, _TINY)


def pack(blocks: nn.Module, *, after_each: Callable[[], None] = lambda: None) -> None:
    """Replace every `Matrix` in `blocks`, whose weights are float32; `after_each` one is called."""
    for module in list(blocks.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Matrix):
                setattr(module, name, EightBitMatrix(child))
                after_each()
