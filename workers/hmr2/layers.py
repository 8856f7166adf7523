"""The layers that both halves of the network share: matrices that may be less precise than what they meet."""

import torch
from torch import nn
from torch.nn import functional


class Matrix(nn.Linear):
    """A linear layer that rounds its input to its own precision and answers in it.

    What lies between the matrices stays float32: a sum over 32 blocks loses more to rounding than single
    products do.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` (..., in) times the matrix, plus its bias: (..., out)."""
        return super().forward(values.to(self.weight.dtype))


class Patches(nn.Conv2d):
    """A convolution whose steps are as wide as its kernel, so a matrix too: it rounds like `Matrix`."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Tokens (B, N, channels), row by row, of pictures (B, 3, height, width)."""
        return super().forward(pictures.to(self.weight.dtype)).flatten(2).transpose(1, 2)


def apart(values: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, N, heads * D) as (B, heads, N, D): what attention compares head by head."""
    return values.unflatten(-1, (heads, -1)).transpose(1, 2)


def together(values: torch.Tensor) -> torch.Tensor:
    """(B, heads, N, D) as (B, N, heads * D)."""
    return values.transpose(1, 2).flatten(2)


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """What every query hears (B, heads, N, D), of keys and values of that shape, by products over sqrt(D)."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return functional.scaled_dot_product_attention(query, key, value)
    # On a CPU torch's own is as slow in bfloat16 as in float32; step by step is a third faster.
    return ((query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5).softmax(dim=-1) @ value
