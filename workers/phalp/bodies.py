"""The bodies of several tracks side by side: a row each, for what is worked out for all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.phalp.location import moved_box, pelvis_at
from workers.phalp.skeleton import Skeleton
from workers.phalp.state import Floats, TrackState
from workers.phalp.turns import rotations_of
from workers.types import BodyPose


@dataclass(frozen=True, slots=True, eq=False)
class Bodies:
    """T bodies in front of the camera; turns, betas and places as in `TrackState`."""

    turns: Floats  # (T, 24, 3, 3)
    betas: Floats  # (T, 10)
    places: Floats  # (T, 3)
    pelvises: Floats  # (T, 3) camera axes, metres
    skeleton: Skeleton

    @classmethod
    def of(cls, tracks: Sequence[TrackState], skeleton: Skeleton) -> "Bodies":
        """Those of `tracks`, in their order."""
        turns = np.array([track.turns for track in tracks]).reshape(-1, 24, 3, 3)
        betas = np.array([track.betas for track in tracks]).reshape(-1, 10)
        places = np.array([track.place for track in tracks]).reshape(-1, 3)
        return cls(turns, betas, places, pelvis_at(places, skeleton.length(betas)), skeleton)

    def joints(self) -> Floats:
        """Joints (T, 24, 3) from the pelvis, metres, camera axes."""
        return self.skeleton.joints(self.turns, self.betas)

    def poses(self) -> list[BodyPose]:
        """The bodies as they are answered, pelvises at the tracks' places."""
        rotations = rotations_of(self.turns).astype(np.float32)
        betas = self.betas.astype(np.float32)
        translations = (self.pelvises - self.skeleton.pelvis(self.betas)).astype(np.float32)
        return [BodyPose(*parts) for parts in zip(rotations, betas, translations, strict=True)]


def box_of(track: TrackState) -> Floats:
    """The box (4,) that a track's body fills: the one in which it was seen, moved with it."""
    return moved_box(track.seen_box, seen=track.seen_place, now=track.place)
