"""The layer that both halves of the network share: a matrix that may be less precise than what it meets."""

import torch
from torch import nn


class Matrix(nn.Linear):
    """A linear layer that rounds its input to its own precision and answers in it.

    Between the layers values stay float32: sums over a depth of 32 blocks lose more to rounding than
    single products do. Rounding the matrices alone costs half of what rounding everything does.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` (..., in) times the matrix, plus its bias: (..., out)."""
        return super().forward(values.to(self.weight.dtype))


def apart(values: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, N, heads * D) as (B, heads, N, D): what attention compares head by head."""
    return values.unflatten(-1, (heads, -1)).transpose(1, 2)


def together(values: torch.Tensor) -> torch.Tensor:
    """(B, heads, N, D) as (B, N, heads * D)."""
    return values.transpose(1, 2).flatten(2)
