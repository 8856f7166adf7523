"""PHALP's networks as the fold calls them: questions in, arrays out, those of several sessions together."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from workers.device_failures import ending_where_lost
from workers.phalp.learned.associate import LooksAsked
from workers.phalp.learned.life import PosesAsked
from workers.phalp.learned.networks.encoder import AppearanceEncoder, texture_distances
from workers.phalp.learned.networks.pose_transformer import PoseTransformer
from workers.texture import Texture

Floats = npt.NDArray[np.floating]

Question = TypeVar("Question", LooksAsked, PosesAsked)


class Networks:
    """Both networks on one device. `looks` and `poses` are what `life` and `associate` ask for."""

    def __init__(
        self,
        *,
        encoder: AppearanceEncoder,
        transformer: PoseTransformer,
        device: torch.device,
        one_pass: bool | None = None,
    ) -> None:
        """`one_pass`: one for all questions that come together, not one for each. None: as the device likes.

        A CPU's kernels depend on how much they are given, and so does their rounding: in passes of their
        own, sessions are the same whatever their company. It has less to gain from large batches than a GPU.
        """
        # Channels last: the convolutions take two thirds of the time, on the CPU as on others.
        self._encoder = encoder.to(device, memory_format=torch.channels_last).eval()
        self._transformer = transformer.to(device).eval()
        self._device = device
        self._one_pass = device.type != "cpu" if one_pass is None else one_pass

    def looks(self, asked: Sequence[LooksAsked]) -> list[Floats]:
        """How differently people look (P,), for the pairs (P, 2) of each question."""
        return self._together(self._distances, asked, _one_of_looks, [len(one.pairs) for one in asked])

    def poses(self, asked: Sequence[PosesAsked]) -> list[Floats]:
        """The poses (B, 229) that each question asks for."""
        return self._together(self._expected, asked, _one_of_poses, [len(one.ahead) for one in asked])

    def _together(
        self,
        answer: Callable[[Question], Floats],
        asked: Sequence[Question],
        one_of: Callable[[Sequence[Question]], Question],
        sizes: Sequence[int],
    ) -> list[Floats]:
        """The answers to questions of some sizes."""
        with ending_where_lost():
            if not self._one_pass or not asked:
                return [answer(one) for one in asked]
            return np.split(answer(one_of(asked)), np.cumsum(sizes)[:-1])

    @torch.inference_mode()
    def _distances(self, asked: LooksAsked) -> Floats:
        if not len(asked.pairs):
            return np.zeros(0)
        (rows, row_of), (columns, column_of) = (
            np.unique(side, return_inverse=True) for side in asked.pairs.T
        )
        ours, theirs = (
            self._maps([textures[row] for row in kept])
            for textures, kept in ((asked.first, rows), (asked.second, columns))
        )
        pairs = torch.from_numpy(np.stack([row_of, column_of], axis=1)).to(self._device)
        return texture_distances(self._encoder, ours, theirs, pairs).cpu().numpy().astype(np.float64)

    @torch.inference_mode()
    def _expected(self, asked: PosesAsked) -> Floats:
        known, when, how_far = (
            torch.from_numpy(np.ascontiguousarray(each)).to(self._device) for each in asked
        )
        return self._transformer(known, when.long(), how_far.long()).cpu().numpy()

    def _maps(self, textures: Sequence[Texture]) -> torch.Tensor:
        """(N, 4, 256, 256)."""
        return torch.from_numpy(np.stack([texture.map() for texture in textures])).to(self._device)


def _one_of_looks(asked: Sequence[LooksAsked]) -> LooksAsked:
    """One question for all: textures one list after the other."""
    ends = np.cumsum([[len(one.first), len(one.second)] for one in asked], axis=0)
    starts = np.concatenate([[[0, 0]], ends[:-1]])
    return LooksAsked(
        [texture for one in asked for texture in one.first],
        [texture for one in asked for texture in one.second],
        np.concatenate([one.pairs + start for one, start in zip(asked, starts, strict=True)]),
    )


def _one_of_poses(asked: Sequence[PosesAsked]) -> PosesAsked:
    return PosesAsked(*(np.concatenate(part) for part in zip(*asked, strict=True)))
