"""The backbone's matrices in eight bits, for CPUs that multiply those fastest.

A matrix times the tokens of a crop is split into what the tokens have in common and how each differs
from that: W x = W m + W (x - m), m their mean. Differences and W have 8 bits where they meet; m has 24
and W 16 where those meet. Errors of W (x - m) differ from token to token and the network averages over
tokens; those of W m would be the same in all of them. Without the split eight bits move the surface
fifteen times as far from float32's (docs/performance.md).

The digits of m go through the product of the differences, as three rows more: they cost nothing there.

A crop's differences are rounded by themselves and sums of whole numbers are exact, so a crop has the
same body alone and in company, to the last bit.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from workers.hmr2.layers import Matrix

#: Errors of the first blocks go through all others: attention takes its values more precisely there.
CAREFUL_BLOCKS: Final = 8
_CAREFUL: Final = ("qkv", "proj")

#: Steps from 0 to the largest weight of a row; from the least to the largest difference.
_WEIGHT_STEPS: Final = 127
_VALUE_STEPS: Final = 255

#: Fine steps in a coarse one: rounding leaves at most half a step on either side.
_FINE_STEPS: Final = 254

#: What the digits of a mean, -127..127, count, in steps of the differences.
_DIGITS: Final = (_FINE_STEPS, 1, 1 / _FINE_STEPS)

#: The level that stands for 0 in digits and what differences leave; in those themselves, for the middle.
_MIDDLE: Final = 128

#: Rows of a matrix that are rounded together.
_ROWS_AT_A_TIME: Final = 128

#: Keeps steps above 0 where all values are equal.
_TINY: Final = 1e-12


class _Rows:
    """A matrix of whole numbers in -127..127, each row with the step that its numbers count."""

    def __init__(self, numbers: torch.Tensor, step: torch.Tensor) -> None:
        """`numbers` (out, in), int8; `step` (out,)."""
        parts = numbers.split(_ROWS_AT_A_TIME)
        self.sums = step * torch.cat([rows.sum(dim=1, dtype=torch.int32) for rows in parts])  # (out,)
        self._packed = torch.ops.onednn.qlinear_prepack(numbers, None)
        self._step = step
        self._zero = torch.zeros(len(step), dtype=torch.int32)

    def times(self, levels: torch.Tensor, *, step: float) -> torch.Tensor:
        """The matrix times `step` times `levels` (N, in), uint8: (N, out), float32."""
        product: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            levels, step, 0, self._packed, self._step, self._zero, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return product


class EightBitMatrix(nn.Module):
    """Does what a `Matrix` does."""

    def __init__(self, matrix: Matrix, *, careful: bool = False, dtype: torch.dtype = torch.float32) -> None:
        """`matrix`: float32; it is not kept. `careful`: differences have 16 bits too, for twice the work.

        dtype: what it answers in.
        """
        super().__init__()
        weight = matrix.weight.detach()
        # No abs(): holes as large as a whole matrix would stay in the heap, unused.
        least, most = weight.aminmax(dim=1)
        step = torch.maximum(-least, most).clamp_min_(_TINY) / _WEIGHT_STEPS  # (out,)
        coarse, fine = _rounded_twice(weight, step)
        self._coarse = _Rows(coarse, step)
        self._fine = _Rows(fine, step / _FINE_STEPS)
        self._bias = matrix.bias.detach().clone()
        self._offset = _MIDDLE * (sum(_DIGITS) * self._coarse.sums + sum(_DIGITS[:2]) * self._fine.sums)
        self._counted = torch.tensor(_DIGITS + _DIGITS[:2])
        self._of_digit = 1 / torch.tensor(_DIGITS)[:, None]
        self._careful = careful
        self._dtype = dtype

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` (B, N, in) times the matrix, plus its bias: (B, N, out)."""
        crops = [self._of_crop(tokens) for tokens in values.float()]
        return crops[0][None] if len(crops) == 1 else torch.stack(crops)

    def _of_crop(self, tokens: torch.Tensor) -> torch.Tensor:
        count = len(tokens)
        mean = tokens.mean(dim=0)
        differences = tokens - mean
        least, step = _scale(differences, mean)
        # In place, as they lie in the cache; torch adds a multiple as fast as it multiplies.
        counts = torch.add(
            tokens.new_tensor(-least / step - _MIDDLE), differences, alpha=1 / step, out=differences
        )
        rounded = counts.round() if self._careful else counts.round_()
        levels = torch.empty((count + len(_DIGITS), len(mean)), dtype=torch.int8)
        levels[:count] = rounded
        levels[count:] = _digits(mean, self._of_digit / step)
        products = self._coarse.times(_unsigned(levels), step=step)
        answers, of_digits = products[:count], products[count:]
        of_mean = self._of_mean(of_digits, levels[count:], step)
        answers.add_(of_mean.add_(self._coarse.sums, alpha=least))
        if self._careful:
            answers.add_(self._of_fine(counts.sub_(rounded), step))
        return answers.to(self._dtype)

    def _of_mean(self, of_digits: torch.Tensor, levels: torch.Tensor, step: float) -> torch.Tensor:
        """The matrix times the mean, plus the bias: (out,).

        `of_digits` (3, out): its coarse part times `step` times `levels` (3, in), those of the digits.
        """
        in_fine = self._fine.times(levels[:2].view(torch.uint8), step=step)  # the last digit is too small
        parts = torch.cat([of_digits, in_fine])
        return torch.addmv(self._bias, parts.T, self._counted).sub_(self._offset, alpha=step)

    def _of_fine(self, rest: torch.Tensor, step: float) -> torch.Tensor:
        """The matrix of 8 bits times the `rest` of the differences, in steps (N, in): (N, out)."""
        fine_step = step / _FINE_STEPS
        levels = _unsigned(rest.mul_(_FINE_STEPS).round_().to(torch.int8))
        return self._coarse.times(levels, step=fine_step).sub_(_MIDDLE * fine_step * self._coarse.sums)


