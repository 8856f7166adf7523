"""Device and precision are decided in one place, and what a device cannot do is said by name."""

import pytest
import torch

from workers.compute import Compute, DeviceUnavailable, decide
from workers.device_failures import in_halves, is_lost

GPU = torch.cuda.is_available()


def test_on_its_own_it_takes_a_gpu_where_there_is_one_and_what_that_does_fastest() -> None:
    chosen = decide("auto", "auto")
    assert chosen.device.type == ("cuda" if GPU else "cpu")
    assert chosen.precision in ({"bfloat16", "float16"} if GPU else {"int8", "bfloat16", "float32"})


@pytest.mark.parametrize(
    ("can", "precision"),
    [
        pytest.param({"avx512_vnni": True, "avx512_bf16": True}, "int8", id="a server of 2022"),
        pytest.param({"avx_vnni": True}, "int8", id="a laptop of 2022"),
        pytest.param({"avx512_bf16": True}, "bfloat16", id="bfloat16 alone"),
        pytest.param({"avx2": True}, "float32", id="an old one"),
    ],
)
def test_a_cpu_runs_what_it_has_instructions_for(
    can: dict[str, bool], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can)
    assert decide("cpu", "auto") == Compute(torch.device("cpu"), precision)


def test_workers_take_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert [str(decide("auto", "auto", index=index)) for index in range(3)] == [
        "cuda:0, float16",
        "cuda:1, float16",
        "cuda:0, float16",
    ]


def test_what_is_asked_for_is_taken() -> None:
    chosen = decide("cpu", "bfloat16")
    assert chosen == Compute(torch.device("cpu"), "bfloat16")
    assert chosen.dtype is torch.bfloat16
    assert str(chosen) == "cpu, bfloat16"


@pytest.mark.parametrize(
    ("device", "precision", "reason"),
    [
        pytest.param("cuda:99", "auto", "POSE_DEVICE=cuda:99: torch .* sees", id="a GPU that is not here"),
        pytest.param("tpu", "auto", "say auto, cpu, cuda", id="an unknown kind"),
        pytest.param("cuda:x", "auto", "say auto, cpu, cuda", id="no number"),
        pytest.param("cpu", "float16", "needs a GPU", id="float16 without a GPU"),
    ],
)
def test_a_device_that_cannot_is_refused_by_the_name_of_its_setting(
    device: str, precision: str, reason: str
) -> None:
    with pytest.raises(DeviceUnavailable, match=reason):
        decide(device, precision)


def test_eight_bits_are_refused_on_a_cpu_without_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(DeviceUnavailable, match="POSE_PRECISION=int8 needs"):
        decide("cpu", "int8")


def rows_at_a_time(most: int, asked: list[int]):
    def run(batch: torch.Tensor) -> list[int]:
        asked.append(len(batch))
        if len(batch) > most:
            raise torch.OutOfMemoryError("out of memory")
        return batch.tolist()

    return run


def test_a_batch_that_does_not_fit_is_run_in_halves_and_in_order() -> None:
    asked: list[int] = []
    parts = in_halves(rows_at_a_time(2, asked), torch.arange(7))
    assert [row for part in parts for row in part] == list(range(7))
    assert asked == [7, 3, 1, 2, 4, 2, 2]


def test_a_batch_that_fits_is_run_at_once() -> None:
    asked: list[int] = []
    in_halves(rows_at_a_time(8, asked), torch.arange(7))
    assert asked == [7]


def test_one_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        in_halves(rows_at_a_time(0, []), torch.arange(4))


def test_a_broken_gpu_is_told_from_one_that_is_full() -> None:
    assert is_lost(torch.AcceleratorError("an illegal memory access was encountered"))
    assert not is_lost(torch.OutOfMemoryError("out of memory"))
    assert not is_lost(RuntimeError("shapes do not match"))
