"""The world that animation tools want a motion in: metres, y up, right-handed, one origin for all people.

Results are in camera axes (x right, y down, z away) with the camera at the origin. The world is the same
turned by half a turn about x, so x is right in the picture, y up, z towards the camera: who faces the
camera faces +z, as in glTF. It is level where the camera was. All people of a video are moved by one and
the same shift.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.motion import Motion, Track

Array = npt.NDArray[np.floating]

#: Camera axes to the world's.
UP = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Where the origin is: `shift` (3,), metres, world axes, is added to every place."""

    shift: Array

    def places(self, points: Array) -> Array:
        """Points (..., 3) in camera axes, from the camera, as places in the world."""
        return points @ UP.T + self.shift

    def turns(self, rotations: Array) -> Array:
        """Rotations (..., 3, 3) from a body's axes to camera axes, to the world's instead."""
        return UP @ rotations


def of_camera() -> World:
    """The camera is the origin."""
    return World(np.zeros(3))


def of_start(motion: Motion) -> World:
    """The person to show begins above the origin, with the lowest joint at height 0.

    Where nobody is to be shown, whoever is seen first.
    """
    first = min(((_first(motion, track), track.track_id, track) for track in motion.tracks), default=None)
    return of_camera() if first is None else above_origin(first[2].joints[0] + first[2].translation[0])


def above_origin(joints: Array) -> World:
    """The world in which these joints (24, 3), in camera axes, from the camera, are above its origin."""
    places = joints @ UP.T
    return World(-np.array([places[0, 0], places[:, 1].min(), places[0, 2]]))


def _first(motion: Motion, track: Track) -> tuple[bool, int]:
    """Sorts those who are ever to be shown before others, and then by their first frame."""
    return not np.any(motion.primary_tracks == track.track_id), int(track.frames[0])
