"""On what the networks run, and how precisely: the one place that decides it."""

from dataclasses import dataclass
from typing import Final, Literal

import torch

from wire.errors import ModelNotLoaded

Precision = Literal["float32", "bfloat16", "float16", "int8"]

#: The first NVIDIA GPUs that multiply bfloat16 as fast as float16 (Ampere).
_BFLOAT16_SINCE: Final = (8, 0)


class DeviceUnavailable(ModelNotLoaded):
    """The device that was asked for is not here, or cannot compute as precisely as was asked for."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Where the networks run, and how precise most of their matrices are."""

    device: torch.device
    precision: Precision

    @property
    def dtype(self) -> torch.dtype:
        """What the matrices hold before the device's own format: int8 is made of float32."""
        return torch.float32 if self.precision == "int8" else getattr(torch, self.precision)

    def __str__(self) -> str:
        """As `/health` says it: `cuda:0, bfloat16`."""
        return f"{self.device}, {self.precision}"


def decide(device: str, precision: str, *, index: int = 0) -> Compute:
    """What `POSE_DEVICE` (auto, cpu, cuda, cuda:N) and `POSE_PRECISION` (auto or a precision) mean here.

    index: which of the workers asks; where no number says which, they take the GPUs in turn. Raises
    `DeviceUnavailable`, naming the setting.
    """
    place = _device(device, index)
    fastest = _fastest_on_gpu(place) if place.type == "cuda" else _fastest_on_cpu()
    if precision == "auto":
        return Compute(place, fastest)
    if precision == "int8" and not (place.type == "cpu" and has_eight_bits()):
        raise DeviceUnavailable(f"POSE_PRECISION=int8 needs a CPU with VNNI instructions; this is {place}")
    if precision == "float16" and place.type == "cpu":
        raise DeviceUnavailable("POSE_PRECISION=float16 needs a GPU: on CPUs it is slower than float32")
    return Compute(place, precision)  # type: ignore[arg-type]  # the settings let no other word through


def settle(where: Compute, *, threads: int) -> None:
    """Make this process compute as `where` says, on `threads` threads where that is a CPU."""
    torch.set_num_threads(threads)
    # cuDNN rounds float32 to TF32's 10 bits unless it is told that float32 is meant.
    torch.backends.cudnn.allow_tf32 = where.precision != "float32"


def _device(wanted: str, index: int) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        wanted = "cuda" if count else "cpu"
    kind, _, number = wanted.partition(":")
    if kind == "cpu" and not number:
        return torch.device("cpu")
    if kind != "cuda" or (number and not number.isdecimal()):
        raise DeviceUnavailable(f"POSE_DEVICE={wanted}: say auto, cpu, cuda or cuda:N")
    chosen = int(number) if number else index % max(count, 1)
    if chosen >= count:
        raise DeviceUnavailable(
            f"POSE_DEVICE={wanted}: torch {torch.__version__} sees {count} such GPUs here"
        )
    return torch.device("cuda", chosen)


def _fastest_on_gpu(device: torch.device) -> Precision:
    return "bfloat16" if torch.cuda.get_device_capability(device) >= _BFLOAT16_SINCE else "float16"


def _fastest_on_cpu() -> Precision:
    if has_eight_bits():
        return "int8"
    return "bfloat16" if torch.cpu.get_capabilities().get("avx512_bf16") else "float32"


def has_eight_bits() -> bool:
    """Whether this CPU multiplies eight bits faster than all else (VNNI)."""
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_vnni") or can.get("avx_vnni"))
