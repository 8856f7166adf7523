"""What is seen of people's surfaces in HMR2's crops: the textures by which the learned tracker knows them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from body.model import Body
from workers.detectors.person import Mask
from workers.hmr2.camera import crop_translation
from workers.hmr2.crop import SIDE_PX, Squares, mask_crops, normalised
from workers.phalp.learned.unfold import Atlas
from workers.texture import Texture
from workers.types import Array


class Surfaces:
    """A body, and the atlas of its surface."""

    def __init__(self, *, body: Body, atlas: Atlas) -> None:
        self._body = body
        self._atlas = atlas

    def textures(
        self,
        crops: npt.NDArray[np.uint8],
        squares: Squares,
        masks: Sequence[Mask | None],
        *,
        rotations: Array,
        betas: Array,
        camera: Array,
    ) -> list[Texture]:
        """The textures of N people: each in the crop of a square, with a mask of its picture.

        crops (N, 256, 256, 3), RGB; rotations, betas, camera: as in `workers.hmr2.observer.Bodies`. Who has
        no mask is taken to be seen wherever the body covers the crop.
        """
        if not len(crops):
            return []
        vertices = self._body.mesh(rotations, betas).vertices + crop_translation(camera)[:, None]
        pictures = np.concatenate([normalised(crops), _inside(masks, squares)[:, None]], axis=1)
        return [self._atlas.unfold(*one) for one in zip(vertices, pictures, strict=True)]


def _inside(masks: Sequence[Mask | None], squares: Squares) -> Array:
    """(N, 256, 256): 1 where a pixel of the crop has some of the person, else 0."""
    inside = np.ones((len(masks), SIDE_PX, SIDE_PX), np.float32)
    for row, mask in enumerate(masks):
        if mask is not None:
            square = Squares(squares.center[row : row + 1], squares.size[row : row + 1])
            inside[row] = mask_crops(mask[None], square)[0] > 0
    return inside
