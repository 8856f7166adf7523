"""Who hides behind whom: tracks that others cover, and people who show too little of themselves yet."""

from collections.abc import Sequence, Set
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.phalp.bodies import box_of
from workers.phalp.location import inner_share
from workers.phalp.sighting import Sighting
from workers.phalp.state import Floats, TrackState

Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]

#: Log depth by which somebody is in front of somebody else, frames for which who is missed still is, and the
#: share of a box in another one from which a person counts as covered.
NEARER: Final = 0.03
RECENT: Final = 10
COVERED: Final = 0.67

#: Whose joints are less in view than this on average, with somebody over this share of his box, is half
#: hidden: he shows colours of who covers him.
HALF_HIDDEN: Final = 0.75
BEHIND: Final = 0.2
#: He may be somebody who is lost, who was seen so often, and is lost for no more frames.
AWAITED_HITS: Final = 4
AWAITED_FRAMES: Final = 45


def covered(tracks: Sequence[TrackState]) -> Floats:
    """How much (T,) each track is expected to be covered by others, 0..1."""
    boxes = _boxes(tracks)
    depth = np.array([track.place[2] for track in tracks])
    there = np.array([track.unseen <= RECENT for track in tracks])
    inside = np.array([inner_share(box, boxes) for box in boxes])  # (T, T)
    in_front = (depth[None] < depth[:, None] - NEARER) & there[None]
    return np.minimum(np.where(in_front, inside, 0).max(axis=1) / COVERED, 1)


def unobstructed(sightings: Sequence[Sighting], missed: Sequence[TrackState]) -> list[float]:
    """The share of each person that nobody nearer covers, seen, or `missed` only lately."""
    lately = [track for track in missed if track.unseen <= RECENT]
    boxes = [seen.box for seen in sightings] + [box_of(track) for track in lately]
    nearness = [float(one.place[2]) for one in [*sightings, *lately]]
    shares = []
    for seen in sightings:
        nearer = [box for box, depth in zip(boxes, nearness, strict=True) if depth < seen.place[2] - NEARER]
        shares.append(1 - float(inner_share(seen.box, np.array(nearer)).max()) if nearer else 1.0)
    return shares


def unclear(
    tracks: Sequence[TrackState], sightings: Sequence[Sighting], *, sure: Set[int], lost: Sequence[int]
) -> Set[int]:
    """Indices of the sightings that show too little of somebody who may be one of those `lost` behind others.

    Not of those whose identity is `sure`, nor of whom nobody else covers: who stands there alone, cut by the
    picture's edge, will show no more.
    """
    hidden = [
        column
        for column, seen in enumerate(sightings)
        if column not in sure and seen.detected and seen.visibility.mean() < HALF_HIDDEN
    ]
    missing = awaited(tracks, lost)
    if not hidden or not missing:
        return frozenset()
    # Nobody is behind himself: someone is there beside the one who may be him.
    return {
        column
        for column, over in zip(hidden, _over(hidden, tracks, sightings), strict=True)
        if any(over.sum() > over[row] for row in missing)
    }


def awaited(tracks: Sequence[TrackState], lost: Sequence[int]) -> list[int]:
    """Indices of the tracks that are `lost` and may come out from behind somebody soon."""
    return [row for row in lost if tracks[row].hits >= AWAITED_HITS and tracks[row].unseen <= AWAITED_FRAMES]


def behind_others(tracks: Sequence[TrackState], sightings: Sequence[Sighting]) -> Mask:
    """Which of the sightings (S,) are half hidden where somebody else is, or was lately."""
    behind = np.array([seen.visibility.mean() < HALF_HIDDEN for seen in sightings])
    hidden = np.flatnonzero(behind)
    if len(hidden):
        behind[hidden] = _over(hidden, tracks, sightings).any(axis=1)
    return behind


def _over(hidden: Sequence[int] | Index, tracks: Sequence[TrackState], sightings: Sequence[Sighting]) -> Mask:
    """Who is over the sightings `hidden` (H, T + S): tracks seen lately, then the other sightings."""
    boxes = np.concatenate([_boxes(tracks), [seen.box for seen in sightings]])
    there = np.array([track.unseen <= RECENT for track in tracks] + [True] * len(sightings))
    over = np.array([there & (inner_share(sightings[column].box, boxes) > BEHIND) for column in hidden])
    over[np.arange(len(hidden)), len(tracks) + np.asarray(hidden)] = False
    return over


def _boxes(tracks: Sequence[TrackState]) -> Floats:
    """Where the boxes (T, 4) of tracks are expected."""
    return np.array([box_of(track) for track in tracks]).reshape(-1, 4)
