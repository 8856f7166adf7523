"""The smoothest motion that agrees with what was seen, in all frames at once.

It minimises

    sum w |x - z|²  +  integral of stiffness |x''|² + tension |x' - s'|²

over the values x in N moments, z seen with weights w, s the straight way between what was seen. With
tension 0 that is the mean that a Kalman smoother with white accelerations gives (Rauch, Tung and Striebel
1965; Wahba 1978: a smoothing spline), found by one banded system for all series instead of a pass through
time for each. Where nothing was seen the motion goes on between its neighbours, with tension as straight as
velocities measured badly deserve.

Rotations are smoothed on the group: the current turns are moved by the vectors that solve the system around
them (Gauss and Newton), so a constant angular velocity has no curvature, however far it leads.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import uniform_filter1d

from client.second_pass.turns import Flags, Floats, between, filled_in, matrix_of

#: Two moments are never taken to be nearer than this, seconds.
_SHORTEST_S: Final = 1e-3
#: What keeps the system solvable where nothing is known.
_RIDGE: Final = 1e-9
#: Gauss and Newton's steps; motions of people need no more.
_STEPS: Final = 3
#: Frames that are solved at a time, and frames beside them that are solved for their sake.
_BLOCK: Final = 1024
_MARGIN: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Manner:
    """How a kind of number is smoothed.

    low_hz, high_hz: what is faster is taken for noise, where hardly anything moves and where motion changes
    fast. lively: acceleration halfway between. tension: (D,) seconds, of each axis where nothing is seen.
    outlying: how far off the middle of its neighbours something seen counts half.
    """

    low_hz: float
    high_hz: float
    lively: float
    tension: Floats
    outlying: float


_Solver = Callable[[Floats, Floats, Floats, Manner], Floats]

#: Radians about the camera's axes: turns about x and y show in depth only, so they are known less well.
TURNS: Final = Manner(3.0, 8.0, 15.0, np.array([1e-2, 1e-2, 1e-3]), 0.3)
#: Metres across the picture.
ACROSS: Final = Manner(3.0, 8.0, 3.0, np.array([1e-3, 1e-3]), 0.15)
#: Log distance, whose change is mostly noise.
DISTANCE: Final = Manner(1.0, 1.0, 1.0, np.array([1e-3]), 0.1)

#: Frames around one over which accelerations are averaged.
_AROUND: Final = 5


def turns(seen: Floats, weights: Floats, times_s: Floats, manner: Manner = TURNS) -> Floats:
    """The motion (N, J, 3, 3) behind turns seen (N, J, 3, 3) with `weights` (N,), 0: not seen."""
    return _in_blocks(_turns, seen, weights, times_s, manner)


def vectors(seen: Floats, weights: Floats, times_s: Floats, manner: Manner) -> Floats:
    """The motion (N, D) behind vectors seen (N, D) with `weights` (N,), 0: not seen."""
    return _in_blocks(_vectors, seen, weights, times_s, manner)


def smoothed(
    values: Floats, weights: Floats, times_s: Floats, *, stiffness: Floats, tension: Floats
) -> Floats:
    """The solution (S, N) for S series of values (S, N) that count by `weights` (S, N).

    stiffness (S, N - 2): at the moments inside. tension (S, N - 1): of the steps.
    """
    system = _System(weights, times_s, stiffness, tension, np.zeros_like(tension))
    return _solve(system, weights * values)


def stiffness_of(cutoff_hz: Floats | float, times_s: Floats) -> Floats:
    """The stiffness that halves what swings `cutoff_hz` times a second, for weights of 1 in each moment."""
    spacing_s = float(np.median(_steps(times_s)))
    return np.asarray(1 / (spacing_s * (2 * np.pi * np.asarray(cutoff_hz)) ** 4))


def _in_blocks(solve: _Solver, seen: Floats, weights: Floats, times_s: Floats, manner: Manner) -> Floats:
    """`solve` for a long motion piece by piece, so that what is held at a time has a bound."""
    count = len(seen)
    if count < 3 or not weights.any():
        return seen.copy()
    if count <= _BLOCK + 2 * _MARGIN:
        return solve(seen, weights, times_s, manner)
    pieces = []
    for first in range(0, count, _BLOCK):
        low, high = max(first - _MARGIN, 0), min(first + _BLOCK + _MARGIN, count)
        part = slice(low, high)
        if weights[part].any() and high - low >= 3:
            solved = solve(seen[part], weights[part], times_s[part], manner)
        else:
            solved = seen[part]
        pieces.append(solved[first - low : first - low + _BLOCK])
    return np.concatenate(pieces)


def _turns(seen: Floats, weights: Floats, times_s: Floats, manner: Manner) -> Floats:
    known = weights > 0
    straight = filled_in(seen, known, times_s)
    joints = seen.shape[1]
    believed = _series(weights[:, None, None] * _believed(_bends(straight), known, manner)[..., None], joints)
    tension = _tension(known, np.tile(manner.tension, joints))
    stiffness = np.broadcast_to(stiffness_of(manner.low_hz, times_s), (3 * joints, len(seen) - 2))
    straight_steps = _series(between(straight[:-1], straight[1:]), joints)
    motion = straight
    for step in range(_STEPS + 1):
        system = _System(believed, times_s, stiffness, tension, straight_steps)
        off = between(motion, seen) * known[:, None, None]
        right = believed * _series(off, joints) - system.pull(
            _series(between(motion[:-1], motion[1:]), joints)
        )
        moved = _solve(system, right).reshape(joints, 3, len(seen)).transpose(2, 0, 1)
        motion = matrix_of(moved) @ motion
        if step == 0:  # the first motion, smooth throughout, tells where it changes fast
            bends = _series(between(motion[:-1], motion[1:]), joints)
            stiffness = _adaptive(bends, times_s, manner, together=3)
    return motion


def _vectors(seen: Floats, weights: Floats, times_s: Floats, manner: Manner) -> Floats:
    known = weights > 0
    axes = seen.shape[1]
    straight = np.stack([np.interp(times_s, times_s[known], column) for column in seen[known].T])  # (D, N)
    middle = np.zeros((len(seen), 1, axes))
    middle[1:-1, 0] = (straight[:, 1:-1] - (straight[:, :-2] + straight[:, 2:]) / 2).T
    system = _System(
        np.tile(weights * _believed(middle, known, manner)[:, 0], (axes, 1)),
        times_s,
        np.broadcast_to(stiffness_of(manner.low_hz, times_s), (axes, len(seen) - 2)),
        _tension(known, manner.tension),
        np.diff(straight, axis=1),
    )
    motion = _from(straight, system)
    stiffness = _adaptive(np.diff(motion, axis=1), times_s, manner, together=axes)
    return _from(straight, replace(system, stiffness=stiffness)).T


def _bends(motion: Floats) -> Floats:
    """How far each of turns (N, J, 3, 3) is off the middle of its neighbours: vectors (N, J, 3)."""
    bends = np.zeros(motion.shape[:-1])
    steps = between(motion[:-1], motion[1:])
    bends[1:-1] = (steps[:-1] - steps[1:]) / 2
    return bends


def _believed(off: Floats, known: Flags, manner: Manner) -> Floats:
    """(N, J): what is off its neighbours' middle by vectors (N, J, D) is believed less (Cauchy's weights)."""
    alone = np.zeros(len(known), bool)
    alone[1:-1] = known[:-2] & known[1:-1] & known[2:]
    return np.where(alone[:, None], 1 / (1 + np.square(off).sum(axis=-1) / manner.outlying**2), 1.0)


def _tension(known: Flags, of_axes: Floats) -> Floats:
    """(S, N - 1): of the steps from or to a moment that shows nothing."""
    return of_axes[:, None] * ~(known[:-1] & known[1:])


def _adaptive(steps: Floats, times_s: Floats, manner: Manner, *, together: int) -> Floats:
    """The stiffness (S, N - 2) where a motion's steps are (S, N - 1); `together` in a row share one."""
    spacing = _steps(times_s)
    bends = np.diff(steps / spacing, axis=1) / ((spacing[:-1] + spacing[1:]) / 2)
    squares = np.square(bends).reshape(-1, together, bends.shape[1]).sum(axis=1)
    lively = uniform_filter1d(squares, _AROUND, axis=1, mode="nearest") / manner.lively**2
    cutoff = manner.low_hz + (manner.high_hz - manner.low_hz) * lively / (1 + lively)
    return np.repeat(stiffness_of(cutoff, times_s), together, axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class _System:
    """What is minimised: weights (S, N), stiffness (S, N - 2), tension (S, N - 1)."""

    weights: Floats
    times_s: Floats
    stiffness: Floats
    tension: Floats
    straight: Floats  # (S, N - 1) steps of the straight way

    def bands(self) -> Floats:
        """The upper three diagonals (3, S, N) of its matrix."""
        before, now, after, bent, drawn = self._parts()
        bands = np.zeros((3, *self.weights.shape))
        bands[2] = self.weights + _RIDGE
        bands[2, :, :-2] += bent * before**2
        bands[2, :, 1:-1] += bent * now**2
        bands[2, :, 2:] += bent * after**2
        bands[1, :, 1:-1] += bent * before * now
        bands[1, :, 2:] += bent * now * after
        bands[0, :, 2:] = bent * before * after
        bands[2, :, :-1] += drawn
        bands[2, :, 1:] += drawn
        bands[1, :, 1:] -= drawn
        return bands

    def pull(self, steps: Floats) -> Floats:
        """What stiffness and tension pull at each moment (S, N), in a motion whose steps are (S, N - 1)."""
        before, now, after, bent, drawn = self._parts()
        bend = bent * np.diff(steps / _steps(self.times_s), axis=1)
        pull = np.zeros_like(self.weights)
        pull[:, :-2] += bend * before
        pull[:, 1:-1] += bend * now
        pull[:, 2:] += bend * after
        drawn = drawn * (steps - self.straight)
        pull[:, 1:] += drawn
        pull[:, :-1] -= drawn
        return pull

    def _parts(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """A change of velocity as a sum of three values, what it counts, and what a step does."""
        spacing = _steps(self.times_s)
        before, after = 1 / spacing[:-1], 1 / spacing[1:]
        bent = self.stiffness * 2 / (spacing[:-1] + spacing[1:])
        return before, -(before + after), after, bent, self.tension / spacing


def _from(values: Floats, system: _System) -> Floats:
    """The solution (S, N) for values (S, N), found by what pulls at them."""
    return values + _solve(system, -system.pull(np.diff(values, axis=1)))


def _solve(system: _System, right: Floats) -> Floats:
    """(S, N). The series stand one behind another in one system; nothing leads from one to the next."""
    bands = system.bands().reshape(3, -1)
    solved: Floats = solveh_banded(bands, right.reshape(-1), check_finite=False)
    return solved.reshape(right.shape)


def _steps(times_s: Floats) -> Floats:
    return np.maximum(np.diff(times_s), _SHORTEST_S)


def _series(vectors: Floats, joints: int) -> Floats:
    """(J * 3, N) of vectors (N, J, 3), or of numbers that all axes share (N, J, 1)."""
    each = np.broadcast_to(vectors, (len(vectors), joints, 3))
    return np.ascontiguousarray(each.transpose(1, 2, 0)).reshape(3 * joints, len(vectors))
