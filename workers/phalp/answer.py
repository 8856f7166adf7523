"""What is answered of each track in a frame: its pose and place, how it was seen, how far to trust that."""

from collections.abc import Mapping, Sequence

import numpy as np

from workers.phalp import past
from workers.phalp.bodies import Bodies, box_of
from workers.phalp.change import changes_of
from workers.phalp.confidence import confidence, expected_error, joint_confidence, state_of
from workers.phalp.location import pelvis_at, pixel_box, size_at
from workers.phalp.sighting import Sighting
from workers.phalp.skeleton import Skeleton
from workers.phalp.state import Floats, TrackState
from workers.phalp.track import CONFIRMED_HITS
from workers.tracker import FrameFacts
from workers.types import BodyPose, Measured, TrackedPerson


def people_of(
    tracks: Sequence[TrackState],
    facts: FrameFacts,
    *,
    seen_as: Mapping[int, Sighting],
    wrong: Mapping[int, Mapping[str, int]],
    skeleton: Skeleton,
) -> list[TrackedPerson]:
    """The people of `tracks` after a frame; by id: what they were seen as, and which parts were wrong."""
    return [
        _person(
            track,
            facts,
            pose=pose,
            measured=measured,
            seen=seen_as.get(track.track_id),
            contradictions=wrong.get(track.track_id, {}),
            error=error,
        )
        for track, pose, measured, error in zip(
            tracks,
            Bodies.of(tracks, skeleton).poses(),
            _measured(tracks, skeleton),
            _expected_errors(tracks, skeleton),
            strict=True,
        )
    ]


def _person(
    track: TrackState,
    facts: FrameFacts,
    *,
    pose: BodyPose,
    measured: Measured | None,
    seen: Sighting | None,
    contradictions: Mapping[str, int],
    error: Floats,
) -> TrackedPerson:
    """The person of a track whose pose is off by `error` (2,), mm and body lengths."""
    error_mm, error_lengths = error.tolist()
    believed = confidence(track.trust, error_mm=error_mm)
    return TrackedPerson(
        track_id=track.track_id,
        state=state_of(unseen=track.unseen, detected=track.detected),
        frames_since_detected=track.unseen,
        tentative=track.hits < CONFIRMED_HITS,
        confidence=believed,
        expected_error_mm=error_mm,
        expected_error_px=error_lengths * float(size_at(track.place)) * max(facts.width, facts.height),
        pose=pose,
        box=pixel_box(box_of(track), facts.width, facts.height).astype(np.float32),
        joint_confidence=joint_confidence(believed, track.visibility).astype(np.float32),
        contradictions=contradictions,
        box_index=None if seen is None else seen.box_index,
        measured=measured,
    )


def _measured(tracks: Sequence[TrackState], skeleton: Skeleton) -> list[Measured | None]:
    """How each track is seen in this frame, if it is."""
    shown = [track for track in tracks if not track.unseen]
    if not shown:
        return [None] * len(tracks)
    turns = past.unit_quaternions(np.array([track.past_turns[-1] for track in shown]))
    lengths = skeleton.length(np.array([track.betas for track in shown]))
    pelvis = pelvis_at(np.array([track.past_places[-1] for track in shown]), lengths)
    measured = zip(turns.astype(np.float32), pelvis.astype(np.float32), strict=True)
    return [None if track.unseen else Measured(*next(measured)) for track in tracks]


def _expected_errors(tracks: Sequence[TrackState], skeleton: Skeleton) -> Floats:
    """How far off (T, 2) the poses of tracks are, mm and body lengths."""
    if not tracks:
        return np.zeros((0, 2))
    unseen = np.array([track.unseen for track in tracks])
    changes = np.full((len(tracks), 2), np.nan)
    lost = np.flatnonzero(unseen)
    changes[lost] = changes_of([tracks[row] for row in lost], unseen[lost], skeleton)
    return expected_error(np.array([track.innovation for track in tracks]), unseen, changes=changes)
