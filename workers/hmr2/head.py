"""The head: a transformer decoder of one token that reads a body out of the backbone's features.

Modules carry the names of the published checkpoint (`layers.0.1.fn.to_kv`), so that its keys are theirs.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from workers.hmr2.architecture import BETAS, CAMERA, JOINTS, HeadShape
from workers.hmr2.layers import Matrix


class Readout(NamedTuple):
    """What the head says of B crops, float32."""

    pose_6d: torch.Tensor  # (B, 144): two columns of each of 24 rotation matrices
    betas: torch.Tensor  # (B, 10)
    camera: torch.Tensor  # (B, 3): s, tx, ty of the crop's weak-perspective camera


class SelfAttention(nn.Module):
    """Attention of the token to itself. With one token its weight is 1, so queries and keys do not matter."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_dim
        self.to_qkv = Matrix(shape.dim, 3 * inner, bias=False)
        self.to_out = nn.Sequential(Matrix(inner, shape.dim))

    def forward(self, token: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        """(B, 1, dim) of (B, 1, dim)."""
        to_value = self.to_qkv.weight.chunk(3)[2]
        return self.to_out(functional.linear(token, to_value))


class CrossAttention(nn.Module):
    """The token asks the features, which come as they are: only the token is normalised."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_dim
        self.heads = shape.heads
        self.to_kv = Matrix(shape.context_dim, 2 * inner, bias=False)
        self.to_q = Matrix(shape.dim, inner, bias=False)
        self.to_out = nn.Sequential(Matrix(inner, shape.dim))

    def forward(self, token: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(B, 1, dim) of a token (B, 1, dim) and features (B, N, context_dim)."""
        # A token that is alone takes its question to the features, and what it hears to the values: keys
        # and values of all features would be a hundred times the work.
        to_key, to_value = self.to_kv.weight.unflatten(0, (2, self.heads, -1))  # (heads, D, context_dim)
        query = self.to_q(token).squeeze(1).unflatten(-1, (self.heads, -1)) * to_key.shape[1] ** -0.5
        question = torch.einsum("bhd,hdc->bhc", query, to_key)
        heard = (question @ features.transpose(1, 2)).softmax(dim=-1) @ features
        return self.to_out(torch.einsum("bhc,hdc->bhd", heard, to_value).flatten(1).unsqueeze(1))


class FeedForward(nn.Module):
    """Two matrices around a GELU (the exact one). The gaps in the numbering were dropout."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.net = nn.Sequential(
            Matrix(shape.dim, shape.mlp_dim),
            nn.GELU(),
            nn.Identity(),
            Matrix(shape.mlp_dim, shape.dim),
        )

    def forward(self, token: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        """(B, 1, dim) of (B, 1, dim)."""
        return self.net(token)


class Step(nn.Module):
    """Adds to the token what `fn` makes of it normalised."""

    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, token: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(B, 1, dim), float32, of the same and features (B, N, context_dim)."""
        return token + self.fn(self.norm(token), features)


class Layers(nn.Module):
    """The decoder's layers: self-attention, cross-attention and feed-forward each."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                Step(shape.dim, part(shape)) for part in (SelfAttention, CrossAttention, FeedForward)
            )
            for _ in range(shape.depth)
        )

    def forward(self, token: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(B, 1, dim), float32, of the same and features (B, N, context_dim)."""
        for layer in self.layers:
            for step in layer:
                token = step(token, features)
        return token


class Decoder(nn.Module):
    """Makes the token and takes it through the layers. Nothing normalises it at the end."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.to_token_embedding = nn.Linear(1, shape.dim)
        self.pos_embedding = nn.Parameter(torch.empty(1, 1, shape.dim))
        self.transformer = Layers(shape)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The token (B, dim), float32, for features (B, N, context_dim)."""
        nothing = features.new_zeros(len(features), 1, 1)  # as in the release: the token starts as its bias
        token = self.to_token_embedding(nothing) + self.pos_embedding
        return self.transformer(token, features).squeeze(1)


class SmplHead(nn.Module):
    """Body and camera: what the token says, added to the mean body."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.transformer = Decoder(shape)
        self.decpose = nn.Linear(shape.dim, 6 * JOINTS)
        self.decshape = nn.Linear(shape.dim, BETAS)
        self.deccam = nn.Linear(shape.dim, CAMERA)
        self.register_buffer("init_body_pose", torch.empty(1, 6 * JOINTS))
        self.register_buffer("init_betas", torch.empty(1, BETAS))
        self.register_buffer("init_cam", torch.empty(1, CAMERA))

    def forward(self, features: torch.Tensor) -> Readout:
        """The body in each of B crops, of their features (B, N, context_dim), float32."""
        token = self.transformer(features)
        return Readout(
            pose_6d=self.decpose(token) + self.init_body_pose,
            betas=self.decshape(token) + self.init_betas,
            camera=self.deccam(token) + self.init_cam,
        )
