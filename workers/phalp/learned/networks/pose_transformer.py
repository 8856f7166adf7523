"""The transformer that expects a person's next pose from the last seven, each at its own time.

Modules carry the names of the published checkpoint (`transformer1.layers.0.0.fn.to_qkv`), so that its keys
are theirs. It writes each pose into a table of frames, fills the others with a learned token, and reads
what it made of the frame in question. The numbers of a pose are those of `workers.phalp.learned.pose`.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from workers.hmr2.architecture import BETAS, CAMERA, JOINTS
from workers.hmr2.network import rotation_from_6d
from workers.phalp.learned.pose import POSE_NUMBERS

#: Keeps a number that never varied finite.
_TINY: Final = 1e-10

#: Of the iterations in which the regressor corrects its own estimate, and its width.
_ITERATIONS: Final = 3
_REGRESSOR_DIM: Final = 1024


@dataclass(frozen=True, slots=True)
class TransformerShape:
    """Every number of the network's shape, as its configuration names them."""

    frame_length: int  # frames in the table
    dim: int
    pose_dim: int  # between a pose and its token
    depth: int
    heads: int
    head_dim: int
    mlp_dim: int
    stride: int  # of the convolution across time
    padding: int


class _FeedForward(nn.Module):
    """Two matrices around a GELU (the exact one). The gaps in the numbering were dropout."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(shape.dim, shape.mlp_dim),
            nn.GELU(),
            nn.Identity(),
            nn.Linear(shape.mlp_dim, shape.dim),
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.net(tokens)


class _Attention(nn.Module):
    """Attention of some tokens to others: the caller says who asks, and who is asked."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        inner = shape.heads * shape.head_dim
        self.to_qkv = nn.Linear(shape.dim, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, shape.dim))

    def forward(
        self, asking: torch.Tensor, asked: torch.Tensor, allowed: torch.Tensor | None
    ) -> torch.Tensor:
        """(B, N, dim) for tokens (B, N, dim) that ask tokens (B, M, dim); allowed (B, 1, 1, M) or all."""
        inner = len(self.to_qkv.weight) // 3
        query = functional.linear(asking, self.to_qkv.weight[:inner])
        key, value = functional.linear(asked, self.to_qkv.weight[inner:]).chunk(2, dim=-1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return self.to_out(found.transpose(1, 2).flatten(2))


class _Step(nn.Module):
    """What `fn` is given comes normalised."""

    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn


class _Transformer(nn.Module):
    def __init__(self, shape: TransformerShape, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([_Step(shape.dim, _Attention(shape)), _Step(shape.dim, _FeedForward(shape))])
            for _ in range(depth)
        )


class _Regressor(nn.Module):
    """HMR's: it starts at the mean body and corrects it three times."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim + 6 * JOINTS + BETAS + CAMERA, _REGRESSOR_DIM)
        self.fc2 = nn.Linear(_REGRESSOR_DIM, _REGRESSOR_DIM)
        self.decpose = nn.Linear(_REGRESSOR_DIM, 6 * JOINTS)
        self.decshape = nn.Linear(_REGRESSOR_DIM, BETAS)
        self.deccam = nn.Linear(_REGRESSOR_DIM, CAMERA)
        self.register_buffer("init_body_pose", torch.empty(1, 6 * JOINTS))
        self.register_buffer("init_betas", torch.empty(1, BETAS))
        self.register_buffer("init_cam", torch.empty(1, CAMERA))

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotations (B, 24, 3, 3) and shape (B, 10) for features (B, dim)."""
        count = len(features)
        pose, betas, camera = (
            start.expand(count, -1) for start in (self.init_body_pose, self.init_betas, self.init_cam)
        )
        for _ in range(_ITERATIONS):
            hidden = torch.relu(self.fc1(torch.cat([features, pose, betas, camera], dim=-1)))
            hidden = torch.relu(self.fc2(hidden))
            pose = pose + self.decpose(hidden)
            betas = betas + self.decshape(hidden)
            camera = camera + self.deccam(hidden)
        return rotation_from_6d(pose.unflatten(-1, (JOINTS, 6))), betas


class PoseTransformer(nn.Module):
    """The network, for inference. `mean` and `deviation` (229,) of poses come from a file of their own."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.shape = shape
        length, dim = shape.frame_length, shape.dim
        self.register_buffer("mean", torch.empty(POSE_NUMBERS), persistent=False)
        self.register_buffer("deviation", torch.empty(POSE_NUMBERS), persistent=False)
        self.mask_token = nn.Parameter(torch.empty(dim))
        self.pos_embedding_learned1 = nn.Parameter(torch.empty(1, length, dim))
        self.pos_embedding_learned2 = nn.Parameter(torch.empty(1, length, dim))
        self.pose_shape_encoder = nn.Sequential(
            nn.Linear(POSE_NUMBERS, shape.pose_dim), nn.ReLU(), nn.Linear(shape.pose_dim, dim)
        )
        self.transformer1 = _Transformer(shape, shape.depth)
        self.transformer2 = _Transformer(shape, 1)
        kernel = shape.stride + 2 * shape.padding
        across = {"stride": shape.stride, "padding": shape.padding}
        self.conv_en = nn.Conv1d(dim, dim, kernel, **across)
        self.conv_de = nn.ConvTranspose1d(dim, dim, kernel, **across)
        self.smpl_head = nn.ModuleList([_Regressor(dim)])
        self.loca_head = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, CAMERA)
                )
            ]
        )

    def forward(self, poses: torch.Tensor, times: torch.Tensor, ahead: torch.Tensor) -> torch.Tensor:
        """Poses (B, 229) expected `ahead` (B,) frames after the last of poses (B, 7, 229) at times (B, 7).

        Times are frames, whole numbers, oldest first. Each person is read at a time of his own. What lies
        beyond the table is read at its end, as what was seen beyond it is written there.
        """
        last = self.shape.frame_length - 1
        slots = (times - times[:, :1]).clamp(max=last)  # (B, 7)
        read = (slots[:, -1] + ahead).clamp(min=0, max=last)
        return self._decoded(self._tokens(poses, slots), read)

    def _tokens(self, poses: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """The table (B, T, dim) after the first transformer and the convolutions."""
        # Of several poses in one frame the last counts; the others ask and are asked for nothing.
        counts = torch.ones_like(slots, dtype=torch.bool)
        counts[:, :-1] = slots[:, :-1] != slots[:, 1:]
        kept = torch.where(counts, slots, slots[:, -1:])  # where a pose that does not count may be written
        written = torch.where(counts[..., None], poses, poses[:, -1:])
        seen = self.pose_shape_encoder((written - self.mean) / (self.deviation + _TINY))  # (B, 7, dim)
        where = kept[..., None].expand_as(seen)
        table = self.mask_token.expand(len(poses), self.shape.frame_length, -1).scatter(1, where, seen)
        tokens = table + self.pos_embedding_learned1
        allowed = counts[:, None, None]
        for attention, forward in self.transformer1.layers:
            normed = attention.norm(tokens)
            tokens = tokens + attention.fn(normed, normed.gather(1, where), allowed)
            tokens = tokens + forward.fn(forward.norm(tokens))
        return self.conv_de(self.conv_en(tokens.transpose(1, 2))).transpose(1, 2)

    def _decoded(self, tokens: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        """The poses (B, 229) at the slots `read` (B,). In a last layer only they need to ask."""
        tokens = tokens + self.pos_embedding_learned2
        token = tokens.gather(1, read[:, None, None].expand(-1, 1, tokens.shape[-1]))  # (B, 1, dim)
        for attention, forward in self.transformer2.layers:
            token = token + attention.fn(attention.norm(token), attention.norm(tokens), None)
            token = token + forward.fn(forward.norm(token))
        features = token.squeeze(1)
        rotations, betas = self.smpl_head[0](features)
        return torch.cat([rotations.flatten(1), betas, self.loca_head[0](features)], dim=-1)
