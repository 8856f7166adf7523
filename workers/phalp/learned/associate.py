"""Who is who: the cheapest assignment of those seen to those expected, by PHALP's equation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from workers.phalp.learned.costs import EQ_019, MAX_COST, People, costs, terms
from workers.phalp.learned.sighting import Sighting
from workers.phalp.learned.state import Floats, TrackState
from workers.phalp.learned.texture import Texture

#: How differently two people look (P,), for pairs (P, 2) of rows of the two lists of textures.
Looks = Callable[[Sequence[Texture], Sequence[Texture], npt.NDArray[np.integer]], Floats]

#: By so much, people's looks are taken to differ at most: of two that have nothing in common, about 0.5.
MOST_TEXTURE: Final = 6.0

#: What all pairs cost that cost too much: among them the assignment does not choose.
_IMPOSSIBLE: Final = MAX_COST + 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """Indices into the tracks and sightings that were given; a track in no pair is lost."""

    costs: Floats  # (T, S); without looks where they decide nothing
    pairs: tuple[tuple[int, int], ...]  # (track, sighting), by track
    new_sightings: tuple[int, ...]  # in the order in which they begin tracks


def associate(
    tracks: Sequence[TrackState],
    sightings: Sequence[Sighting],
    looks: Looks,
    *,
    most_texture: float = MOST_TEXTURE,
) -> Association:
    """The cheapest assignment of `sightings` to `tracks`, which expect to be seen in this frame.

    Textures are compared only where they may decide, all in one batch. They cannot where the other terms
    make a pair impossible, as looks can but add to a cost; nor where a pair is the only one for both, and
    possible even if looks differ by `most_texture`. Infinite: those are compared too.
    """
    if not (tracks and sightings):
        return Association(np.zeros((len(tracks), len(sightings))), (), tuple(range(len(sightings))))
    found = terms(
        People(
            np.stack([track.expected_pose for track in tracks]),
            np.stack([track.expected_place for track in tracks]),
        ),
        np.stack([track.expected_doubt for track in tracks]),
        People(np.stack([seen.pose for seen in sightings]), np.stack([seen.place for seen in sightings])),
    )
    least = costs(EQ_019, found, 0.0)
    possible = least <= MAX_COST
    certain = _only_ones(possible) & (costs(EQ_019, found, most_texture) <= MAX_COST)
    texture = np.where(certain, 0.0, np.inf)
    asked = possible & ~certain
    texture[asked] = looks(
        [track.texture for track in tracks], [seen.texture for seen in sightings], np.argwhere(asked)
    )
    cost = costs(EQ_019, found, texture)
    return _cheapest(np.where(cost > MAX_COST, _IMPOSSIBLE, cost))


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
