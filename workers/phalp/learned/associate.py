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

#: What all pairs cost that cost too much: among them the assignment does not choose.
_IMPOSSIBLE: Final = MAX_COST + 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """Indices into the tracks and sightings that were given; a track in no pair is lost."""

    costs: Floats  # (T, S)
    pairs: tuple[tuple[int, int], ...]  # (track, sighting), by track
    new_sightings: tuple[int, ...]  # in the order in which they begin tracks


def associate(tracks: Sequence[TrackState], sightings: Sequence[Sighting], looks: Looks) -> Association:
    """The cheapest assignment of `sightings` to `tracks`, which expect to be seen in this frame.

    Textures are compared only where the other terms alone do not make a pair impossible: looks can but
    add to a cost. So the encoder has two passes for each pair that comes into question, all in one batch.
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
    possible = costs(EQ_019, found, 0.0) <= MAX_COST
    texture = np.full(possible.shape, np.inf)
    texture[possible] = looks(
        [track.texture for track in tracks], [seen.texture for seen in sightings], np.argwhere(possible)
    )
    cost = costs(EQ_019, found, texture)
    return _cheapest(np.where(cost > MAX_COST, _IMPOSSIBLE, cost))


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
