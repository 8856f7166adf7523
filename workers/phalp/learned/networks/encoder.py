"""The encoder that tells surface textures apart, and the distance between two people by it.

Modules carry the names of the published checkpoint. A texture's map has four channels, colours and a
mask, on a square of 256 texels; see `workers.texture`.
"""

from typing import Final

import torch
from torch import nn
from torch.nn import functional

#: Pairs encoded at a time: two maps of 1 MiB each, and some 10 MiB inside the network.
_PAIRS_AT_A_TIME: Final = 16

#: PHALP's unit of appearances, and what it multiplies their squared distance by.
_UNIT: Final = 1e3
_SCALE: Final = 100.0


class AppearanceEncoder(nn.Module):
    """Six convolutions, each kept where positive; the first four halve the map. Nothing is normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1x = nn.Conv2d(4, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1)
        self.conv4 = nn.Conv2d(128, 256, 3, padding=1)
        self.conv5 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv5_1 = nn.Conv2d(256, 16, 3, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Appearances (B, 4096) of maps (B, 4, 256, 256): 16 channels of 16 x 16 each."""
        for convolution in (self.conv1x, self.conv2, self.conv3, self.conv4):
            maps = functional.max_pool2d(torch.relu(convolution(maps)), 2)
        return torch.relu(self.conv5_1(torch.relu(self.conv5(maps)))).flatten(1)


def texture_distances(
    encoder: AppearanceEncoder, first: torch.Tensor, second: torch.Tensor, pairs: torch.Tensor
) -> torch.Tensor:
    """How differently people look where both were seen: (P,), for pairs (P, 2) of rows of the two.

    first (T, 4, 256, 256) and second (D, 4, 256, 256): maps whose last channel is 1 where the texel was
    seen. Outside of what both saw all channels are 0, the mask's too, before they are encoded.
    """
    distances = [first.new_empty(0)]
    for some in pairs.split(_PAIRS_AT_A_TIME):
        ours, theirs = first[some[:, 0]], second[some[:, 1]]
        common = (ours[:, 3:] > 0.5) & (theirs[:, 3:] > 0.5)
        maps = torch.cat([ours * common, theirs * common]).contiguous(memory_format=torch.channels_last)
        one, other = encoder(maps).chunk(2)
        distances.append(_SCALE * ((one - other) / _UNIT).square().sum(-1))
    return torch.cat(distances)
