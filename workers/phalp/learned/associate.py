"""Who is who: the cheapest assignment of those seen to those expected, by PHALP's equation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from workers.phalp.learned.costs import (
    EQ_019,
    MAX_COST,
    People,
    Terms,
    costs,
    terms,
    without_places,
)
from workers.phalp.learned.pose import POSE_NUMBERS
from workers.phalp.learned.sighting import Sighting
from workers.phalp.learned.state import Floats, TrackState
from workers.texture import Texture

#: By so much, people's looks are taken to differ at most: of two that have nothing in common, about 0.5.
MOST_TEXTURE: Final = 6.0

#: What all pairs cost that cost too much: among them the assignment does not choose.
_IMPOSSIBLE: Final = MAX_COST + 1e-5


class LooksAsked(NamedTuple):
    """Whose looks are to be compared: pairs (P, 2) of rows of the two lists of textures."""

    first: Sequence[Texture]
    second: Sequence[Texture]
    pairs: npt.NDArray[np.integer]


#: How differently people look, (P,) for the pairs of each question; those of several frames come together.
Looks = Callable[[Sequence[LooksAsked]], list[Floats]]


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """What it costs to take T tracks for S sightings, but for looks; and which looks may decide."""

    terms: Terms
    asked: npt.NDArray[np.bool_]  # (T, S)
    certain: npt.NDArray[np.bool_]  # (T, S) pairs of one another, whatever they look like
    question: LooksAsked


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """Indices into the tracks and sightings that were given; a track in no pair is lost."""

    costs: Floats  # (T, S); without looks where they decide nothing
    pairs: tuple[tuple[int, int], ...]  # (track, sighting), by track
    new_sightings: tuple[int, ...]  # in the order in which they begin tracks


def weigh(
    tracks: Sequence[TrackState], sightings: Sequence[Sighting], *, most_texture: float = MOST_TEXTURE
) -> Weighed:
    """What there is to know before looks are compared; the tracks expect to be seen in this frame.

    Textures are to be compared only where they may decide. They cannot where the other terms make a pair
    impossible, as looks can but add to a cost; nor where a pair is the only one for both, and possible even
    if looks differ by `most_texture`. Infinite: those are compared too.
    """
    found = terms(
        People(
            _rows([track.expected_pose for track in tracks], POSE_NUMBERS),
            _rows([track.expected_place for track in tracks], 3),
        ),
        _rows([track.expected_doubt for track in tracks], 3),
        People(
            _rows([seen.pose for seen in sightings], POSE_NUMBERS),
            _rows([seen.place for seen in sightings], 3),
        ),
    )
    found = without_places(found, np.array([not track.placed for track in tracks], np.bool_))
    possible = costs(EQ_019, found, 0.0) <= MAX_COST
    certain = _only_ones(possible) & (costs(EQ_019, found, most_texture) <= MAX_COST)
    asked = possible & ~certain
    question = LooksAsked(
        [track.texture for track in tracks], [seen.texture for seen in sightings], np.argwhere(asked)
    )
    return Weighed(found, asked, certain, question)


def choose(weighed: Weighed, distances: Floats) -> Association:
    """The cheapest assignment, now that the looks that were asked for are known."""
    texture = np.where(weighed.certain, 0.0, np.inf)
    texture[weighed.asked] = distances
    cost = costs(EQ_019, weighed.terms, texture)
    return _cheapest(np.where(cost > MAX_COST, _IMPOSSIBLE, cost))


def _rows(vectors: Sequence[Floats], length: int) -> Floats:
    """(N, length), also where there are none."""
    return np.array(vectors, np.float32).reshape(-1, length)


def _only_ones(possible: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pairs (T, S) that are the only possible ones of both: every cheapest assignment has them."""
    return possible & (possible.sum(axis=0) == 1) & (possible.sum(axis=1, keepdims=True) == 1)


def _cheapest(cost: Floats) -> Association:
    rows, columns = linear_sum_assignment(cost)
    kept = cost[rows, columns] <= MAX_COST
    left_over = np.setdiff1d(np.arange(cost.shape[1]), columns)
    # Those that the assignment had to give to somebody come last: the order is that of the new ids.
    return Association(
        cost,
        tuple(zip(rows[kept].tolist(), columns[kept].tolist(), strict=True)),
        (*left_over.tolist(), *columns[~kept].tolist()),
    )
