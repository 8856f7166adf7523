"""Ways to tell how a person goes on: each takes what was seen and says the next frames.

What was seen are the poses of the latest `HISTORY` frames, oldest first. These are the plain ways that the
tracker's own prediction is measured against.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from bench.gaps import Floats, Poses
from workers.geometry import rotation_from_vector, vector_from_rotation

#: Frames that predictions may look back on.
HISTORY: Final = 10
#: Share of a velocity that is left after each frame, where it is damped.
DAMPING: Final = 0.8

#: The poses of the next frames, of a count that is given, from those of the latest.
Predictor = Callable[[Poses, int], Poses]


def hold(seen: Poses, count: int) -> Poses:
    """The last pose, unchanged."""
    return _along(seen, velocity_of_turns=np.zeros((24, 3)), velocity=np.zeros(3), travelled=np.zeros(count))


def constant_velocity(seen: Poses, count: int) -> Poses:
    """The last pose, which moves on as it did in the last frame."""
    turned, moved = _since_last(seen.part(slice(-2, None)))
    return _along(seen, velocity_of_turns=-turned[0], velocity=-moved[0], travelled=np.arange(1.0, count + 1))


def damped_line(seen: Poses, count: int) -> Poses:
    """The last pose, which moves on by a velocity that fades: that of least squares over all frames seen."""
    turned, moved = _since_last(seen)
    times = np.arange(len(turned)) - (len(turned) - 1) / 2
    slopes = times / np.square(times).sum()
    return _along(
        seen,
        velocity_of_turns=np.tensordot(slopes, turned, axes=1),
        velocity=slopes @ moved,
        travelled=np.cumsum(DAMPING ** np.arange(count)),
    )


def short_line(seen: Poses, count: int) -> Poses:
    """As `damped_line`, over the last six frames, and half as fast about the axes that show in depth only."""
    latest = seen.part(slice(-6, None))
    turned, moved = _since_last(latest)
    times = np.arange(len(turned)) - (len(turned) - 1) / 2
    slopes = times / np.square(times).sum()
    last = latest.turns[-1]
    in_camera = (last @ np.tensordot(slopes, turned, axes=1)[..., None])[..., 0] * np.array([0.5, 0.5, 1.0])
    return _along(
        seen,
        velocity_of_turns=(np.swapaxes(last, -1, -2) @ in_camera[..., None])[..., 0],
        velocity=(slopes @ moved) * np.array([1.0, 1.0, 0.0]),
        travelled=np.cumsum(DAMPING ** np.arange(count)),
    )


BASELINES: Final[dict[str, Predictor]] = {
    "hold last": hold,
    "constant velocity": constant_velocity,
    "damped line": damped_line,
}

#: What else was tried, and is not what the tracker does.
LOSERS: Final[dict[str, Predictor]] = {"short line, in plane": short_line}


def _since_last(seen: Poses) -> tuple[Floats, Floats]:
    """How frames differ from the last: rotation vectors (N, 24, 3) in its axes, and places (N, 3)."""
    away = vector_from_rotation(np.swapaxes(seen.turns[-1], -1, -2) @ seen.turns)
    return away, seen.places - seen.places[-1]


def _along(seen: Poses, *, velocity_of_turns: Floats, velocity: Floats, travelled: Floats) -> Poses:
    """The last pose after so many frames' way (N,) at velocities (24, 3) and (3,)."""
    turned = rotation_from_vector(travelled[:, None, None] * velocity_of_turns)
    return Poses(seen.turns[-1] @ turned, seen.places[-1] + travelled[:, None] * velocity)
