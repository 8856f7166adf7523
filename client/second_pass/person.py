"""One person through a whole video: what was answered, looked at again with what came after.

The story: when (`timeline`), which shape (`skeleton`), how (`smoothing`), on which feet (`feet`), and what is
then said of each frame (`errors`). What is `predicted` stays so: filling makes nobody seen.
"""

from typing import Final

import numpy as np

from client.records import FINISHED, PERSON, STATES, Records
from client.second_pass import errors, feet, smoothing
from client.second_pass import skeleton as skeletons
from client.second_pass.feet import Motion
from client.second_pass.skeleton import Skeleton
from client.second_pass.timeline import Timeline, Video
from client.second_pass.turns import Flags, Floats, neighbours, of_quaternions, rotations_of, turns_of

PREDICTED: Final = STATES.index("predicted")

#: The error, millimetres, of something seen that counts half of what is seen exactly.
_HALF_MM: Final = 60.0
#: Frames of a motion that is worth being smoothed, and stood on.
_ENOUGH: Final = 5


def finished(rows: Records, when: Timeline, video: Video, shape: Skeleton) -> Records:
    """The `FINISHED` records (N,) of somebody's frames, whose `PERSON` records (M,) are in their order."""
    seen = _as_seen(rows, shape)
    weights = _weights(rows)
    motion = Motion(_gathered(seen.turns, when), _gathered(seen.pelvis, when))
    stands = np.zeros((len(when.frames), 2), bool)
    for stretch in when.stretches:
        part, stood = _smooth(motion, _gathered(weights, when), when, stretch, video, shape)
        motion.turns[stretch], motion.pelvis[stretch], stands[stretch] = part.turns, part.pelvis, stood
    return _told(rows, when, video, motion, stands, shape)


def shape_of(rows: Records) -> Skeleton:
    """The shape on which answers (M,) agree, of which one at least shows the person."""
    return skeletons.skeleton_of(
        turns_of(rows["rotations"]),
        joints=rows["joints"].astype(np.float64),
        keypoints=rows["keypoints"],
        betas=rows["betas"],
        weights=_weights(rows),
    )


def _as_seen(rows: Records, shape: Skeleton) -> Motion:
    """How each answer (M,) showed, or predicted, a body of that shape."""
    turns = turns_of(rows["rotations"])
    joints = rows["joints"].astype(np.float64)
    # A larger body is farther away where it looks the same.
    scale = skeletons.length(shape.bones) / skeletons.length(skeletons.bones_of(turns, joints))
    pelvis = joints[:, 0] + rows["translation"]
    measured = np.linalg.norm(rows["measured_turns"], axis=-1).min(axis=-1) > 0.5
    turns[measured] = of_quaternions(rows["measured_turns"][measured].astype(np.float64))
    pelvis[measured] = rows["measured_pelvis"][measured]
    return Motion(turns, pelvis * scale[:, None])


def _weights(rows: Records) -> Floats:
    """(M,): what each answer counts; 0: it does not show the person."""
    off_mm = np.nan_to_num(rows["expected_error_mm"].astype(np.float64))
    return np.where(rows["states"] != PREDICTED, 1 / (1 + np.square(off_mm / _HALF_MM)), 0.0)


def _gathered(values: Floats, when: Timeline) -> Floats:
    """Values (M, ...) of answers, as those of the frames (N, ...): where there is none, some other one."""
    return values[np.maximum(when.rows, 0)].copy()


def _smooth(
    motion: Motion, weights: Floats, when: Timeline, stretch: slice, video: Video, shape: Skeleton
) -> tuple[Motion, Flags]:
    """A stretch of the motion, smooth and complete, and which feet stand in it."""
    seen, times_s = when.seen[stretch], video.times_s[when.frames[stretch]]
    counted = np.where(seen, weights[stretch], 0.0)
    turns = smoothing.turns(motion.turns[stretch], counted, times_s)
    part = Motion(turns, _smooth_places(motion.pelvis[stretch], counted, times_s))
    if len(times_s) < _ENOUGH:
        return part, np.zeros((len(times_s), 2), bool)
    return feet.planted(part, shape, feet.standing(part, shape, times_s), times_s)


