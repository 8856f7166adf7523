"""How far people are seen from where they were expected: what tells how well they can be predicted.

An innovation (2,) is a mean over the 24 joints: of how far they are from where the expected body has them,
pelvis on pelvis, millimetres; and of how far they are from there in the picture, in lengths of the body in
it (`location.size_at`), so that it is the same for every picture. Of all innovations a running mean is kept.
"""

from typing import Final

import numpy as np

from workers.phalp.confidence import growth
from workers.phalp.location import picture_of, size_at
from workers.phalp.state import Floats

#: What is assumed of a person who was seen once: the mean over the people of real clips.
NEWCOMER: Final = np.array([32.0, 0.013])
#: The most that one innovation counts: people who are mistaken for each other are farther apart.
MOST: Final = np.array([300.0, 0.3])
#: Share of the running mean that is kept from one observation to the next.
KEPT: Final = 0.8


def innovations(
    joints: Floats, pelvis: Floats, place: Floats, *, seen_joints: Floats, seen_pictures: Floats
) -> Floats:
    """The innovations (M, 2) of M people who are seen.

    They were expected with joints (M, 24, 3) from pelvises (M, 3), metres, camera axes, at places (M, 3).
    seen_joints (M, 24, 3): from the pelvis. seen_pictures (M, 24, 2): as `location.picture_of`.
    """
    off_mm = 1000 * _mean_length(seen_joints - joints)
    off_lengths = _mean_length(seen_pictures - picture_of(joints, pelvis)) / size_at(place)
    return np.stack([off_mm, off_lengths], axis=-1)


def running_mean(before: Floats, seen: Floats, *, frames: Floats) -> Floats:
    """The running means (M, 2) after innovations `seen` (M, 2), `frames` (M,) after the ones before."""
    of_one_frame = seen / growth(frames)
    return KEPT * before + (1 - KEPT) * np.minimum(of_one_frame, MOST)


def _mean_length(vectors: Floats) -> Floats:
    """(M,) of vectors (M, J, D)."""
    return np.sqrt(np.square(vectors).sum(axis=-1)).mean(axis=-1)
