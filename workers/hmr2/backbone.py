"""The backbone: a vision transformer (ViT-H/16, the trunk of ViTPose) over one crop.

Modules carry the names of the published checkpoint, so that its keys are theirs. Blocks normalise
before they attend, and add to a stream of tokens that stays float32 whatever the matrices are.
"""

from typing import Final

import torch
from torch import nn
from torch.nn import functional

from workers.hmr2.architecture import BackboneShape
from workers.hmr2.layers import Matrix, Patches, apart, attend, together

#: Under the square root of every norm of the backbone; the head's are torch's own 1e-5.
EPSILON: Final = 1e-6


class PatchEmbed(nn.Module):
    """Cuts a crop up into patches and makes a token of each."""

    def __init__(self, shape: BackboneShape) -> None:
        super().__init__()
        self.proj = Patches(
            3, shape.dim, kernel_size=shape.patch_px, stride=shape.patch_px, padding=shape.padding_px
        )

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Tokens (B, N, dim), row by row, of crops (B, 3, 256, 192)."""
        return self.proj(crops)


class Attention(nn.Module):
    """Every token asks every token of its crop."""

    def __init__(self, shape: BackboneShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = Matrix(shape.dim, 3 * shape.dim)
        self.proj = Matrix(shape.dim, shape.dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, dim) of (B, N, dim). The scale of the products is 1/sqrt(dim / heads)."""
        query, key, value = (apart(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        return self.proj(together(attend(query, key, value)))


class Mlp(nn.Module):
    """Two matrices around a GELU (the exact one), token by token."""

    def __init__(self, shape: BackboneShape) -> None:
        super().__init__()
        self.fc1 = Matrix(shape.dim, shape.mlp_dim)
        self.fc2 = Matrix(shape.mlp_dim, shape.dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, dim) of (B, N, dim)."""
        return self.fc2(functional.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Attention, then the MLP; each adds to the stream what it makes of the stream normalised."""

    def __init__(self, shape: BackboneShape) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.dim, eps=EPSILON)
        self.attn = Attention(shape)
        self.norm2 = nn.LayerNorm(shape.dim, eps=EPSILON)
        self.mlp = Mlp(shape)

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        """(B, N, dim), float32, of the same."""
        stream = stream + self.attn(self.norm1(stream))
        return stream + self.mlp(self.norm2(stream))


class Backbone(nn.Module):
    """Features of crops."""

    def __init__(self, shape: BackboneShape) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(shape)
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + shape.tokens, shape.dim))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.last_norm = nn.LayerNorm(shape.dim, eps=EPSILON)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Features (B, N, dim), float32, row by row, of crops (B, 3, 256, 192), normalised RGB.

        The positions' first row belonged to a class token, which ViTPose dropped: it is added to all.
        """
        stream = self.patch_embed(crops) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            stream = block(stream)
        return self.last_norm(stream)
