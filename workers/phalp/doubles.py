"""Is this the same person once more? Sightings that repeat, or show a part of, someone already known."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from workers.phalp.appearance import appearance_distance
from workers.phalp.location import inner_share, size_at, union_share
from workers.phalp.sighting import Sighting
from workers.phalp.state import Floats, TrackState

#: Two sightings show one person when their pelvises are this near, in body lengths, their sizes this
#: similar, in logarithms, and their boxes share this much.
SAME_PLACE: Final = 0.2
SAME_SIZE: Final = 0.3
SAME_BOX: Final = 0.5

#: Who was found only where the tracker looked is a part of who was found without help when their sizes
#: are this similar and his box lies in the other's by this share: a limb was taken for a body.
PART_SIZE: Final = 0.5
SWALLOWED: Final = 0.85

#: Those who look more different than this, `appearance_distance`, are two people, wherever they are.
UNLIKE: Final = 1.7
#: Those who look less different than this are most likely one.
ALIKE: Final = 1.0

#: A box that lies in a known person's by this share shows a part of them.
PART: Final = 0.6


def without_doubles(sightings: Sequence[Sighting]) -> list[Sighting]:
    """`sightings`, but of those that show one person only the surest, in their order."""
    best_first = sorted(range(len(sightings)), key=lambda index: _sureness(sightings[index]), reverse=True)
    kept: list[int] = []
    for index in best_first:
        if not any(_same(sightings[index], sightings[other]) for other in kept):
            kept.append(index)
    return [sightings[index] for index in sorted(kept)]


def is_part(seen: Sighting, known: Sequence[Sighting]) -> bool:
    """Whether `seen` is a part of someone in `known` rather than a person of their own."""
    return is_part_box(seen.box, known)


def is_part_box(box: Floats, known: Sequence[Sighting]) -> bool:
    """Whether a box (4,) lies in that of someone in `known`."""
    return bool(known) and bool((inner_share(box, np.array([seen.box for seen in known])) > PART).any())


def looks_apart(one: TrackState | Sighting, other: Sighting) -> float:
    """How differently two look, `appearance_distance`."""
    return float(appearance_distance(one.appearance, one.patch_weight, other.appearance, other.patch_weight))


def _sureness(seen: Sighting) -> tuple[bool, float, float]:
    return seen.detected, seen.score, float(seen.visibility.mean())


def _same(one: Sighting, other: Sighting) -> bool:
    """Whether two sightings, the surer one second, show one person."""
    apart = one.place - other.place
    guessed = other.detected and not one.detected
    if guessed and abs(apart[2]) < PART_SIZE and inner_share(one.box, other.box[None])[0] > SWALLOWED:
        return True
    if looks_apart(one, other) > UNLIKE:
        return False
    near = float(np.hypot(*apart[:2])) < SAME_PLACE * float(size_at(one.place))
    return bool(near and abs(apart[2]) < SAME_SIZE and union_share(one.box, other.box[None])[0] > SAME_BOX)
