"""The tracker's crops of a frame that is on a device already, cut there.

The same squares and the same interpolation as `workers/hmr2/crop.py`, which copies OpenCV's
rounding and this does not: a pixel may differ by one grey level.
"""

from typing import Final

import torch

from workers.hmr2.crop import SIDE_PX, Squares

#: ImageNet's mean and deviation of red, green and blue, in grey levels.
_MEAN: Final = (123.675, 116.28, 103.53)
_DEVIATION: Final = (58.395, 57.12, 57.375)


def tracking_crops(frame: torch.Tensor, squares: Squares) -> torch.Tensor:
    """Pixels (N, 3, 256, 256), uint8, of a frame (3, H, W), uint8, RGB, on the frame's device."""
    center = torch.from_numpy(squares.center).to(frame.device)
    side = torch.from_numpy(squares.side).to(frame.device)
    steps = (torch.arange(SIDE_PX, device=frame.device) - SIDE_PX / 2) / SIDE_PX
    x, y = center.T[..., None] + side[:, None] * steps  # (N, 256) each
    left, right = _neighbours(x, frame.shape[2])
    top, bottom = _neighbours(y, frame.shape[1])
    levels = sum(
        frame[:, row[:, :, None], column[:, None, :]] * (row_share[:, :, None] * column_share[:, None, :])
        for row, row_share in (top, bottom)
        for column, column_share in (left, right)
    )  # (3, N, 256, 256)
    return levels.round().to(torch.uint8).transpose(0, 1)


def normalised(crops: torch.Tensor) -> torch.Tensor:
    """The network's input (N, 3, 256, 256), float32, from pixels of that shape."""
    mean, deviation = (
        torch.tensor(values, device=crops.device)[:, None, None] for values in (_MEAN, _DEVIATION)
    )
    return (crops - mean) / deviation


def _neighbours(place: torch.Tensor, size: int) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    """The pixels before and after each place (N, 256), and their shares in it; black ones have none."""
    before = place.floor()
    share = place - before
    return tuple(
        (index.clamp(0, size - 1).long(), part * ((index >= 0) & (index < size)))
        for index, part in ((before, 1 - share), (before + 1, share))
    )