def _scale(differences: torch.Tensor, mean: torch.Tensor) -> tuple[float, float]:
    """The least of the differences, and the step to the next level.

    Steps are larger where tokens are so much alike that the digits would not reach the mean.
    """
    least, most = (float(end) for end in differences.aminmax())
    reach = float(mean.abs().amax()) / (_WEIGHT_STEPS * _FINE_STEPS)
    return least, max((most - least) / _VALUE_STEPS, reach, _TINY)


def _digits(mean: torch.Tensor, of_digit: torch.Tensor) -> torch.Tensor:
    """The digits (3, in), -127..127, of `mean` (in,); `of_digit` (3, 1): one over what each counts."""
    digits = (mean * of_digit).round_()
    digits[1:] -= _FINE_STEPS * digits[:-1]
    return digits


def _unsigned(numbers: torch.Tensor) -> torch.Tensor:
    """Levels 0..255, uint8, of int8 numbers, in their place. torch converts to int8 ten times as fast."""
    return numbers.view(torch.uint8).bitwise_xor_(_MIDDLE)


def _rounded_twice(weight: torch.Tensor, step: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`weight` (out, in) in coarse steps, and what that leaves in fine ones; int8 both."""
    coarse = torch.empty(weight.shape, dtype=torch.int8)
    fine = torch.empty_like(coarse)
    # Some rows at a time, for the same reason.
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
                    setattr(module, name, _packed(child, name, careful=number < CAREFUL_BLOCKS))
                    after_each()


def _packed(matrix: Matrix, name: str, *, careful: bool) -> EightBitMatrix:
    """Attention compares in bfloat16 what `qkv` answers: no less precise here, and faster."""
    dtype = torch.bfloat16 if name == "qkv" else torch.float32
    return EightBitMatrix(matrix, careful=careful and name in _CAREFUL, dtype=dtype)
