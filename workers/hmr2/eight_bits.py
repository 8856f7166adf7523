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
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from workers.hmr2.layers import Matrix

#: Errors of the first blocks go through all others: these take their values more precisely.
CAREFUL_BLOCKS: Final = 4

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

    def __init__(self, matrix: Matrix, *, careful: bool = False) -> None:
        """`matrix`: float32; it is not kept. `careful`: differences have 16 bits too, for twice the work."""
        super().__init__()
        step = matrix.weight.detach().abs().amax(dim=1).clamp_min_(_TINY) / _WEIGHT_STEPS  # (out,)
        coarse, fine = _rounded_twice(matrix.weight.detach(), step)
        self._coarse = _Rows(coarse, step)
        self._fine = _Rows(fine, step / _FINE_STEPS)
        self._bias = matrix.bias.detach().clone()
        self._of_differences = self._of_fine_differences if careful else self._of_coarse_differences

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` (B, N, in) times the matrix, plus its bias: (B, N, out), float32."""
        crops = [self._of_crop(tokens) for tokens in values]
        return crops[0][None] if len(crops) == 1 else torch.stack(crops)

    def _of_crop(self, tokens: torch.Tensor) -> torch.Tensor:
        mean = tokens.new_full((1, len(tokens)), 1 / len(tokens)) @ tokens  # faster than tokens.mean(0)
        return self._of_differences(tokens - mean, self._of_mean(mean))

    def _of_mean(self, mean: torch.Tensor) -> torch.Tensor:
        """The matrix times `mean` (1, in), plus the bias, of 16 bits both: (out,)."""
        scale = _Scale.of(mean)
        coarse, fine = scale.levels_twice(mean)
        in_coarse = self._coarse.times(torch.cat([coarse, fine]), step=scale.step)
        in_fine = self._fine.times(coarse, step=scale.step)
        constant = self._bias + scale.middle * self._coarse.sums + scale.least * self._fine.sums
        return in_coarse[0] + in_coarse[1] / _FINE_STEPS + in_fine[0] + constant

    def _of_coarse_differences(self, differences: torch.Tensor, plus: torch.Tensor) -> torch.Tensor:
        """The matrix times `differences` (N, in), of 8 bits both, `plus` (out,): (N, out)."""
        scale = _Scale.of(differences)
        constant = plus + scale.least * self._coarse.sums
        return self._coarse.times(scale.levels(differences), step=scale.step, plus=constant)

    def _of_fine_differences(self, differences: torch.Tensor, plus: torch.Tensor) -> torch.Tensor:
        """The matrix of 8 bits times `differences` (N, in) of 16, `plus` (out,): (N, out)."""
        scale = _Scale.of(differences)
        coarse, fine = scale.levels_twice(differences)
        constant = plus + scale.middle * self._coarse.sums
        of_coarse = self._coarse.times(coarse, step=scale.step, plus=constant)
        return of_coarse.add_(self._coarse.times(fine, step=scale.step / _FINE_STEPS))


@dataclass(frozen=True, slots=True)
class _Scale:
    """How values become levels 0..255: `least`, and the step to the next."""

    least: float
    step: float

    @classmethod
    def of(cls, values: torch.Tensor) -> "_Scale":
        least, most = (float(end) for end in values.aminmax())
        return cls(least, max((most - least) / _VALUE_STEPS, _TINY))

    @property
    def middle(self) -> float:
        """What level 0 stands for when fine levels are added: half a step below the least."""
        return self.least - self.step / 2

    def levels(self, values: torch.Tensor) -> torch.Tensor:
        """Levels, uint8, of `values`, which are overwritten."""
        return _unsigned(values.sub_(self.least).div_(self.step).round_())

    def levels_twice(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Levels, and fine levels 0..254 of what those leave; `values` is overwritten."""
        counts = values.sub_(self.least).div_(self.step)
        coarse = counts.round()
        fine = counts.sub_(coarse).add_(0.5).mul_(_FINE_STEPS).round_()
        return _unsigned(coarse), _unsigned(fine)


def _unsigned(levels: torch.Tensor) -> torch.Tensor:
    """Whole numbers 0..255 as uint8. torch converts to int8 ten times as fast, so by way of that."""
    return levels.sub_(128).to(torch.int8).view(torch.uint8).bitwise_xor_(128)


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


def pack(blocks: nn.ModuleList, *, after_each: Callable[[], None] = lambda: None) -> None:
    """Replace every `Matrix` in `blocks`, whose weights are float32; `after_each` one is called."""
    for number, block in enumerate(blocks):
        for module in list(block.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, Matrix):
                    setattr(module, name, EightBitMatrix(child, careful=number < CAREFUL_BLOCKS))
                    after_each()
