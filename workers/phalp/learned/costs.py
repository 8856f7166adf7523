"""What it costs to take a person seen for a person expected: PHALP's equations of association.

A cost is the product of a factor for looks, one for pose, and the exponentials of the distances in the
picture and in depth, which count in units of their own doubt. People are in rows, T expected by D seen.
Sums are made in the precision and the order of the original, whose noise decides close calls.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from workers.phalp.learned.pose import BODY

Floats = npt.NDArray[np.floating]

#: A pair that costs more is not the same person.
MAX_COST: Final = 100.0

#: The doubt that is added to every other, so that nobody is ever quite sure of a place.
_LEAST_DOUBT: Final = 0.1


@dataclass(frozen=True, slots=True)
class Equation:
    """What each term counts for; a place's terms are divided by theirs."""

    texture: float
    pose: float
    location: float
    nearness: float
    most_pose: float  # poses that differ more cost no more


#: The one of PHALP's equations by which its release follows people.
EQ_019: Final = Equation(texture=4.0536, pose=1.3070, location=0.3792, nearness=4.1658, most_pose=1.5)


class People(NamedTuple):
    """Those who are compared: N people, expected or seen."""

    poses: Floats  # (N, 229), float32
    places: Floats  # (N, 3), float32: as `location.expect` has them


class Terms(NamedTuple):
    """All terms of the costs but looks."""

    pose: Floats  # (T, D)
    location: Floats  # (T, D)
    nearness: Floats  # (T, D)
    location_doubt: Floats  # (T, 1)
    nearness_doubt: Floats  # (T, 1)


def terms(expected: People, doubts: Floats, seen: People) -> Terms:
    """How far those expected, with doubts (T, 3), are from those seen."""
    ratio = expected.places[:, None, 2] / seen.places[None, :, 2].astype(np.float64)
    doubts = doubts.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Terms(
            pose=_squared_distances(expected.poses[:, BODY], seen.poses[:, BODY]),
            location=np.sqrt(_squared_distances(expected.places[:, :2], seen.places[:, :2])),
            nearness=np.abs(np.log(ratio)),
            location_doubt=np.hypot(doubts[:, 0], doubts[:, 1])[:, None],
            nearness_doubt=np.abs(np.log(doubts[:, 2]))[:, None],
        )


def without_places(found: Terms, rows: npt.NDArray[np.bool_]) -> Terms:
    """The terms of tracks in `rows` (T,) as if each were expected wherever somebody is seen."""
    location, nearness = (np.where(rows[:, None], 0.0, term) for term in (found.location, found.nearness))
    return found._replace(location=location, nearness=nearness)


def costs(equation: Equation, terms: Terms, texture: Floats | float) -> Floats:
    """The costs (T, D) with looks that differ by `texture` (T, D).

    Where a number is missing, the pair is impossible: infinite. (The original takes it for perfect.)
    """
    location = terms.location / (_LEAST_DOUBT + np.tanh(terms.location_doubt)) / equation.location
    nearness = terms.nearness / (_LEAST_DOUBT + np.tanh(terms.nearness_doubt)) / equation.nearness
    pose = np.minimum(terms.pose, equation.most_pose)
    with np.errstate(over="ignore", invalid="ignore"):
        found = (1 + equation.texture * texture) * (1 + equation.pose * pose) * np.exp(location + nearness)
    return np.where(np.isnan(found), np.inf, found)


def _squared_distances(one: Floats, other: Floats) -> Floats:
    """(T, D) of vectors (T, N) and (D, N), in float32: -2 ab + |a|^2 + |b|^2, added up in this order."""
    products = -2 * (one[:, None] * other).sum(axis=-1)  # no BLAS: its rounding depends on how many there are
    lengths, others = (np.square(vectors).sum(axis=1) for vectors in (one, other))
    return np.maximum(products + lengths[:, None] + others, 0).astype(np.float64)
