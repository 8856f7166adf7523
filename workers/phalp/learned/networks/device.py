"""PHALP's networks as the fold calls them: arrays in, arrays out, all of a frame in one batch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from workers.phalp.learned.networks.encoder import AppearanceEncoder, texture_distances
from workers.phalp.learned.networks.pose_transformer import PoseTransformer
from workers.phalp.learned.texture import Texture

Floats = npt.NDArray[np.floating]
Index = npt.NDArray[np.integer]


class Networks:
    """Both networks on one device. `looks` and `poses` are what `life` and `associate` ask for."""

    def __init__(
        self, *, encoder: AppearanceEncoder, transformer: PoseTransformer, device: torch.device
    ) -> None:
        # Channels last: the convolutions take two thirds of the time, on the CPU as on others.
        self._encoder = encoder.to(device, memory_format=torch.channels_last).eval()
        self._transformer = transformer.to(device).eval()
        self._device = device

    @torch.inference_mode()
    def looks(self, first: Sequence[Texture], second: Sequence[Texture], pairs: Index) -> Floats:
        """How differently people look (P,), for pairs (P, 2) of rows of `first` and `second`."""
        if not len(pairs):
            return np.zeros(0)
        (rows, row_of), (columns, column_of) = (np.unique(side, return_inverse=True) for side in pairs.T)
        ours, theirs = self._maps([first[row] for row in rows]), self._maps([second[row] for row in columns])
        asked = torch.from_numpy(np.stack([row_of, column_of], axis=1)).to(self._device)
        return texture_distances(self._encoder, ours, theirs, asked).cpu().numpy().astype(np.float64)

    @torch.inference_mode()
    def poses(self, poses: Floats, times: Index, ahead: Index) -> Floats:
        """Poses (B, 229) `ahead` (B,) frames after the last of poses (B, 7, 229) at times (B, 7)."""
        asked = (
            torch.from_numpy(np.ascontiguousarray(each)).to(self._device) for each in (poses, times, ahead)
        )
        known, when, how_far = asked
        return self._transformer(known, when.long(), how_far.long()).cpu().numpy()

    def _maps(self, textures: Sequence[Texture]) -> torch.Tensor:
        """(N, 4, 256, 256)."""
        return torch.from_numpy(np.stack([texture.map() for texture in textures])).to(self._device)
