"""HMR2 over any number of crops: in batches that the device bears, each crop with its own body."""

import numpy as np
import pytest
import torch

from tests.fixtures import rules
from tests.parity import networks
from workers.device_failures import EXIT_DEVICE_LOST
from workers.hmr2.crop import normalised
from workers.hmr2.estimator import TorchEstimator, normalised_there
from workers.hmr2.network import Hmr2

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny() -> Hmr2:
    return networks.hmr2("tiny", "a")


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    levels = np.clip(128 + 60 * rules.normal("a", "estimator", (5, 256, 256, 3)), 0, 255)
    return levels.astype(np.uint8)


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))],
)
def test_what_is_normalised_on_a_device_is_the_same(device: str, crops: np.ndarray) -> None:
    ready = normalised_there(torch.from_numpy(crops).to(device)).cpu().numpy()
    np.testing.assert_allclose(ready, normalised(crops), rtol=0, atol=1e-6)


class Narrow(torch.nn.Module):
    """A network on a device whose memory holds so many crops and no more."""

    def __init__(self, network: Hmr2, holds: int) -> None:
        super().__init__()
        self.network, self.holds, self.seen = network, holds, []

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if len(crops) > self.holds:
            raise torch.OutOfMemoryError("no room")
        self.seen.append(len(crops))
        return self.network(crops)


def test_batches_give_what_one_batch_gives_and_tell_of_their_progress(tiny: Hmr2, crops: np.ndarray) -> None:
    told: list[int] = []
    whole = TorchEstimator(tiny, device=CPU, batch_crops=8).estimate(crops)
    parts = TorchEstimator(tiny, device=CPU, batch_crops=2).estimate(crops, lambda: told.append(1))

    assert len(told) == 3
    assert (whole.rotations.shape, whole.betas.shape, whole.camera.shape) == ((5, 24, 3, 3), (5, 10), (5, 3))
    for name in ("rotations", "betas", "camera"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=0, atol=1e-5)


def test_a_batch_that_does_not_fit_is_halved_and_nobody_is_lost(tiny: Hmr2, crops: np.ndarray) -> None:
    narrow = Narrow(tiny, holds=2)
    halved = TorchEstimator(narrow, device=CPU, batch_crops=8).estimate(crops)
    whole = TorchEstimator(tiny, device=CPU, batch_crops=8).estimate(crops)

    assert sum(narrow.seen) == 5
    np.testing.assert_allclose(halved.rotations, whole.rotations, rtol=0, atol=1e-5)


def test_a_gpu_that_answers_no_more_ends_the_process_by_a_status_of_its_own(crops: np.ndarray) -> None:
    class Lost(torch.nn.Module):
        def forward(self, _crops: torch.Tensor) -> None:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(SystemExit) as ended:
        TorchEstimator(Lost(), device=CPU, batch_crops=8).estimate(crops)
    assert ended.value.code == EXIT_DEVICE_LOST


def test_another_failure_is_only_the_frames(crops: np.ndarray) -> None:
    class Wrong(torch.nn.Module):
        def forward(self, _crops: torch.Tensor) -> None:
            raise RuntimeError("a bug of ours")

    with pytest.raises(RuntimeError, match="a bug"):
        TorchEstimator(Wrong(), device=CPU, batch_crops=8).estimate(crops)
