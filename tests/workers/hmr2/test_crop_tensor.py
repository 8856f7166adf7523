"""Crops that are cut on a device are those that OpenCV cuts, to a grey level."""

import numpy as np
import pytest
import torch

from tests.fixtures import rules
from workers.hmr2 import crop, crop_tensor

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


@pytest.fixture(scope="module")
def image():
    """Noise, in which every rounding shows."""
    return rules.gen("a", "crop.picture").integers(0, 256, (300, 400, 3), dtype=np.uint8)


def squares(image, count):
    """Squares inside, around and outside the picture, many small ones among them."""
    height, width = image.shape[:2]
    corner = rules.uniform("a", "crop.corner", (count, 2)) * 1.5 - 0.25
    size = 5 + 500 * rules.uniform("a", "crop.size", (count, 2)) ** 2
    corner = corner * np.array([width, height], np.float32)
    return crop.tracking_squares(np.concatenate([corner, corner + size], axis=1))


def on(device, image):
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(device)


@pytest.mark.parametrize("device", DEVICES)
def test_pixels_are_opencvs_but_for_a_grey_level_in_a_thousandth_of_them(image, device):
    where = squares(image, 40)
    expected = crop.tracking_crops(image, where).transpose(0, 3, 1, 2)
    pixels = crop_tensor.tracking_crops(on(device, image), where).cpu().numpy()
    difference = np.abs(pixels.astype(int) - expected)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) < 1e-3 * difference.size


@pytest.mark.parametrize("device", DEVICES)
def test_the_networks_input_is_the_same(image, device):
    pixels = crop.tracking_crops(image, squares(image, 2))
    ready = crop_tensor.normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device))
    np.testing.assert_allclose(ready.cpu().numpy(), crop.normalised(pixels), rtol=0, atol=1e-6)


def test_nobody_has_no_crops(image):
    assert crop_tensor.tracking_crops(on("cpu", image), squares(image, 0)).shape == (0, 3, 256, 256)
