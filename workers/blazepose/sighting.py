"""Who is expected in a picture, who is seen in it, and whether the one may be the other."""

from dataclasses import dataclass

from workers.blazepose.landmarks import Landmarks
from workers.blazepose.likeness import strangeness
from workers.types import Array, Proposal

#: An expected person's landmarks are believed if they are no farther than this from the prediction, in
#: radii of the body; a fast turn in the air makes 0.35 in a frame.
_EXPECTED_STRANGENESS = 0.4
#: How much farther for each frame in which they were not seen, and at most.
_STRANGER = 0.1
_STRANGEST = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """A proposal, and its predicted SMPL joints (24, 2) in pixels of the image."""

    proposal: Proposal
    joints: Array


@dataclass(slots=True, eq=False)
class Sighting:
    """One person in the picture.

    detected: the detector, or the caller, shows the same person without the tracker. box_index: which of
    the caller's boxes.
    """

    landmarks: Landmarks
    expected: Expected | None
    detected: bool
    box_index: int | None = None


def is_expected(landmarks: Landmarks, one: Expected) -> bool:
    """Whether `landmarks` may be those of the expected person rather than of someone else."""
    return not one.proposal.continuous or strangeness(landmarks, one.joints) <= _allowed(one.proposal)


def _allowed(proposal: Proposal) -> float:
    """How strange an expected person may be, in radii of the body."""
    if not proposal.settled:
        return _STRANGEST
    return min(_EXPECTED_STRANGENESS + _STRANGER * (proposal.unseen - 1), _STRANGEST)