def _smooth_places(pelvis: Floats, weights: Floats, times_s: Floats) -> Floats:
    """The pelvis (N, 3): across the picture, and in distance, of which the picture shows little."""
    known = weights > 0
    usual = float(np.median(pelvis[known, 2]))
    depth = np.log(np.maximum(pelvis[:, 2:], 1e-3))
    across = smoothing.vectors(pelvis[:, :2] / np.exp(depth) * usual, weights, times_s, smoothing.ACROSS)
    far = np.exp(smoothing.vectors(depth, weights, times_s, smoothing.DISTANCE))
    return np.concatenate([across * far / usual, far], axis=1)


def _told(
    rows: Records, when: Timeline, video: Video, motion: Motion, stands: Flags, shape: Skeleton
) -> Records:
    """The records of a motion."""
    told = _carried(rows, when, video)
    joints = shape.joints(motion.turns)
    keypoints = shape.keypoints(motion.turns, joints)
    translation = motion.pelvis - joints[:, 0]
    told["rotations"] = rotations_of(motion.turns)
    told["betas"] = shape.betas
    told["translation"] = translation
    told["joints"] = joints
    told["keypoints"] = keypoints
    told["keypoints_2d"] = skeletons.in_picture(keypoints, translation, video.sizes_px[when.frames])
    told["angles"] = skeletons.angles(joints)
    told["standing"] = stands
    return told


def _carried(rows: Records, when: Timeline, video: Video) -> Records:
    """What each frame says of itself, beside the motion: its own answer's word, or its neighbours'."""
    told = np.zeros(len(when.frames), FINISHED)
    own = when.rows >= 0
    for name in set(FINISHED.names or ()) & set(PERSON.names or ()):
        told[name][own] = rows[name][when.rows[own]]
    told["track_ids"] = rows["track_ids"][0]
    for stretch in when.stretches:
        told[stretch] = _filled(told[stretch], when, stretch, video)
    return told


def _filled(told: Records, when: Timeline, stretch: slice, video: Video) -> Records:
    """A stretch, in which frames that do not show the person say what follows from those that do."""
    told = told.copy()
    seen, frames = when.seen[stretch], when.frames[stretch]
    filled = ~seen
    before, after, share = neighbours(seen, video.times_s[frames])
    since, until = frames - frames[before], frames[after] - frames
    first = filled & (before == after)  # before anybody saw the person
    away = np.where(first, until, np.minimum(since, until))
    nearest = np.where(until < since, after, before)
    boxes = told["boxes"][before] + share[:, None] * (told["boxes"][after] - told["boxes"][before])
    said = np.clip(before + away, 0, len(told) - 1)  # a prediction as long as the way to the nearest
    answered = filled & (when.rows[stretch][said] >= 0) & ~seen[said] & ~first
    was_mm = told["expected_error_mm"][nearest].astype(np.float64)
    was = told["confidence"][nearest].astype(np.float64)
    for name, part in (
        ("expected_error_mm", errors.FILLED_SHARE_MM),
        ("expected_error_px", errors.FILLED_SHARE_PX),
    ):
        predicted = np.where(answered, told[name][said], np.nan)
        off = errors.of_filled(predicted, told[name][nearest], away, share=part)
        told[name] = np.where(filled, off, told[name])
    believed = errors.confidence(was, error_mm=told["expected_error_mm"], was_mm=was_mm)
    for name in ("joint_confidence", "keypoint_confidence"):
        parts = errors.joint_confidence(told[name][nearest], was, believed)
        told[name] = np.where(filled[:, None], parts, told[name])
    told["confidence"] = np.where(filled, believed, told["confidence"])
    told["tentative"] = np.where(filled, told["tentative"][nearest], told["tentative"])
    told["boxes"] = np.where(filled[:, None], boxes, told["boxes"])
    told["states"] = np.where(filled, PREDICTED, told["states"])
    told["frames_since_detected"] = np.where(first, -until, np.where(filled, since, 0))
    told["filled"] = filled
    return told
