"""Ways to tell how a person goes on: each takes what was seen and says the next frames.

What was seen are the poses of the latest `HISTORY` frames, oldest first. These are the plain ways that the
tracker's own prediction is measured against.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from bench.gaps import Floats, Poses
from workers.geometry import rotation_from_vector, vector_from_rotation

#: Frames that predictions may look back on, where the person was seen in each of them; and those that the
#: damped line does.
HISTORY: Final = 60
DAMPED_OVER: Final = 10
#: Share of a velocity that is left after each frame, where it is damped.
DAMPING: Final = 0.8

#: Frames of the shortest period that is looked for, and frames by which a mixture judges.
_SHORTEST_PERIOD: Final = 12
_JUDGED: Final = 5

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
    """The last pose, which moves on by a velocity that fades: that of least squares over ten frames."""
    turned, moved = _since_last(seen.part(slice(-DAMPED_OVER, None)))
    slopes = _slopes(len(turned))
    return _along(
        seen,
        velocity_of_turns=np.tensordot(slopes, turned, axes=1),
        velocity=slopes @ moved,
        travelled=np.cumsum(DAMPING ** np.arange(count)),
    )


def short_line(seen: Poses, count: int) -> Poses:
    """As `damped_line`, over the last six frames, and half as fast about the axes that show in depth only."""
    turned, moved = _since_last(seen.part(slice(-6, None)))
    slopes = _slopes(len(turned))
    last = seen.turns[-1]
    in_camera = (last @ np.tensordot(slopes, turned, axes=1)[..., None])[..., 0] * np.array([0.5, 0.5, 1.0])
    return _along(
        seen,
        velocity_of_turns=(_inverse(last) @ in_camera[..., None])[..., 0],
        velocity=(slopes @ moved) * np.array([1.0, 1.0, 0.0]),
        travelled=np.cumsum(DAMPING ** np.arange(count)),
    )


def periodic(seen: Poses, count: int) -> Poses:
    """The last pose, which moves on as a period ago: the lag at which the past resembles itself most.

    Where not even two periods were seen, as `damped_line`. Places go on as there.
    """
    line = damped_line(seen, count)
    lags = range(_SHORTEST_PERIOD, len(seen.turns) // 2 + 1)
    if not lags:
        return line
    turned, _ = _since_last(seen)
    unlike = [np.square(turned[lag:] - turned[:-lag]).mean() for lag in lags]
    lag = lags[int(np.argmin(unlike))]
    ago = len(turned) - 1 - lag + 1 + np.arange(count) % lag
    return Poses(seen.turns[-1] @ rotation_from_vector(turned[ago] - turned[-1 - lag]), line.places)


def by_recent_error(seen: Poses, count: int) -> Poses:
    """A mean of holding, the damped line, the short one and the periodic: who was right lately, counts most.

    Each had to tell the last `_JUDGED` frames from those before; counts by its error to the power -4.
    """
    candidates = (hold, damped_line, short_line, periodic)
    before = seen.part(slice(None, -_JUDGED))
    if len(before.turns) < DAMPED_OVER:
        return damped_line(seen, count)
    truth = seen.part(slice(-_JUDGED, None))
    told = [one(before, _JUDGED) for one in candidates]
    shares = [
        _shares([np.linalg.norm(vector_from_rotation(_inverse(one.turns) @ truth.turns)) for one in told]),
        _shares([np.linalg.norm(one.places[:, :2] - truth.places[:, :2]) for one in told]),
    ]
    after = [one(seen, count) for one in candidates]
    turned = [vector_from_rotation(_inverse(seen.turns[-1]) @ one.turns) for one in after]
    return Poses(
        seen.turns[-1] @ rotation_from_vector(np.tensordot(shares[0], np.stack(turned), axes=1)),
        np.tensordot(shares[1], np.stack([one.places for one in after]), axes=1),
    )


BASELINES: Final[dict[str, Predictor]] = {
    "hold last": hold,
    "constant velocity": constant_velocity,
    "damped line": damped_line,
}

#: What else was tried, and is not what the tracker does.
LOSERS: Final[dict[str, Predictor]] = {
    "short line, in plane": short_line,
    "periodic": periodic,
    "mixture by recent error": by_recent_error,
}


def _slopes(count: int) -> Floats:
    """(N,): the slope of the line through N frames."""
    times = np.arange(count) - (count - 1) / 2
    return times / np.square(times).sum()


def _shares(off: Sequence[float | np.floating]) -> Floats:
    """(C,) of candidates that were so far `off`."""
    shares = np.maximum(np.array(off, dtype=np.float64), 1e-6) ** -4
    return shares / shares.sum()


def _inverse(turns: Floats) -> Floats:
    return np.swapaxes(turns, -1, -2)


def _since_last(seen: Poses) -> tuple[Floats, Floats]:
    """How frames differ from the last: rotation vectors (N, 24, 3) in its axes, and places (N, 3)."""
    away = vector_from_rotation(_inverse(seen.turns[-1]) @ seen.turns)
    return away, seen.places - seen.places[-1]


def _along(seen: Poses, *, velocity_of_turns: Floats, velocity: Floats, travelled: Floats) -> Poses:
    """The last pose after so many frames' way (N,) at velocities (24, 3) and (3,)."""
    turned = rotation_from_vector(travelled[:, None, None] * velocity_of_turns)
    return Poses(seen.turns[-1] @ turned, seen.places[-1] + travelled[:, None] * velocity)
