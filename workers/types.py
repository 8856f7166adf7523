"""The values that pass between observer, tracker, body and pipeline.

Frames of reference: pixels have their origin at the image's top left corner, x right,
y down, pixel centres at integers. Camera axes are x right, y down, z away from the
camera, metres. The camera of a frame of `width` x `height` pixels has focal length
5000/256 * max(width, height) and its principal point at the centre (see `wire/camera.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from workers.texture import Texture

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]  # (height, width, 3), RGB

State = Literal["detected", "recovered", "predicted"]

#: Called by whoever does long work, between its parts: the moment to say that it goes on.
Progress = Callable[[], None]


def unnoticed() -> None:
    """The `Progress` of work that nobody watches."""


@dataclass(frozen=True, slots=True, eq=False)
class BodyPose:
    """One body in front of the camera: everything that the body model needs.

    rotations (24, 3, 3): global_orient first, then body_pose, each relative to its parent;
    global_orient turns the body's axes (x to its left, y up, z forward) into camera axes.
    betas (10,): shape. translation (3,): of the body's origin, metres, camera axes.
    """

    rotations: Array
    betas: Array
    translation: Array


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A person whom the tracker expects in this frame: where to look again, and what for.

    unseen: frames since the person was last observed, 1 where that was the frame before this one.
    settled: seen often enough of late for the prediction to follow the person's motion.
    trusted: seen often enough to be worth a search when he is not where he is expected.
    anywhere: the picture jumped since he was last seen: if he is in it, then perhaps elsewhere.
    """

    track_id: int
    pose: BodyPose  # predicted for this frame
    continuous: bool  # False: the picture may have jumped; the pose is a weak prior only
    unseen: int = 1
    settled: bool = True
    trusted: bool = False
    anywhere: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What the observer should look for beside what it finds by itself.

    turn: counts the session's frames; observers rotate their scouting by it. boxes (B, 4): x0 y0 x1 y1,
    pixels: where the caller says that people are; nobody else is looked for. None: he does not say.
    """

    proposals: tuple[Proposal, ...]
    turn: int
    boxes: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One person seen in one frame, by whichever observer.

    box (4,): x0 y0 x1 y1, pixels. score: 0..1, how surely this is a person.
    joint_visibility (24,): 0..1 for each SMPL joint.
    appearance (P, 3): mean colour (0..1, RGB) of each body patch; patch_weight (P,): how much
    of the patch was in view, 0..1; a patch with weight 0 has no meaning.
    betas_measured (10,): the shape that this frame alone suggests, where `pose` was fitted with the
    track's; None: pose.betas is that measurement.
    texture: of the surface that was seen, for the tracker that compares people by it.
    box_index: which of the plan's boxes showed the person.
    """

    pose: BodyPose
    box: Array
    score: float
    joint_visibility: Array
    appearance: Array
    patch_weight: Array
    detected: bool  # the detector found the person without the tracker's help
    proposal: int | None  # track_id of the proposal whose region showed it
    betas_measured: Array | None = None
    texture: Texture | None = None
    sides_swapped: bool = False  # left and right were taken for each other somewhere, and taken back
    box_index: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """How and where one frame alone shows a person; where that is doubted, what is believed instead.

    turns (24, 4): unit quaternions x y z w, joint axes to camera axes. pelvis (3,): metres, camera axes, of a
    body of the shape of the pose that is answered.
    """

    turns: Array
    pelvis: Array


@dataclass(frozen=True, slots=True, eq=False)
class TrackedPerson:
    """One person after tracking: observed or predicted, smoothed, with provenance.

    box (4,): x0 y0 x1 y1, pixels. joint_confidence (24,) and confidence: 0..1. How far the joints are
    expected to be off, mean over all: expected_error_mm with the pelvis on the true one, expected_error_px in
    the picture.
    contradictions: how many parts of the body were observed as they cannot be, by what was wrong with them;
    kinds are `phalp.contradictions.KINDS`. box_index: which of the caller's boxes showed the person.
    measured: before smoothing; None: nobody was observed, or `pose` is what was measured.
    """

    track_id: int
    state: State
    frames_since_detected: int  # frames since the person was last observed; 0 now
    confidence: float
    expected_error_mm: float
    expected_error_px: float
    tentative: bool  # seen too seldom yet to be sure that it is a person, and one and the same
    pose: BodyPose
    box: Array
    joint_confidence: Array
    contradictions: Mapping[str, int] = field(default_factory=dict)
    box_index: int | None = None
    measured: Measured | None = None
