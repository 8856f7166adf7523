"""PHALP for a session: the fold over its frames, with the face of the embedded tracker.

    state', people, primary = track(state, frame, observations)

Call it once for each frame, also when nobody was observed. Equal arguments give equal results; the state
that is passed in stays as it was. What differs from the published tracker is listed in docs/tracking.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from workers.phalp.confidence import confidence, expected_error, joint_confidence, state_of, trust_of
from workers.phalp.innovation import NEWCOMER
from workers.phalp.learned import life
from workers.phalp.learned.associate import Looks
from workers.phalp.learned.life import CONFIRMED_HITS, Poses
from workers.phalp.learned.location import HISTORY, translation_at
from workers.phalp.learned.sighting import Sighting, in_picture, lift
from workers.phalp.learned.state import Floats, SessionState, TrackState
from workers.phalp.location import pixel_box
from workers.phalp.pace import Pace
from workers.target import aimed_at
from workers.tracker import FrameFacts
from workers.types import BodyPose, Observation, Plan, Proposal, TrackedPerson

#: Of a pose's 229 numbers: 24 rotations, then 10 of shape.
_ROTATIONS: Final = slice(0, 216)
_BETAS: Final = slice(216, 226)


class LearnedTracker:
    """Holds the networks and bounds of the fold, and nothing of any session."""

    name = "phalp"

    def __init__(self, *, looks: Looks, poses: Poses, max_people: int) -> None:
        self._looks = looks
        self._poses = poses
        self._max_people = max_people

    def start(self) -> SessionState:
        """The state of a session that has seen nothing."""
        return life.begin()

    def plan(self, state: SessionState, facts: FrameFacts) -> Plan:
        """Where the observer should expect the people of `state` in this frame."""
        time, continuous = _time(state, facts)
        return Plan(
            tuple(
                Proposal(
                    track.track_id,
                    _expected_body(track, facts),
                    continuous,
                    unseen=time - int(track.times[-1]),
                    settled=track.hits >= HISTORY,
                    trusted=track.hits >= CONFIRMED_HITS,
                )
                for track in self._expecting(state, time)
            ),
            state.turn,
        )

    def track(
        self, state: SessionState, facts: FrameFacts, observations: Sequence[Observation]
    ) -> tuple[SessionState, list[TrackedPerson], int | None]:
        """The next state, everyone who is followed (by rising id), and the index of the primary person."""
        sightings = lift(observations, width=facts.width, height=facts.height)
        time, _ = _time(state, facts)

        # predict: done when the last frame was folded, unless frames were left out
        expecting = replace(state, tracks=self._expecting(state, time))

        # associate, update the matched, end the lost, start the new
        followed = life.follow(
            expecting, sightings, time=time, new_shot=False, looks=self._looks, most=self._max_people
        )
        tracks = followed.state.tracks
        people = [
            _person(track, sightings[column] if column >= 0 else None, facts, time=time)
            for track, column in zip(tracks, followed.sighting_of, strict=True)
        ]
        named = None if facts.target is None else aimed_at(facts.target, people)
        primary_id = (
            _primary(tracks, state.primary_id, time=time) if named is None else tracks[named].track_id
        )
        pace = _pace(state).after(facts)
        after = replace(
            followed.state,
            tracks=life.expecting(tracks, self._poses, time=time + followed.state.step),
            primary_id=primary_id,
            last_frame=pace.last_frame,
            last_ms=pace.last_ms,
            frame_ms=pace.frame_ms,
        )
        ids = [track.track_id for track in tracks]
        return after, people, ids.index(primary_id) if primary_id is not None else None

    def _expecting(self, state: SessionState, time: int) -> tuple[TrackState, ...]:
        if time == state.time + state.step:
            return state.tracks
        return life.expecting(state.tracks, self._poses, time=time)


def _time(state: SessionState, facts: FrameFacts) -> tuple[int, bool]:
    """The frame's time, and whether time went forward: a repeat or a late frame counts as the next one."""
    if state.last_frame is None:
        return 0, True
    step, in_order = _pace(state).step_to(facts)
    return state.time + step, in_order


def _pace(state: SessionState) -> Pace:
    return Pace(state.last_frame, state.last_ms, state.frame_ms)


def _person(track: TrackState, seen: Sighting | None, facts: FrameFacts, *, time: int) -> TrackedPerson:
    """The person as seen in this frame, or else as expected in it."""
    unseen = time - int(track.times[-1])
    trust = trust_of(score=track.score, visibility=track.visibility, detected=track.detected)
    [[error_mm, error_lengths]] = expected_error(NEWCOMER[None], np.array([unseen])).tolist()
    believed = confidence(trust, error_mm=error_mm)
    size_px = float(track.box[3] - track.box[1]) * max(facts.width, facts.height)
    return TrackedPerson(
        track_id=track.track_id,
        state=state_of(unseen=unseen, detected=track.detected),
        frames_since_detected=unseen,
        confidence=believed,
        expected_error_mm=error_mm,
        expected_error_px=error_lengths * size_px,
        pose=_body(seen.pose, seen.translation, facts) if seen else _expected_body(track, facts),
        box=pixel_box(_box(track, unseen=unseen), facts.width, facts.height).astype(np.float32),
        joint_confidence=joint_confidence(believed, track.visibility).astype(np.float32),
    )


def _expected_body(track: TrackState, facts: FrameFacts) -> BodyPose:
    return _body(track.expected_pose, translation_at(track.expected_place), facts)


def _body(pose: Floats, translation: Floats, facts: FrameFacts) -> BodyPose:
    return BodyPose(
        rotations=pose[_ROTATIONS].reshape(24, 3, 3).astype(np.float32),
        betas=pose[_BETAS].astype(np.float32),
        translation=in_picture(translation, facts.width, facts.height).astype(np.float32),
    )


def _box(track: TrackState, *, unseen: int) -> Floats:
    """The box when last seen, moved and resized with the place that is expected now."""
    if not unseen:
        return track.box
    seen, now = track.places[-1], track.expected_place
    # Places lie in the square, boxes around the picture's centre; both in units of its longer side.
    return (track.box - np.tile(seen[:2] - 0.5, 2)) * (seen[2] / now[2]) + np.tile(now[:2] - 0.5, 2)


def _primary(tracks: Sequence[TrackState], primary_id: int | None, *, time: int) -> int | None:
    """Who is shown first: the one who was, while followed; else the most prominent one."""
    if not tracks:
        return None
    if any(track.track_id == primary_id for track in tracks):
        return primary_id
    in_view = [track for track in tracks if track.times[-1] == time] or tracks
    return max(in_view, key=lambda track: (_prominence(track), -track.track_id)).track_id


def _prominence(track: TrackState) -> float:
    """Size x centrality x score."""
    height = float(track.box[3] - track.box[1])
    return height * (1 - min(float(np.hypot(*(track.places[-1, :2] - 0.5))), 0.9)) * track.score
