"""Matrices of eight bits do what those of float32 do, nearly, and the same for a crop in any company."""

import numpy as np
import pytest
import torch

from tests.fixtures import rules
from tests.parity import networks
from workers import compute
from workers.hmr2.eight_bits import EightBitMatrix, pack
from workers.hmr2.layers import Matrix
from workers.hmr2.network import Hmr2

pytestmark = pytest.mark.skipif(
    not compute.has_eight_bits(), reason="this CPU has no VNNI instructions: eight bits not tested"
)

#: Tokens of a crop, and sizes of a matrix.
COUNT, INTO, OUT = 192, 640, 256


def made(key: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rules.normal("a", key, shape))


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    matrix = Matrix(INTO, OUT).requires_grad_(False)
    matrix.weight.copy_(made("matrix", OUT, INTO) / INTO**0.5)
    matrix.bias.copy_(made("bias", OUT))
    return matrix


@pytest.fixture(scope="module")
def eight(matrix: Matrix) -> EightBitMatrix:
    return EightBitMatrix(matrix)


def error(eight: EightBitMatrix, matrix: Matrix, values: torch.Tensor) -> torch.Tensor:
    """(B, N, out): what eight bits give less what float64 gives, in deviations of that."""
    exact = values.double() @ matrix.weight.double().T + matrix.bias.double()
    return (eight(values) - exact) / exact.std()


def test_tokens_differ_from_those_of_float32_by_one_in_a_hundred(eight, matrix) -> None:
    assert error(eight, matrix, made("tokens", 2, COUNT, INTO)).std() < 0.015


def test_careful_matrices_lose_no_more_than_their_own_rounding(eight, matrix) -> None:
    values = made("tokens", 2, COUNT, INTO)
    careful = error(EightBitMatrix(matrix, careful=True), matrix, values).std()
    assert careful < 0.7 * error(eight, matrix, values).std()


def test_what_tokens_have_in_common_is_kept_to_sixteen_bits(eight, matrix) -> None:
    values = made("tokens", 2, COUNT, INTO) + 10 * made("common", 2, 1, INTO)
    off = error(eight, matrix, values)
    assert off.std() < 0.002  # the deviation is that of the common part, ten times as large
    assert off.mean(dim=1).std() < 2e-4


def test_channels_that_are_large_in_every_token_cost_the_others_nothing(eight, matrix) -> None:
    values = made("tokens", 1, COUNT, INTO)
    spiked = values.clone()
    spiked[..., ::64] += 1000

    def noise(values: torch.Tensor) -> float:
        exact = values.double() @ matrix.weight.double().T + matrix.bias.double()
        return (eight(values) - exact).std(dim=1).mean().item()

    assert noise(spiked) == pytest.approx(noise(values), rel=0.05)


@pytest.mark.parametrize("value", [0.0, 3.0, -7.5])
def test_tokens_that_are_all_alike_are_no_trouble(eight, matrix, value: float) -> None:
    values = torch.full((1, COUNT, INTO), value)
    torch.testing.assert_close(eight(values), matrix(values), rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def network() -> Hmr2:
    network = networks.hmr2("tiny", "a")
    pack(network.backbone.blocks)
    return network


def test_every_matrix_of_the_blocks_is_replaced(network: Hmr2) -> None:
    kinds = [type(module) for module in network.backbone.blocks.modules()]
    assert Matrix not in kinds
    assert kinds.count(EightBitMatrix) == 4 * networks.TINY.backbone.depth


def test_a_crop_has_the_same_body_alone_and_in_any_company_to_the_last_bit(network: Hmr2) -> None:
    crops = made("crops", 5, 3, 256, 256) * torch.tensor([1.0, 10, 0.1, 3, 1])[:, None, None, None]
    with torch.inference_mode():
        features = network.backbone(crops[..., 32:-32])
        for number, crop in enumerate(crops):
            torch.testing.assert_close(
                network.backbone(crop[None, ..., 32:-32])[0], features[number], rtol=0, atol=0
            )


def test_bodies_are_near_those_of_float32(network: Hmr2) -> None:
    crops = torch.from_numpy(rules.hmr2_image("a", "tiny"))
    with torch.inference_mode():
        ours, theirs = network(crops), networks.hmr2("tiny", "a")(crops)
    turned = ours.rotations.transpose(-1, -2) @ theirs.rotations
    angles = torch.acos(((turned.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1))
    assert np.rad2deg(angles.mean().item()) < 1
