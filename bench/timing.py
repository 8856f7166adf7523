"""How long a call takes, for the benchmarks of single stages."""

import statistics
import time
from collections.abc import Callable

import numpy as np

from workers.geometry import rotation_from_vector
from workers.types import BodyPose


def median_ms(call: Callable[[], object], *, repeats: int = 50) -> float:
    """Median wall time of `call` in milliseconds, after one run that warms caches up."""
    call()
    times_ms = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times_ms.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times_ms)


def crowd(count: int) -> list[BodyPose]:
    """People side by side in seeded poses, each some 900 px tall in a 1080p picture."""
    random = np.random.default_rng(0)
    rotations = rotation_from_vector(random.normal(0, 0.2, (count, 24, 3)))
    rotations[:, 0] = np.diag([1.0, -1.0, -1.0]) @ rotations[:, 0]  # upright, facing the camera
    betas = random.normal(0, 1, (count, 10))
    across_m = (np.arange(count) - (count - 1) / 2) * 0.8
    return [
        BodyPose(
            turn.astype(np.float32), shape.astype(np.float32), np.array([x, 0, 72.0 + 3 * number], np.float32)
        )
        for number, (turn, shape, x) in enumerate(zip(rotations, betas, across_m, strict=True))
    ]
