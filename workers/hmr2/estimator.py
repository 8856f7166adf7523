"""Runs HMR2 over any number of crops: arrays in, arrays out, in batches that the device bears."""

import numpy as np
import numpy.typing as npt
import torch

from workers.device_failures import ending_where_lost, in_halves
from workers.hmr2.crop import DEVIATION, MEAN, normalised
from workers.hmr2.network import Estimate, Hmr2
from workers.hmr2.observer import Bodies
from workers.types import Progress, unnoticed


class TorchEstimator:
    """One network on one device. Not thread-safe."""

    def __init__(self, network: Hmr2, *, device: torch.device, batch_crops: int) -> None:
        """`batch_crops`: the most that go through the network at a time."""
        self._network = network
        self._device = device
        self._batch_crops = batch_crops

    @torch.inference_mode()
    def estimate(self, crops: npt.NDArray[np.uint8], on_progress: Progress = unnoticed) -> Bodies:
        """The bodies in crops (N, 256, 256, 3), RGB. Ends the process where the GPU answers no more."""
        estimates: list[Estimate] = []
        with ending_where_lost():
            for batch in torch.from_numpy(crops).split(self._batch_crops):
                estimates += in_halves(self._run, batch)
                on_progress()
        return Bodies(*(torch.cat(parts).numpy() for parts in zip(*estimates, strict=True)))

    def _run(self, crops: torch.Tensor) -> Estimate:
        return Estimate(*(part.cpu() for part in self._network(self._input(crops))))

    def _input(self, crops: torch.Tensor) -> torch.Tensor:
        """The network's input (B, 3, 256, 256). To a GPU levels travel as bytes."""
        if self._device.type == "cpu":
            return torch.from_numpy(normalised(crops.numpy()))
        pixels = crops.pin_memory().to(self._device, non_blocking=True)
        return normalised_there(pixels)


def normalised_there(crops: torch.Tensor) -> torch.Tensor:
    """What `crop.normalised` makes of pixels (N, 256, 256, 3), uint8, on the device where they are."""
    mean, deviation = (
        torch.tensor(values, dtype=torch.float32, device=crops.device)[:, None, None]
        for values in (MEAN, DEVIATION)
    )
    return (crops.permute(0, 3, 1, 2) - mean) / deviation
