"""What a crop costs HMR2 on this machine, how precise it is then, and what it takes: `python -m bench.hmr2`.

The weights are generated: right in number and size, so that times are those of the published ones. What
they make of a picture is nonsense that reacts to rounding more than a trained network does. Each
precision is measured in a process of its own; the floor is the multiplications of a crop at the rate at
which this machine multiplies matrices of the backbone's size.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tests.fixtures import rules
from tests.parity import networks
from tests.smpl_files import smpl_body
from wire.environment import ALLOCATOR
from workers import compute
from workers.hmr2.architecture import RELEASE
from workers.hmr2.weights import open_network

VARIANT = "a"
BATCHES = (1, 2, 4, 8)

#: Operations of one crop: 124.0 + 1.5 billion multiplications, each with its addition.
CROP_GFLOP = 251

#: The recorded crop, and how many others show that it is no exception.
OTHERS = 3


def main() -> None:
    """Measure every precision that this CPU has, or, in a child's process, one of them."""
    parser = argparse.ArgumentParser(prog="python -m bench.hmr2", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=8, help="of one crop; of more, as many fewer")
    parser.add_argument("--measure", nargs=3, metavar=("PRECISION", "CHECKPOINT", "VERTICES"))
    parser.add_argument("--write", type=Path, metavar="CHECKPOINT")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.write:
        weights = networks.hmr2("full", VARIANT).state_dict()
        torch.save({"state_dict": weights}, arguments.write)
    elif arguments.measure:
        precision, checkpoint, vertices = arguments.measure
        measure(precision, Path(checkpoint), Path(vertices), repeats=arguments.repeats)
    else:
        compare(sys.argv[1:])


def compare(options: list[str]) -> None:
    """Print a table of all precisions."""
    precisions = ["float32", "bfloat16", *(["int8"] if compute.has_eight_bits() else [])]
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch, "hmr2.ckpt")
        _child(options, "--write", str(checkpoint))
        print(f"{'':<10}{'floor':>7}" + "".join(f"{f'{count} ms':>9}" for count in BATCHES), end="")
        print(f"{'load s':>8}{'loaded':>9}{'peak GB':>9}   mm from float32: recorded crop, others; worst")
        for precision in precisions:
            vertices = Path(scratch, f"{precision}.npy")
            measured = json.loads(_child(options, "--measure", precision, str(checkpoint), str(vertices)))
            off_mm = np.linalg.norm(np.load(vertices) - np.load(Path(scratch, "float32.npy")), axis=-1) * 1e3
            times = "".join(f"{time_ms:>9.0f}" for time_ms in measured["crop_ms"])
            print(
                f"{precision:<10}{measured['floor_ms']:>7.0f}{times}{measured['load_s']:>8.1f}"
                f"{measured['loaded_gb']:>9.2f}{measured['peak_gb']:>9.2f}   "
                f"{off_mm[0].mean():.1f}, {off_mm[1:].mean():.1f}; {off_mm.max():.1f}",
                flush=True,
            )


def _child(options: list[str], *more: str) -> str:
    command = [sys.executable, "-m", "bench.hmr2", *options, *more]
    served = os.environ | ALLOCATOR  # as a worker is served
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=served).stdout


def measure(precision: str, checkpoint: Path, vertices: Path, *, repeats: int) -> None:
    """Print what one precision costs, per crop where there are several, as JSON; write the vertices."""
    floor_ms = CROP_GFLOP / peak_gflops(precision) * 1e3
    started = time.perf_counter()
    network = open_network(checkpoint, RELEASE, where=compute.decide("cpu", precision))
    load_s = time.perf_counter() - started
    loaded_gb = _peak_gb()
    crops = torch.from_numpy(
        np.concatenate(
            [
                rules.hmr2_image(VARIANT, "full"),
                rules.normal(VARIANT, "bench.crops", (max(BATCHES) - 1, 3, 256, 256)),
            ]
        )
    )
    with torch.inference_mode():
        estimate = network(crops[: 1 + OTHERS])
        crop_ms = [
            _median_ms(lambda count=count: network(crops[:count]), max(repeats // count, 1)) / count
            for count in BATCHES
        ]
    np.save(vertices, smpl_body(VARIANT).mesh(estimate.rotations.numpy(), estimate.betas.numpy()).vertices)
    print(
        json.dumps(
            {
                "floor_ms": floor_ms,
                "crop_ms": crop_ms,
                "load_s": load_s,
                "loaded_gb": loaded_gb,
                "peak_gb": _peak_gb(),
            }
        )
    )


def peak_gflops(precision: str) -> float:
    """The best rate of a product like the MLP's in the backbone, 1e9 operations a second."""
    tokens, into, out = RELEASE.backbone.tokens, RELEASE.backbone.dim, RELEASE.backbone.mlp_dim
    best_s = min(_times_s(_product(precision, tokens, into, out), 100))
    return 2 * tokens * into * out / best_s / 1e9


def _product(precision: str, tokens: int, into: int, out: int) -> Callable[[], object]:
    if precision != "int8":
        dtype = getattr(torch, precision)
        values, weight = torch.ones(tokens, into, dtype=dtype), torch.ones(out, into, dtype=dtype)
        return lambda: torch.nn.functional.linear(values, weight)
    levels = torch.ones(tokens, into, dtype=torch.uint8)
    packed = torch.ops.onednn.qlinear_prepack(torch.ones(out, into, dtype=torch.int8), None)
    step, zero = torch.ones(out), torch.zeros(out, dtype=torch.int32)
    return lambda: torch.ops.onednn.qlinear_pointwise(
        levels, 1.0, 0, packed, step, zero, None, 1.0, 0, torch.float32, "none", [], ""
    )


def _times_s(call: Callable[[], object], repeats: int) -> npt.NDArray[np.floating]:
    times_s = np.empty(repeats)
    for number in range(repeats):
        started = time.perf_counter()
        call()
        times_s[number] = time.perf_counter() - started
    return times_s


def _median_ms(call: Callable[[], object], repeats: int) -> float:
    return statistics.median(_times_s(call, repeats)) * 1e3


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
