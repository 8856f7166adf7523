"""Every number of the network's shape, in one place."""

from dataclasses import dataclass
from typing import Final

#: The body that the network describes: joints, shape coefficients, numbers of its crop's camera.
JOINTS: Final = 24
BETAS: Final = 10
CAMERA: Final = 3

#: Side of the square crop that callers pass, pixels, and the columns that the backbone drops on either side.
CROP_PX: Final = 256
DROPPED_PX: Final = 32


@dataclass(frozen=True, slots=True)
class BackboneShape:
    """The vision transformer over one crop of 256 x 192 pixels."""

    dim: int
    depth: int
    heads: int
    mlp_dim: int
    patch_px: int = 16
    #: Zeros around the crop before it is cut up: the trunk was trained that way (ViTPose).
    padding_px: int = 2

    @property
    def rows(self) -> int:
        """Patches from top to bottom."""
        return (CROP_PX + 2 * self.padding_px - self.patch_px) // self.patch_px + 1

    @property
    def columns(self) -> int:
        """Patches from left to right."""
        return (CROP_PX - 2 * DROPPED_PX + 2 * self.padding_px - self.patch_px) // self.patch_px + 1

    @property
    def tokens(self) -> int:
        """Patches of a crop."""
        return self.rows * self.columns


@dataclass(frozen=True, slots=True)
class HeadShape:
    """The decoder that reads one token's worth of body out of the backbone's features."""

    dim: int
    depth: int
    heads: int
    head_dim: int
    mlp_dim: int
    context_dim: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """The whole network."""

    backbone: BackboneShape
    head: HeadShape


#: What 4D-Humans published (HMR2.0a and HMR2.0b): ViT-H/16 and six decoder layers.
RELEASE: Final = Architecture(
    backbone=BackboneShape(dim=1280, depth=32, heads=16, mlp_dim=5120),
    head=HeadShape(dim=1024, depth=6, heads=8, head_dim=64, mlp_dim=1024, context_dim=1280),
)
