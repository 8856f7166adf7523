"""The picture that `visualize` asks for: the frame with bodies drawn over it, as a PNG."""

import logging
from collections.abc import Sequence

from body.drawing import Figure, draw_skeletons, overlay
from body.rasteriser import Index
from workers import png
from workers.types import Image

log = logging.getLogger(__name__)


def visualization_png(image: Image, figures: Sequence[Figure], faces: Index) -> bytes:
    """PNG of the frame `image` (height, width, 3), uint8, RGB, with meshes of `faces` (F, 3), and skeletons.

    With less, and a line in the log, where drawing fails.
    """
    try:
        drawn = overlay(image, figures, faces)
    except Exception:
        log.exception("mesh not drawn, falling back to the skeleton")
        drawn = _skeletons_or_plain(image, figures)
    return png.encoded(drawn)


def _skeletons_or_plain(image: Image, figures: Sequence[Figure]) -> Image:
    drawn = image.copy()
    try:
        draw_skeletons(drawn, figures)
    except Exception:
        log.exception("skeleton not drawn, falling back to the plain frame")
        return image
    return drawn
