"""Poses are expected as PHALP's transformer expects them, each track at its own time."""

import numpy as np
import pytest
import torch

from tests.parity import phalp_networks
from tests.parity.recordings import Recording, recorded
from workers.phalp.learned.networks.pose_transformer import PoseTransformer

CASES = ("steady", "young", "ghost", "long")
LAST_SLOT = phalp_networks.SHAPE.frame_length - 1
TOLERANCE = 2e-4


class Case:
    """One case of a recording: poses at times, and who is asked for which frame."""

    def __init__(self, recording: Recording, name: str) -> None:
        self.poses, self.times, unseen = (
            torch.from_numpy(recording[f"{name}_{key}"]) for key in ("pose", "time", "ttp")
        )
        self.ahead = unseen + 1
        self.ends = self.times[:, -1] - self.times[:, 0]  # the slot of the last pose

    def expected(self, transformer: PoseTransformer, ahead: torch.Tensor) -> np.ndarray:
        return transformer(self.poses, self.times, ahead).numpy()


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@recorded("pose_predictor")
def test_phalp_expects_the_recorded_poses(recording: Recording, name: str) -> None:
    case = Case(recording, name)
    transformer = phalp_networks.pose_transformer(recording.variant)
    assert_close(case.expected(transformer, case.ahead), recording[f"{name}_pred_per_row"])


@recorded("pose_predictor")
def test_phalp_reads_the_recorded_pose_in_every_slot(recording: Recording, name: str) -> None:
    case = Case(recording, name)
    transformer = phalp_networks.pose_transformer(recording.variant)
    decoded = recording[f"{name}_decoded"]
    for column, slot in enumerate(recording[f"{name}_decoded_t"]):
        assert_close(case.expected(transformer, int(slot) - case.ends), decoded[:, column])


@recorded("pose_predictor")
def test_the_original_reads_every_pose_in_the_slot_of_the_first(recording: Recording, name: str) -> None:
    case = Case(recording, name)
    transformer = phalp_networks.pose_transformer(recording.variant)
    slot = torch.clamp(case.ends[0] + case.ahead[0], max=LAST_SLOT)
    assert_close(case.expected(transformer, slot - case.ends), recording[f"{name}_pred_upstream"])


@pytest.fixture(scope="module")
def transformer() -> PoseTransformer:
    return phalp_networks.pose_transformer("a")


def history(*times: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(0)
    poses = random.standard_normal((1, 7, 229), dtype=np.float32)
    return torch.from_numpy(poses), torch.tensor([times])


def test_a_history_longer_than_the_table_ends_in_its_last_slot(transformer: PoseTransformer) -> None:
    poses, times = history(0, 1, 2, 3, 150, 160, 170)  # the original crashes here
    _, shorter = history(0, 1, 2, 3, LAST_SLOT, LAST_SLOT, LAST_SLOT)
    expected = transformer(poses, times, torch.tensor([1]))
    assert torch.equal(expected, transformer(poses, shorter, torch.tensor([9])))
    assert torch.isfinite(expected).all()


def test_a_pose_does_not_depend_on_who_else_is_expected(transformer: PoseTransformer) -> None:
    poses, times = history(0, 1, 2, 3, 4, 5, 6)
    others, theirs = history(3, 3, 3, 3, 9, 20, 21)
    together = transformer(torch.cat([poses, others]), torch.cat([times, theirs]), torch.tensor([1, 30]))
    torch.testing.assert_close(together[:1], transformer(poses, times, torch.tensor([1])), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        together[1:], transformer(others, theirs, torch.tensor([30])), rtol=0, atol=1e-5
    )
